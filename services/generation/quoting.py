"""What quoting from one index version needs, opened and closed together."""

from __future__ import annotations

from pathlib import Path

from indexer.content import Content, Facts
from indexer.corpus_embedder import CorpusEmbedder
from router.types import Draft, Question, SearchResult
from services.citing import neighbours
from services.generation import reading
from services.generation.choosing import Meaning
from services.generation.extractive import ExtractiveGenerator, quote
from services.generation.readings import Readings


class Quoting:
    """`router.ports.Generator` over the folder of an index version, which is open until `close`. facts: of its
    documents, see `services.generation.blocks.Facts`."""

    name = ExtractiveGenerator.name

    def __init__(self, facts: Facts, readings: Readings | None, pages: Content, meaning: Meaning | None) -> None:
        self.facts, self._readings, self._pages, self._meaning = facts, readings, pages, meaning
        self._beside = neighbours(pages)

    @classmethod
    def open(cls, folder: Path) -> Quoting:
        """From now on readings are looked up here. Raises IndexUnavailable; Mismatch where its corpus embedder is of
        another version."""
        readings, pages = Readings.open(folder), Content(folder / "content.db")
        reading.keep(readings.get if readings else None)
        learned = folder / "corpus"
        meaning = CorpusEmbedder.load(learned).cosines if learned.is_dir() else None
        return cls(pages.facts(), readings, pages, meaning)

    def quote(self, question: str, found: SearchResult) -> Draft:
        return quote(question, found, lambda _paths: self.facts, self._beside, self._meaning)

    async def generate(self, question: Question, found: SearchResult) -> Draft:
        """A millisecond or two, on the event loop."""
        return self.quote(question.text, found)

    def close(self) -> None:
        if self._readings:
            self._readings.close()
        self._pages.close()
