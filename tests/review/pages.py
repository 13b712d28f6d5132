"""Index versions made of real pages without an engine: what provenance looks at is the content file alone."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from indexer import content
from indexer.chunking import chunk
from indexer.content import Stored
from indexer.version import Manifest
from router import units
from router.types import Citation, CuratedEntry, Document, Passage

CORPUS = Path(__file__).parents[3] / "shared" / "data" / "corpora" / "tidb_docs_cn"


def read(folder: Path = CORPUS, most: int | None = None) -> list[Document]:
    paths = sorted(folder.rglob("*.md"))[:most]
    return [document(str(path.relative_to(folder)), path.read_text("utf-8").replace("\r\n", "\n")) for path in paths]


def document(path: str, text: str, language: str = "zh") -> Document:
    return Document(path, "docs", Path(path).stem, language, text, "r1", "0" * 64)


def cut(page: Document) -> list[Passage]:
    return chunk(page, lambda texts: [len(text) for text in texts])


def make_version(folder: Path, parent: str | None, pages: Iterable[tuple[Document, Sequence[Passage]]]) -> Path:
    folder.mkdir(parents=True)
    held = list(pages)
    passages = {one.id: one for _, cut_ in held for one in cut_}
    documents = [Stored(page, b"", None) for page, _ in held]
    content.write(folder / "content.db", documents, passages.values(), [])
    manifest = Manifest(
        folder.name, "", parent, (), len(documents), len(passages), "", "", "", "", {}, {}, 0.0, {}, {}, {}
    )
    (folder / "manifest.json").write_text(json.dumps(asdict(manifest)))
    return folder


def entries(pages: Iterable[tuple[Document, Sequence[Passage]]], count: int, seed: int) -> list[CuratedEntry]:
    """Each cites one sentence of one passage."""
    places = [(page, passage) for page, cut_ in pages for passage in cut_]
    chosen = random.Random(seed).sample(places, min(len(places), count * 2))
    made = (entry(f"e{number}", *place) for number, place in enumerate(chosen))
    return [one for one in made if one][:count]


def entry(entry_id: str, page: Document, passage: Passage) -> CuratedEntry | None:
    unit = next((one for one in units.split(passage.text) if one.end - one.start > 15), None)
    if unit is None:
        return None
    quote = passage.text[unit.start : unit.end]
    start = passage.start + unit.start
    cited = Citation(passage.id, page.path, " > ".join(passage.heading), quote, start, start + len(quote), "r1")
    return CuratedEntry(entry_id, f"{page.path} {entry_id}", quote, citations=(cited,))


def edited(page: Document, rng: random.Random) -> Document:
    """As people edit: words of some lines replaced, a paragraph put in, one taken out, a section taken out."""
    lines = page.text.split("\n")
    full = [at for at, line in enumerate(lines) if len(line) > 20 and not line.startswith(("#", "```", "---", "|"))]
    for at in rng.sample(full, min(len(full), max(1, len(full) // 3))):
        kind = rng.choice(("words", "put in", "taken out"))
        middle = len(lines[at]) // 2
        lines[at] = {
            "words": lines[at][: middle - 3] + "（已修改）" + lines[at][middle + 3 :],
            "put in": f"{lines[at]}\n\n这里新增了一段说明，编号 {rng.randrange(10_000)}。",
            "taken out": "",
        }[kind]
    return replace(page, text="\n".join(lines))
