"""What retrieval would show beside the evidence: BM25 over all passages, in memory, without the engine that a running
server holds. Weights are Lucene's (k1 1.2, b 0.75); the tokens are those that search uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csc_matrix

from indexer.analysis import analyse, analyse_question
from router.types import Passage

_K1, _B = 1.2, 0.75


class Neighbours:
    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = list(passages)
        counts = [Counter(analyse(" ".join((*one.heading, one.text)))) for one in self.passages]
        self._columns = {token: at for at, token in enumerate(sorted(set().union(*counts)))}
        self._scores = self._weighted(counts)

    def _weighted(self, counts: Sequence[Counter[str]]) -> csc_matrix:
        """[passages, tokens]: each token's share of a passage's score."""
        lengths = np.array([max(one.total(), 1) for one in counts], float)
        rows = np.repeat(np.arange(len(counts)), [len(one) for one in counts])
        columns = np.array([self._columns[token] for one in counts for token in one], int)
        often = np.array([number for one in counts for number in one.values()], float)
        found = np.bincount(columns, minlength=len(self._columns))
        idf = np.log(1 + (len(counts) - found + 0.5) / (found + 0.5))
        norm = _K1 * (1 - _B + _B * lengths / lengths.mean()) if len(counts) else lengths
        values = idf[columns] * often / (often + norm[rows])
        return csc_matrix((values, (rows, columns)), shape=(len(counts), len(self._columns)))

    def nearest(self, question: str, limit: int) -> list[Passage]:
        """Best first; only passages that share a word with the question."""
        columns = [self._columns[token] for token in set(analyse_question(question)) if token in self._columns]
        if not columns:
            return []
        scores = np.asarray(self._scores[:, sorted(columns)].sum(axis=1)).ravel()
        order = np.argsort(-scores, kind="stable")[:limit]
        return [self.passages[at] for at in order if scores[at] > 0]

    def knows(self, name: str) -> bool:
        """Whether some passage has every search token of a name: strict, so "unknown" is surely unknown."""
        tokens = analyse(name)
        return bool(tokens) and all(token in self._columns for token in tokens)
