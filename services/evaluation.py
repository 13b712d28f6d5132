"""`answerloop evaluate`: question files through the real cascade, with figures that can be compared.

The model of the settings or of the served release writes the answers, as in serving; where there is none, they are
quoted. A file whose rows carry a `context` is asked of an index of those paragraphs, made for the occasion; any other
file is asked of the served index. Rows: question, answerable, and what is known of the answer: `answer_keys` (each must
be there), `answers` (one must be there), `doc_id` and `also_in` (the right pages), `history`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.confidence import Calibration
from router.errors import InvalidInput
from router.ports import Progress
from router.types import Question, Route, SearchResult, Trace, Turn
from services.calibrations import calibration_of, packaged_calibration, under
from services.compose import System, model_of
from services.generation.extractive import ExtractiveGenerator
from services.indexing import release_with, run_index
from services.settings import Settings
from services.store.curated import Wanted
from services.store.sql import SqlStore

if TYPE_CHECKING:
    from services.generation.service import ModelService

_SEARCHED = 40  # passages looked through for the right page
_ASKED = 800  # rows of a file with contexts that are asked; always the same ones


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a question file. keys: each must be in the answer; answers: one must. pages: right documents."""

    question: Question
    answerable: bool
    keys: tuple[str, ...]
    answers: tuple[str, ...]
    pages: frozenset[str]
    context: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """right: the answer or its quotes hold what they must (False for an unanswerable question).
    rank: of the first right document, 0 when none of the passages found is from one."""

    row: Row
    trace: Trace
    right: bool
    rank: int


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes the answers of all files that are asked: model, under a release that names it as `named`. runner: the
    event loop that it belongs to."""

    runner: asyncio.Runner
    model: ModelService
    named: str


@contextlib.contextmanager
def writing(settings: Settings, progress: Progress) -> Iterator[Writer | None]:
    """The model that serving would ask, up and waited for; None where answers are quoted.

    Raises `GeneratorUnavailable` or `Misconfigured` where it cannot be had: quoting in its place would be measured
    under its name.
    """
    with asyncio.Runner() as runner:
        named = runner.run(_named(settings))
        model = model_of(settings, own=True, folder="generator-evaluate")
        if model is None or not model.writes(named):
            yield None
            return
        try:
            progress("load the model", 0, 1)
            runner.run(model.up(named))
            yield Writer(runner, model, named)
        finally:
            runner.run(model.close())


async def _named(settings: Settings) -> str:
    with SqlStore.open(settings.store_url) as store:
        active = await store.active_release()
        return active.model if active else "none"


def read_rows(path: Path) -> list[Row]:
    """Raises InvalidInput naming the line that is not a question."""
    rows = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: cannot be read as UTF-8 text: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            rows.append(_row(path, number, line))
    if not rows:
        raise InvalidInput(f'{path}: no questions in it; each line is a JSON object with at least "question"')
    return rows


def _row(path: Path, number: int, line: str) -> Row:
    try:
        raw = json.loads(line)
        text = raw["question"] if "question" in raw else raw["query"]
        history = tuple(Turn(turn["role"], turn["content"]) for turn in raw.get("history") or ())
        pages = [raw["doc_id"]] if raw.get("doc_id") else []
        return Row(
            Question(str(text), history),
            bool(raw.get("answerable", True)),
            tuple(_texts(raw, "answer_keys")),
            tuple(_texts(raw, "answers")),
            frozenset([*pages, *_texts(raw, "also_in")]),
            raw.get("context"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"{path}, line {number}: not a question row ({error}); see the manual's page on evaluation"
        ) from error


def _texts(raw: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts, empty when absent. Raises ValueError for a lone text, whose letters would count one by one."""
    values = raw.get(name) or []
    if not isinstance(values, list):
        raise ValueError(f"{name} must be a list")
    return [str(value) for value in values]


