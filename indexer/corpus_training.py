"""Training of the corpus embedder: the only use of torch outside the neural embedder, minutes of one core at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexer.corpus_embedder import DIMENSION, CorpusEmbedder, Features, Vectors

_MIN_BITS, _MAX_BITS = 12, 18
_BATCH = 256
_TEMPERATURE = 0.05  # as in SimCSE (Gao et al., 2021)
_LEARNING_RATE = 0.01
_QUERY_DROPOUT = 0.3  # of a sentence's n-grams, so that it looks like a question: not every word of the page
_MOST_FEATURES = 150  # of the rest of a section, drawn anew each time
_HELD_OUT = 512
_MOST_PASSES = 12
_MOST_FOR_SVD = 8_000  # passages; more change little and cost minutes


@dataclass(frozen=True, slots=True)
class Section:
    """What training sees of a passage: the features of its heading and of each of its sentences."""

    heading: Features
    sentences: tuple[Features, ...]


def bits_of(sections: Sequence[Section]) -> int:
    """Of the table that `train` makes for them: 2 to the power of it are its rows."""
    return _bits_for(_bags(sections))


def _bags(sections: Sequence[Section]) -> list[Features]:
    return [np.concatenate((section.heading, *section.sentences)) for section in sections]


def _bits_for(bags: Sequence[Features]) -> int:
    """Buckets for at least twice the distinct n-grams, so that few share one."""
    distinct = len(np.unique(np.concatenate(bags))) if bags else 1
    return int(np.clip(int(2 * distinct).bit_length(), _MIN_BITS, _MAX_BITS))


def _idf(bags: Sequence[Features], size: int) -> Vectors:
    counts = np.zeros(size)
    for bag in bags:
        counts[np.unique(bag & np.uint32(size - 1))] += 1
    return np.asarray(np.log1p((len(bags) - counts + 0.5) / (counts + 0.5)), np.float32)


@dataclass(frozen=True, slots=True)
class Training:
    """What was done, for the manifest. quality: mean reciprocal rank of held-out pairs, 0..1."""

    embedder: CorpusEmbedder
    seconds: float
    steps: int
    pairs: int
    quality: float


def train(
    sections: Sequence[Section],
    seconds: float,
    progress: Callable[[int, int], None],
    warm: CorpusEmbedder | None = None,
    passes: int | None = None,
    seed: int = 0,
) -> Training:
    """Learn the table: until held-out pairs stop getting better, or for `passes` passes over all pairs with none held
    out; and for `seconds` at most.

    warm: an earlier embedder to go on from (used when it has the same number of buckets).
    """
    bags = _bags(sections)
    bits = _bits_for(bags)
    weights = _idf(bags, 1 << bits)
    if warm is not None and warm.bits == bits:
        start = np.asarray(warm.table, np.float32)
    else:
        start = _first_guess(bags, weights, seed)
    return _Trainer(sections, start, weights, seed, passes).run(seconds, progress)


def _first_guess(bags: Sequence[Features], weights: Vectors, seed: int) -> Vectors:
    """Where n-grams stand before training: by the passages that they share (latent semantic analysis: the right
    singular vectors of the tf-idf matrix), plus noise that keeps every n-gram itself.

    From noise alone, right page first is 0.578 for the PolarDB FAQ paraphrases and 0.896 for DRCD (this channel alone,
    8 passes); from here 0.644 and 0.906.
    """
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd

    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((len(weights), DIMENSION)).astype(np.float32) / DIMENSION**0.5
    chosen = bags if len(bags) <= _MOST_FOR_SVD else [bags[at] for at in rng.choice(len(bags), _MOST_FOR_SVD, False)]
    distinct = [np.unique(bag & np.uint32(len(weights) - 1)) for bag in chosen]
    columns = np.concatenate(distinct).astype(np.int64) if distinct else np.empty(0, np.int64)
    if len(chosen) <= DIMENSION or not len(columns):
        return np.asarray(noise, np.float32)
    values = [weights[own] / max(float(np.linalg.norm(weights[own])), 1e-6) for own in distinct]
    bounds = np.cumsum([0] + [len(own) for own in distinct])
    matrix = csr_matrix((np.concatenate(values), columns, bounds), shape=(len(chosen), len(weights)))
    shared = randomized_svd(matrix, DIMENSION, n_iter=3, random_state=seed)[2].T
    size = float(np.linalg.norm(shared, axis=1).mean())
    return np.asarray(0.7 * shared / max(size, 1e-9) + 0.5 * noise, np.float32)


class _Trainer:
    def __init__(
        self, sections: Sequence[Section], start: Vectors, weights: Vectors, seed: int, passes: int | None
    ) -> None:
        import torch

        self.torch = torch
        mask = np.uint32(len(start) - 1)
        self.sections = [
            Section(section.heading & mask, tuple(sentence & mask for sentence in section.sentences))
            for section in sections
        ]
        self.rng = np.random.default_rng(seed)
        self.weights = weights
        self.idf = torch.from_numpy(weights)
        self.table = torch.nn.Parameter(torch.from_numpy(start.copy()))
        self.optimizer = torch.optim.SparseAdam([self.table], lr=_LEARNING_RATE)
        pairs = np.array(list(self._pairs()), dtype=np.int64).reshape(-1, 2)
        self.rng.shuffle(pairs)
        held = 0 if passes else min(_HELD_OUT, len(pairs) // 10)
        self.passes = passes or _MOST_PASSES
        self.held, self.pairs = pairs[:held], pairs[held:]

    def _pairs(self) -> Iterator[tuple[int, int]]:
        """(section, sentence), the heading being sentence -1."""
        for number, section in enumerate(self.sections):
            if len(section.heading) > 1 and section.sentences:
                yield number, -1
            if len(section.sentences) > 1:
                yield from ((number, at) for at, bag in enumerate(section.sentences) if len(bag) > 4)

    def run(self, seconds: float, progress: Callable[[int, int], None]) -> Training:
        begun = time.monotonic()
        threads = self.torch.get_num_threads()
        self.torch.set_num_threads(1)  # steps are small: two threads wait for each other more than they work
        try:
            return self._epochs(seconds, progress, begun)
        finally:
            self.torch.set_num_threads(threads)

    def _epochs(self, seconds: float, progress: Callable[[int, int], None], begun: float) -> Training:
        steps, patience = 0, 2
        best, best_table = self._quality(), self.table.detach().clone()
        for _ in range(self.passes):
            if len(self.pairs) < 2 or patience == 0 or time.monotonic() - begun > seconds:
                break
            steps += self._pass(begun, seconds, progress)
            quality = self._quality()
            if len(self.held):
                patience = 2 if quality > best else patience - 1
            if quality > best or not len(self.held):
                best, best_table = quality, self.table.detach().clone()
        embedder = CorpusEmbedder(best_table.numpy().astype(np.float16), self.weights)
        return Training(embedder, time.monotonic() - begun, steps, len(self.pairs), best)

    def _pass(self, begun: float, seconds: float, progress: Callable[[int, int], None]) -> int:
        """Every pair once, in a new order, as far as time allows. Returns the number of steps."""
        self.rng.shuffle(self.pairs)
        for step, at in enumerate(range(0, len(self.pairs), _BATCH)):
            spent = time.monotonic() - begun
            progress(min(int(spent), int(seconds)), int(seconds))
            if spent > seconds:
                return step
            self._step(self.pairs[at : at + _BATCH])
        return -(-len(self.pairs) // _BATCH)

    def _question(self, bag: Features) -> Features:
        kept = bag[self.rng.random(len(bag)) > _QUERY_DROPOUT]
        return np.unique(kept if len(kept) else bag)

    def _rest(self, section: Section, without: int) -> Features:
        """The section without that sentence, and without its heading, which would give every pair away."""
        rest = np.unique(np.concatenate([bag for at, bag in enumerate(section.sentences) if at != without]))
        drawn = rest if len(rest) <= _MOST_FEATURES else self.rng.choice(rest, _MOST_FEATURES, replace=False)
        return np.asarray(drawn, np.uint32)

    def _bag(self, pair: npt.NDArray[np.int64]) -> Features:
        section = self.sections[int(pair[0])]
        return section.heading if pair[1] < 0 else section.sentences[int(pair[1])]

    def _vectors(self, bags: Sequence[Features]):  # type: ignore[no-untyped-def]  # a torch tensor
        torch = self.torch
        flat = torch.from_numpy(np.concatenate(bags).astype(np.int64))
        offsets = torch.from_numpy(np.cumsum([0] + [len(bag) for bag in bags[:-1]]))
        summed = torch.nn.functional.embedding_bag(
            flat, self.table, offsets, mode="sum", per_sample_weights=self.idf[flat], sparse=True
        )
        return torch.nn.functional.normalize(summed, dim=1)

    def _step(self, batch: npt.NDArray[np.int64]) -> None:
        _, first = np.unique(batch[:, 0], return_index=True)  # one pair a section: siblings are no negatives
        batch = batch[first]
        if len(batch) < 2:
            return
        torch = self.torch
        questions = self._vectors([self._question(self._bag(pair)) for pair in batch])
        rests = self._vectors([self._rest(self.sections[int(pair[0])], int(pair[1])) for pair in batch])
        likeness = questions @ rests.T / _TEMPERATURE
        target = torch.arange(len(batch))
        loss = torch.nn.functional.cross_entropy(likeness, target) + torch.nn.functional.cross_entropy(
            likeness.T, target
        )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()  # type: ignore[no-untyped-call]

    def _quality(self) -> float:
        """Mean reciprocal rank of the held-out pairs among one another."""
        if not len(self.held):
            return 0.0
        with self.torch.inference_mode():
            questions = self._vectors([np.unique(self._bag(pair)) for pair in self.held])
            rests = self._vectors([self._rest(self.sections[int(pair[0])], int(pair[1])) for pair in self.held])
            scores = (questions @ rests.T).numpy()
        ranks = (scores > np.diag(scores)[:, None]).sum(axis=1) + 1
        return float((1.0 / ranks).mean())
