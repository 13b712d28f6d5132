"""What stands above each passage, as numbers: the words of its headings and of its page's path, and which page it is.

Made with the version, so that a question looks at twenty candidates without reading any of their text. A version from
before this was kept is read once instead, when it is opened (a second for 20,000 passages).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from indexer.analysis import analyse, term_id
from indexer.content import Content
from indexer.runs import ranges

NAME = "above-1"  # of the folder: another number for other rules
Place = tuple[str, tuple[str, ...]]
"""A passage's document and headings."""
Ids = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Above:
    """Row r of `pages` belongs to passage row r; its terms are terms[offsets[r]:offsets[r + 1]].

    terms: uint32 [t], distinct ones of each passage. offsets: int64 [n + 1]. pages: int64 [n], a number for each
    document."""

    terms: Ids
    offsets: Rows
    pages: Rows

    @classmethod
    def of(cls, places: Iterable[Place], before: Mapping[Place, Ids] | None = None) -> Above:
        """In row order. The passages of one section have the same words above them, which are looked at once, or not
        at all where the version before has them (`by_place`)."""
        known = dict(before or {})
        numbers: dict[str, int] = {}
        found, pages = [], []
        for place in places:
            if place not in known:
                known[place] = np.unique(np.fromiter(map(term_id, analyse(_text(*place))), np.uint32))
            found.append(known[place])
            pages.append(numbers.setdefault(place[0], len(numbers)))
        offsets = np.cumsum([0, *map(len, found)], dtype=np.int64)
        return cls(np.concatenate([*found, np.empty(0, np.uint32)]), offsets, np.array(pages, np.int64))

    @classmethod
    def load(cls, folder: Path, content: Content) -> Above:
        """folder: of the version; content: its own."""
        if not (folder / NAME).is_dir():
            return cls.of(content.headings())
        names = cls.__dataclass_fields__  # mapped from disk, see `indexer.version.Arrays`
        return cls(*(np.asarray(np.load(folder / NAME / f"{name}.npy", mmap_mode="r")) for name in names))

    def by_place(self, content: Content) -> dict[Place, Ids]:
        """The terms above each place of this version; content: its own."""
        runs = zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)
        return {place: self.terms[start:end] for place, (start, end) in zip(content.headings(), runs, strict=True)}

    def save(self, folder: Path) -> None:
        (folder / NAME).mkdir()
        for name in self.__dataclass_fields__:
            np.save(folder / NAME / f"{name}.npy", getattr(self, name))

    def of_rows(self, rows: Rows) -> tuple[Ids, Rows]:
        """The terms above these passages, one passage after the other, and how many each has."""
        begin, end = self.offsets[rows], self.offsets[rows + 1]
        return self.terms[ranges(begin, end)], end - begin


def _text(document: str, heading: tuple[str, ...]) -> str:
    """The headings, and the path inside the source, which often names the product or the topic that the page itself
    takes for granted."""
    path = PurePosixPath(document).with_suffix("")
    return "\n".join((*heading, "/".join(path.parts[1:])))