def foreign(row: Row) -> Row:
    """The row's question, asked of documents that do not answer it."""
    return Row(row.question, answerable=False, keys=(), answers=(), pages=frozenset(), context=None)


def run_evaluate(settings: Settings, files: Sequence[Path], progress: Progress) -> dict[str, Any]:
    """File name → figures, see `figures`."""
    calibration = served_calibration(settings)
    files_rows = {path.name: read_rows(path) for path in files}
    with writing(settings, progress) as writer:
        return {
            name: figures(ask_rows(settings, rows, calibration, progress, writer)) for name, rows in files_rows.items()
        }


def ask_rows(
    settings: Settings, rows: Sequence[Row], calibration: Calibration, progress: Progress, writer: Writer | None = None
) -> list[Asked]:
    """Every row asked (of many rows with contexts, a fixed sample), with this calibration. writer: None for quoting.

    Traces and review items go to a store of the occasion: an evaluation is nobody's question.
    """
    with tempfile.TemporaryDirectory(prefix="answerloop-") as scratch:
        database = f"sqlite:///{scratch}/evaluation.db"
        if rows[0].context is None:
            own = replace(settings, database_url=database)
            asyncio.run(_borrow_release(settings, own, calibration))
        else:
            own = replace(settings, home=Path(scratch), database_url=database)
            texts = Path(scratch) / "paragraphs"
            rows = _write_contexts(rows, texts)
            asyncio.run(_keep(own, calibration))
            run_index(own, [f"{texts.name}={texts}"], "evaluate", progress)
            rows = rows if len(rows) <= _ASKED else random.Random(0).sample(rows, _ASKED)
            if writer:
                asyncio.run(_under(own, writer.named))
        if writer:
            return writer.runner.run(_ask(own, rows, progress, writer.model))
        return asyncio.run(_ask(own, rows, progress, None))


def served_calibration(settings: Settings) -> Calibration:
    """That of the release that is served; the packaged one where nothing is served yet."""
    settings.make_home()
    return asyncio.run(_served_calibration(settings))


async def _served_calibration(settings: Settings) -> Calibration:
    with SqlStore.open(settings.store_url) as store:
        active = await store.active_release()
        kept = await calibration_of(store, active.calibration) if active else packaged_calibration()
        return under(settings, kept)


async def _keep(settings: Settings, calibration: Calibration) -> str:
    with SqlStore.open(settings.store_url) as store:
        return await store.put_calibration(calibration.to_json())


async def _borrow_release(settings: Settings, own: Settings, calibration: Calibration) -> None:
    """The served release and the approved answers in the store of the occasion, with the calibration that is wanted."""
    kept = await _keep(own, calibration)
    with SqlStore.open(settings.store_url) as served, SqlStore.open(own.store_url) as store:
        active = await served.active_release()
        if active is None:
            raise InvalidInput("there is no index to ask; make one with `answerloop index` first")
        approved = Wanted(put=(await served.curated.entries_at()).changed)
        await store.curated.edit(lambda _: approved, "evaluate", "as they are served", ids=())
        await store.add_release(replace(active, calibration=kept))
        await store.activate_release(active.id, "evaluate")


async def _under(own: Settings, model: str) -> None:
    """A release of the occasion that names the model."""
    with SqlStore.open(own.store_url) as store:
        active = await store.active_release()
        assert active  # just indexed
        await store.activate_release((await release_with(store, active, "evaluate", model=model)).id, "evaluate")


def _write_contexts(rows: Sequence[Row], folder: Path) -> list[Row]:
    """Each paragraph a document; the rows, with their page's name."""
    folder.mkdir()
    names: dict[str, str] = {}
    for row in rows:
        if row.context is not None and row.context not in names:
            names[row.context] = f"{len(names):06}.txt"
            (folder / names[row.context]).write_text(row.context, "utf-8")
    return [replace(row, pages=frozenset({f"{folder.name}/{names[row.context]}"})) for row in rows if row.context]


