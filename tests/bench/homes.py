"""The indexes that the benchmarks' question files are asked of, and which file is asked of which.

Made in a folder as anybody would, with `answerloop index` (15 minutes for all), and found there by the next benchmark.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from indexer.build import versions
from tests.bench import faq_questions
from tests.bench.retrieval import DATA, rows
from tests.processes import report

ROOT = Path(__file__).resolve().parents[2]
_CORPORA = DATA / "corpora"
_PARAGRAPHS = "none"  # a file whose rows carry paragraphs is asked of these alone


def _corpora(*names: str) -> Callable[[Path], list[Path]]:
    return lambda _folder: [_CORPORA / name for name in names]


def _conversations(folder: Path) -> list[Path]:
    """Each passage of the conversations a document."""
    texts = folder / "mtrag-texts"
    texts.mkdir(exist_ok=True)
    for number, row in enumerate(rows("mtrag_passages_en")):
        (texts / f"{number:05}.txt").write_text(row["text"], "utf-8")
    return [texts]


HOMES: dict[str, Callable[[Path], list[Path]]] = {
    "redis": _corpora("redis_doc_en"),
    "polardb": _corpora("polardb_pg_docs", "polardb_stack_docs"),
    "polardb_faq": _corpora("polardb_pg_docs", "polardb_stack_docs"),
    "tidb": _corpora("tidb_docs_cn"),
    "pg": _corpora("postgresql_sgml_en"),
    "manual": lambda _folder: [ROOT / "docs"],
    "mtrag": _conversations,
}
"""Name → the folders that are indexed. polardb_faq has every other entry of the FAQ as an approved answer, too."""


@contextlib.contextmanager
def folder(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.Namespace, Path]]:
    """The options of a benchmark, and the folder of its homes: that of --homes, or one of the occasion."""
    parser.add_argument("--homes", type=Path, help="keep the indexes here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        yield options, (options.homes or Path(scratch)).resolve()


@dataclass(frozen=True, slots=True)
class File:
    """A question file, and the home that it is asked of."""

    path: Path
    home: Path

    @property
    def name(self) -> str:
        return self.path.name


def own(name: str, home: str, folder: Path) -> File:
    """Written for fitting: a file of tests/bench/questions."""
    return File(Path(__file__).parent / "questions" / f"{name}.jsonl", made(home, folder))


def manual(folder: Path) -> File:
    return File(ROOT / "tests" / "docs" / "questions.jsonl", made("manual", folder))


def faq(folder: Path) -> File:
    path = folder / "polardb_faq (tests.bench.faq_questions)"
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in faq_questions.questions()), "utf-8")
    return File(path, made("polardb_faq", folder))


def public(name: str, home: str, folder: Path) -> File:
    """One of the public question sets beside the project."""
    return File(DATA / "qa" / f"{name}.jsonl", made(home, folder))


def paragraphs(name: str, folder: Path) -> File:
    return File(DATA / "qa" / f"{name}.jsonl", folder / _PARAGRAPHS)


def made(name: str, folder: Path) -> Path:
    """The home, made if it is not there yet. Raises RuntimeError with the words of the command that failed."""
    home = folder / name
    if not (home.is_dir() and versions(home / "index")):
        folder.mkdir(parents=True, exist_ok=True)
        sources = [argument for path in HOMES[name](folder) for argument in ("-s", f"{path.name}={path}")]
        report(home, "index", *sources)
        if name == "polardb_faq":
            report(home, "curated", "import", str(_every_other_entry(folder)))
    return home


def _every_other_entry(folder: Path) -> Path:
    path = folder / "half_faq.jsonl"
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows("polardb_faq")[::2]), "utf-8")
    return path
