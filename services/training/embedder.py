"""`answerloop train embedder`: a sentence-transformers model adapted to the documents, kept only if it finds better.

Contrastive: a section's title, or a question of a dataset, against its passage, with the other passages of the batch as
negatives (InfoNCE; van den Oord et al. 2018). Passages of the same section are no negatives of each other, and a mined
hard negative is used only where it provably lacks the answer. Judged before and after on sections that were not trained
on, each question against every passage; the interval of the paired difference decides.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from router.errors import Conflict, InvalidInput, Misconfigured
from router.ports import Progress
from router.types import Passage
from services.training.metrics import Interval, bootstrap
from services.training.negatives import holds_answer
from services.training.neighbours import Neighbours
from services.training.records import Example

HELD = 0.2  # share of the sections that judge and are not trained on
TEMPERATURE = 0.05  # Gao et al. 2021 (SimCSE)
_LOOKED_AT = 20  # neighbours among which a hard negative is looked for
_CUT = 10  # ranks that count for MRR
REPORT = "embedder.json"


@dataclass(frozen=True, slots=True)
class EmbedderOptions:
    """base: a sentence-transformers model's folder or name. out: where the adapted one goes, if it is better."""

    base: str
    out: Path
    epochs: int = 2
    batch: int = 32
    learning_rate: float = 2e-5
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """anchor: a title or a question. section: what no in-batch negative may share. hard: a passage that reads alike and
    lacks the answer, or ""."""

    anchor: str
    passage: str
    text: str
    section: str
    hard: str


@dataclass(frozen=True, slots=True)
class EmbedderReport:
    """before, after: mean reciprocal rank of the right passage among the first ten, 0..1. gain: after - before, paired,
    by section. saved: the folder, "" when it was not better."""

    pairs: int
    judged: int
    before: Interval
    after: Interval
    gain: Interval
    saved: str


def train(
    options: EmbedderOptions, passages: Sequence[Passage], examples: Sequence[Example], progress: Progress
) -> EmbedderReport:
    """Raises `Conflict` when `out` is there, `InvalidInput` with too little to train on, `Misconfigured` when the model
    cannot be loaded."""
    if options.out.exists():
        raise Conflict(f"{options.out} is there already; a model is never overwritten, give another folder")
    pairs = pairs_of(passages, examples)
    judged, trained = [one for one in pairs if held(one.section)], [one for one in pairs if not held(one.section)]
    if len(trained) < 2 or not judged:
        raise InvalidInput(
            f"only {len(pairs)} titles and questions: too little to adapt an embedder to and judge it by"
        )
    model = _load(options.base)
    texts = {one.id: _shown(one) for one in passages}
    before = ranks(model, judged, texts)
    _fit(model, trained, options, progress)
    after = ranks(model, judged, texts)
    gain = bootstrap({name: [b - a for a, b in zip(before[name], after[name], strict=True)] for name in before})
    saved = _saved(model, options.out) if gain.low > 0 else ""
    report = EmbedderReport(len(trained), len(judged), bootstrap(before), bootstrap(after), gain, saved)
    if saved:
        (options.out / REPORT).write_text(json.dumps(asdict(report), indent=1), "utf-8")
    return report


def pairs_of(passages: Sequence[Passage], examples: Sequence[Example]) -> list[Pair]:
    """Titles with their first passage, and questions with the passage that holds their evidence."""
    near = Neighbours(passages)
    known = {one.id: one for one in passages}
    firsts = {_section(one): one for one in reversed(passages) if one.heading}
    titled = [(one.heading[-1], one, one.text) for one in firsts.values()]
    asked = [
        (row.question, known[part.passage_id], row.answer)
        for row in examples
        for part in row.evidence[:1]
        if part.passage_id in known and not row.refuses
    ]
    return [_pair(anchor, passage, answer, near) for anchor, passage, answer in (*titled, *asked)]


def _pair(anchor: str, passage: Passage, answer: str, near: Neighbours) -> Pair:
    own = _section(passage)
    alike = (one for one in near.nearest(anchor, _LOOKED_AT) if _section(one) != own)
    lacking = (one for one in alike if not holds_answer(one.text, answer))
    hard = next(lacking, None)
    return Pair(anchor, passage.id, _shown(passage), own, _shown(hard) if hard else "")