async def _ask(settings: Settings, rows: Sequence[Row], progress: Progress, model: ModelService | None) -> list[Asked]:
    system = System(settings, SqlStore.open(settings.store_url), model)
    try:
        await system.refresh()
        out = []
        for number, row in enumerate(rows, 1):
            trace = (await system.ask(row.question)).trace
            found = await system.search(trace.standalone, _SEARCHED, {})
            out.append(Asked(row, trace, is_right(row, trace), _rank(row, found)))
            progress("ask", number, len(rows))
        return out
    finally:
        system.model = None  # it writes the answers of the next file, too
        await system.close()


def is_right(row: Row, trace: Trace) -> bool:
    """Whether an answer was sent and holds what it must: every key (in the answer or its quotes), or one of the
    answers (in the answer itself)."""
    if not row.answerable or trace.answer.route not in (Route.GROUNDED, Route.CURATED):
        return False
    return holds(row, trace.answer.text, " ".join(citation.quote for citation in trace.answer.citations))


def holds(row: Row, said: str, quotes: str = "") -> bool:
    """Whether what is said, or its quotes, have every key; of a row without any, whether what is said has an answer."""
    text = bare(said)
    if row.keys:
        quoted = text + bare(quotes)
        return all(bare(key) in quoted for key in row.keys)
    return any(bare(answer) in text for answer in row.answers)


def bare(text: str) -> str:
    """Without case, width, spaces and markup: what a reader would call the same words."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if not char.isspace() and char not in "*`_|\\")


def _rank(row: Row, found: SearchResult) -> int:
    """Rank of the first right document among the documents found, 0 when it is not there."""
    seen: list[set[str]] = []
    for hit in found.hits:
        paths = {hit.passage.document, *(place.path for place in hit.passage.also_at)}
        if not any(hit.passage.document in others for others in seen):
            seen.append(paths)
    return next((number for number, paths in enumerate(seen, 1) if paths & row.pages), 0)


def figures(asked: Sequence[Asked]) -> dict[str, Any]:
    """Shares are 0..1; None where there is nothing to take a share of. Times in milliseconds."""
    sent = [one for one in asked if one.trace.answer.route in (Route.GROUNDED, Route.CURATED)]
    answerable = [one for one in asked if one.row.answerable]
    unanswerable = [one for one in asked if not one.row.answerable]
    paged = [one for one in answerable if one.row.pages]
    times = sorted(one.trace.timings_ms["total"] for one in asked)
    return {
        "questions": len(asked),
        "answerable": len(answerable),
        "answered": len(sent),
        "answered_by": sorted({one.trace.answer.model for one in sent}),
        "quoted": _share(one.trace.answer.model == ExtractiveGenerator.name for one in sent),
        "right_of_answered": _share(one.right for one in sent),
        "coverage_of_answerable": _share(one in sent for one in answerable),
        "unanswerable_answered": _share(one in sent for one in unanswerable),
        "page_first": _share(one.rank == 1 for one in paged),
        "page_in_top_5": _share(0 < one.rank <= 5 for one in paged),
        "page_mrr_10": _mean(1 / one.rank if 0 < one.rank <= 10 else 0.0 for one in paged),
        "ask_ms_p50": times[len(times) // 2],
        "ask_ms_p95": times[int(len(times) * 0.95)],
        "confidently_wrong": [_line(one) for one in sorted(sent, key=_confidence, reverse=True) if not one.right][:10],
    }


def _confidence(one: Asked) -> float:
    return one.trace.answer.confidence


def _line(one: Asked) -> dict[str, Any]:
    answer = one.trace.answer
    return {
        "question": one.row.question.text,
        "answer": answer.text[:200],
        "confidence": round(answer.confidence, 3),
        "answerable": one.row.answerable,
    }


def _share(values: Iterable[bool]) -> float | None:
    return _mean(map(float, values))


def _mean(values: Iterable[float]) -> float | None:
    every = list(values)
    return round(sum(every) / len(every), 4) if every else None
