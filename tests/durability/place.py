"""A small manual on disk, its index, and what may be asked about it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from indexer.build import version_folder, versions
from indexer.content import Content
from indexer.version import Arrays
from tests.processes import report

NAMES = """acorn anchor badger basalt beacon birch bobbin brook buckle canyon cedar cobalt comet copper coral cricket
dahlia denim ember falcon fennel flint garnet ginger glacier granite hazel heron hickory indigo ivory jasper juniper
kestrel lagoon lantern lichen linden magnet maple marble mosaic nettle nickel onyx orchid otter pebble pepper pigeon
poplar quartz raven saffron sparrow thistle timber topaz tundra walnut""".split()


@dataclass(frozen=True)
class Place:
    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def pages(self) -> Path:
        return self.folder / "pages"

    def write(self, name: str, edition: int) -> None:
        number = NAMES.index(name)
        text = (
            f"# The {name} valve\n\nThe {name} valve opens at {number + 3} bar and closes at {number + 1} bar.\n\n"
            f"## Care of the {name} valve\n\nGrease the {name} valve every {number + 5} weeks with silicone paste. "
            f"This is edition {edition} of the page.\n"
        )
        self.pages.mkdir(parents=True, exist_ok=True)
        (self.pages / f"{name}.md").write_text(text, "utf-8")

    def index(self, *arguments: str) -> Any:
        return report(self.home, "index", *arguments, corpus_seconds=1)

    def left_over(self) -> list[str]:
        """What a killed build leaves and the next one sweeps away."""
        return [path.name for path in (self.home / "index" / "versions").iterdir() if path.name.startswith(".")]

    def check_versions(self) -> None:
        """Every version that can be seen is whole."""
        for manifest in versions(self.home / "index"):
            folder = version_folder(self.home / "index", manifest.id)
            content = Content(folder / "content.db")
            try:
                assert len(list(content.all_passages())) == manifest.passages
            finally:
                content.close()
            assert len(Arrays.load(folder / "arrays").keys) == manifest.passages
            assert any((folder / "engine").rglob("*"))


def made(folder: Path) -> Place:
    place = Place(folder)
    for name in NAMES:
        place.write(name, 1)
    place.index("-s", f"manual={place.pages}")
    return place


def check_answers(client: httpx.Client, rng: random.Random) -> str:
    """One question about a page that is there in every edition. Returns the version that answered."""
    name = rng.choice(NAMES)
    found = client.post("/search", json={"question": f"At how many bar does the {name} valve open?", "limit": 3})
    assert found.status_code == 200, found.text
    assert found.json()["hits"][0]["document"] == f"manual/{name}.md"
    asked = client.post("/ask", json={"question": f"How often must I grease the {name} valve?"})
    assert asked.status_code == 200, asked.text
    reply = asked.json()
    assert reply["id"] and reply["route"] in {"grounded", "abstained"}
    assert {cited["source"] for cited in (*reply["citations"], *reply["maybe_useful"])} & {f"manual/{name}.md"}
    return str(found.json()["index_version"])