def held(section: str) -> bool:
    return int.from_bytes(sha256(f"embedder {section}".encode()).digest()[:4], "big") < HELD * 2**32


def ranks(model: Any, pairs: Sequence[Pair], texts: dict[str, str]) -> dict[str, list[float]]:
    """Section → reciprocal rank of each pair's passage among all passages; 0 below the first ten."""
    ids = list(texts)
    place = {identity: at for at, identity in enumerate(ids)}
    every = _embed(model, list(texts.values()))
    scores = _embed(model, [one.anchor for one in pairs]) @ every.T
    out: dict[str, list[float]] = defaultdict(list)
    for one, row in zip(pairs, scores, strict=True):
        rank = int((row > row[place[one.passage]]).sum()) + 1
        out[one.section].append(1 / rank if rank <= _CUT else 0.0)
    return dict(out)


def _fit(model: Any, pairs: Sequence[Pair], options: EmbedderOptions, progress: Progress) -> None:
    torch.manual_seed(options.seed)
    batches = list(_batches(pairs, options))
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.learning_rate)
    steady = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, len(batches))
    model.train()
    for step, batch in enumerate(batches, 1):
        loss = contrast(lambda texts: _vectors(model, texts), batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        steady.step()
        optimiser.zero_grad()
        progress(f"embedder, loss {loss.item():.3f}", step, len(batches))
    model.eval()


def contrast(vectors: Callable[[Sequence[str]], torch.Tensor], batch: Sequence[Pair]) -> torch.Tensor:
    """InfoNCE of a batch. vectors: texts to unit vectors [texts, dimension]. Another pair of the same section is
    masked: its passage may answer too."""
    hard = [one.hard for one in batch if one.hard]
    anchors, others = vectors([one.anchor for one in batch]), vectors([*(one.text for one in batch), *hard])
    scores = anchors @ others.T / TEMPERATURE
    return torch.nn.functional.cross_entropy(
        scores.masked_fill(siblings(batch).to(scores.device), -torch.inf),
        torch.arange(len(batch), device=scores.device),
    )


def siblings(batch: Sequence[Pair]) -> torch.Tensor:
    """[pairs, passages and hard negatives]: True where an anchor must not be pushed away. A hard negative counts for
    its own anchor alone: for the others nobody has shown that it lacks the answer."""
    owners = [at for at, one in enumerate(batch) if one.hard]
    rows = [
        [
            column != at and (one.section == other.section or one.text == other.text)
            for column, other in enumerate(batch)
        ]
        + [owner != at for owner in owners]
        for at, one in enumerate(batch)
    ]
    return torch.tensor(rows)


def _batches(pairs: Sequence[Pair], options: EmbedderOptions) -> Iterator[list[Pair]]:
    chance = random.Random(options.seed)
    for _ in range(options.epochs):
        order = list(pairs)
        chance.shuffle(order)
        for begin in range(0, len(order) - 1, options.batch):  # never a batch of one: it has no negatives
            yield order[begin : begin + options.batch]


def _vectors(model: Any, texts: Sequence[str]) -> torch.Tensor:
    made: torch.Tensor = model(_on(model.device, model.tokenize(list(texts))))["sentence_embedding"]
    return torch.nn.functional.normalize(made, dim=1)


def _on(device: Any, features: dict[str, Any]) -> dict[str, Any]:
    """Tensors moved; newer versions of the library put plain words among them."""
    return {name: one.to(device) if isinstance(one, torch.Tensor) else one for name, one in features.items()}


def _embed(model: Any, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    made: np.ndarray[Any, np.dtype[np.float32]] = model.encode(
        list(texts), normalize_embeddings=True, show_progress_bar=False
    )
    return made


def _load(base: str) -> Any:
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(base)
    except (OSError, ValueError) as error:
        raise Misconfigured(f"the embedder {base} cannot be loaded: {error}") from error


def _saved(model: Any, out: Path) -> str:
    """Whole or not at all."""
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    model.save(str(unfinished))
    unfinished.replace(out)
    return str(out)


def _section(one: Passage) -> str:
    return f"{one.document}#{' > '.join(one.heading)}"


def _shown(one: Passage) -> str:
    """As the index embeds it: under its headings."""
    return "\n".join((" > ".join(one.heading), one.text)).strip()
