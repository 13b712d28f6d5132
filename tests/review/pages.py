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


def manual(count: int, seed: int) -> list[Document]:
    """Pages in the shapes of a manual's: prose, steps, tables and code; no sentence stands twice."""
    rng = random.Random(seed)
    return [document(f"docs/page{number}.md", _page(number, rng), "en") for number in range(count)]


def _page(number: int, rng: random.Random) -> str:
    sections = (f"## Part {part}\n\n{_section(f'{number}.{part}', rng)}" for part in range(rng.randint(3, 12)))
    return "\n\n".join((f"# Machine {number}", *sections)) + "\n"


def _section(name: str, rng: random.Random) -> str:
    said = [_sentence(f"{name}.{at}", rng) for at in range(rng.randint(3, 9))]
    prose, rest = " ".join(said[:3]), said[3:]
    shaped = {
        "prose": " ".join(rest),
        "steps": "\n".join(f"{at}. {one}" for at, one in enumerate(rest, 1)),
        "rows": "\n".join(
            ("| what | how |", "|---|---|", *(f"| {name}.{at} | {one} |" for at, one in enumerate(rest)))
        ),
        "code": "\n".join(("```sh", *(f"set {one.lower().rstrip('.').replace(' ', '-')}" for one in rest), "```")),
    }
    return f"{prose}\n\n{rng.choice(list(shaped.values()))}".rstrip() if rest else prose


def _sentence(name: str, rng: random.Random) -> str:
    who, does, what = rng.choice(_WHO), rng.choice(_DOES), " ".join(rng.sample(_WHAT, rng.randint(1, 4)))
    return f"{who} {name} {does} the {what} every {rng.randint(2, 90)} minutes."


_WHO = ("Pump", "Valve", "Gauge", "Motor", "Filter")
_DOES = ("checks", "writes to", "waits for", "releases", "cleans", "reports")
_WHAT = ("outer", "cold", "second", "backup", "water", "oil", "pressure", "line", "tank", "log")


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
