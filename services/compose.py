"""The only place that wires things together: settings in, a working system out. Tests wire differently.

A `System` serves one release at a time. Everything that belongs to a release hangs on one `_Serving`, so activating
another one is a single assignment; questions under way finish on the old one, which is then closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer import processors
from indexer.build import prune, version_folder
from router import answering
from router.answering import Parts
from router.confidence import Calibration
from router.errors import IndexUnavailable, Mismatch, NotFound
from router.prompt import prompt_hash
from router.types import Citation, Hit, Question, Release, ReviewItem, SearchResult, Trace
from services.calibrations import calibration_of, for_index, packaged_calibration, under
from services.citing import citations, passage_deed
from services.curated.embedding import TogetherEmbedder
from services.curated.live import LiveCurated
from services.curated.vocabulary import packaged_guards
from services.explaining import explanation
from services.generation import ordering, reading
from services.generation.extractive import ExtractiveGenerator
from services.generation.quoting import Quoting
from services.generation.quoting_process import CrowdedGenerator
from services.pinned import pinned_versions
from services.review.budgeting import Budgeting
from services.review.loop import ReviewLoop
from services.review.shadowing import Shadowing
from services.review.writers import writer_now
from services.settings import Settings
from services.store.records import now
from services.store.sql import SqlStore
from services.trace_ids import TraceIds

if TYPE_CHECKING:
    from indexer.batching import BatchingRetriever
    from indexer.content import Facts
    from router.checking import Entailment
    from router.ports import Embedder, Engines, Generator, Retriever
    from services.generation.service import ModelService

_AGAIN_S = 10.0  # before a release that could not be opened is tried again
_NO_RELEASE = Release("none", "", "none", "none", "none", "none", "none")
log = logging.getLogger("answerloop.serving")


@dataclass(frozen=True, slots=True)
class Outcome:
    trace: Trace
    review_item: ReviewItem | None


@dataclass(frozen=True, slots=True)
class Readiness:
    """parts: what each part says of itself, "ok, …" or what is wrong and what to do."""

    ready: bool
    parts: Mapping[str, str]


@lru_cache(maxsize=2)  # search and curated matching share it
def embedder_of(settings: Settings) -> Callable[[], Embedder]:
    """The text embedder, loaded when first asked for and then kept."""

    @lru_cache(maxsize=1)
    def load() -> Embedder:
        if settings.embedder_url:
            from indexer.backends import http_embedder

            endpoint = http_embedder.Endpoint(settings.embedder_url, settings.embedder, settings.embedder_key)
            return http_embedder.load(endpoint)
        from indexer.backends import sentence_transformer

        name = "all-MiniLM-L6-v2" if settings.embedder == "packaged" else settings.embedder
        return sentence_transformer.load(name, settings.home / "models")

    return load


def near_embedder_of(settings: Settings) -> Callable[[], Embedder | None]:
    """The text embedder for curated matching, if it is the one that the near stage was fitted with."""
    load = embedder_of(settings)

    @lru_cache(maxsize=1)
    def fitted() -> Embedder | None:
        embedder = load()
        return embedder if embedder.fingerprint == packaged_guards().near.embedder else None

    return fitted


def entailment_of(model: str) -> Entailment | None:
    """What confirms the sentences of a model's draft; "" for nothing. Raises `Misconfigured`."""
    from indexer.backends import entailment

    return entailment.load(model) if model else None


def engines_of(settings: Settings) -> Engines:
    """Where passages are searched: the embedded engine, or a Qdrant server. Raises Misconfigured without its client."""
    if settings.qdrant_url:
        from indexer.backends.qdrant_server import QdrantEngines

        return QdrantEngines(settings.qdrant_url, settings.qdrant_key)
    from indexer.backends.qdrant_edge import EdgeIndex

    return EdgeIndex


def index_home(settings: Settings) -> Path:
    return settings.home / "index"


def open_retriever(settings: Settings, version: str) -> BatchingRetriever:
    """Raises IndexUnavailable when the version is not there, Mismatch when it was made by other rules."""
    from indexer.batching import BatchingRetriever
    from indexer.replica import copy_version
    from indexer.search import Searcher
    from indexer.version import check, read_manifest

    if settings.index_from:
        copy_version(Path(settings.index_from), index_home(settings), version)
    folder = version_folder(index_home(settings), version)
    manifest = read_manifest(folder)
    embedder = embedder_of(settings)
    check(manifest, embedder().fingerprint)
    engine = engines_of(settings).open(folder / "engine", manifest.dimensions)
    return BatchingRetriever(Searcher(folder, engine, embedder))


@dataclass(frozen=True, slots=True)
class _NoIndex:
    """`router.ports.Retriever` where there is no release yet, or none that can be opened."""

    problem: str

    async def search(self, *_: object, **__: object) -> SearchResult:
        raise IndexUnavailable(self.problem)


@dataclass(frozen=True, slots=True)
class _Serving:
    release: Release
    retriever: BatchingRetriever
    parts: Parts
    quoting: CrowdedGenerator


class System:
    """One process's answering. Use from one event loop. model: writes the answers where there is one; without it, and
    while it is not available, they are quoted."""

    def __init__(self, settings: Settings, store: SqlStore, model: ModelService | None = None) -> None:
        self.settings = settings
        self.store = store
        self.model = model
        self.curated = LiveCurated(store.curated, TogetherEmbedder(near_embedder_of(settings)))
        self.review = ReviewLoop(settings, store, self.curated)
        self.budget = Budgeting(settings, store, index_home(settings), partial(writer_now, model))
        self.shadow: Shadowing | None = None  # only where questions come all the time
        self._serving: _Serving | None = None
        self._problem = "no index yet; make one with `answerloop index --source NAME=FOLDER_OR_GIT_URL`"
        self._refused = ("", 0.0)  # a release that could not be opened, and until when it is left alone
        self._switching = asyncio.Lock()
        self._under_way = 0  # questions that are being answered
        self._ids = TraceIds()

    async def ask(self, question: Question) -> Outcome:
        """Returns once the trace is durable. Raises IndexUnavailable when there is neither a release nor a curated
        answer to answer with."""
        parts = self._parts()
        self._under_way += 1
        try:
            outcome = Outcome(*await answering.answer(question, parts))
        finally:
            self._under_way -= 1
        if self.shadow:
            self.shadow.offer(question, outcome.trace, parts)
        return outcome

    async def explain(self, question: Question) -> dict[str, Any]:
        """What would be answered now and why; nothing is recorded."""
        parts = self._parts()
        trace, _ = await answering.propose(question, parts)
        return explanation(trace, parts.calibration)

    async def why(self, trace_id: str) -> dict[str, Any]:
        """Why an answer was given, with the calibration of then. Raises NotFound."""
        trace = await self.store.get_trace(trace_id)
        try:
            release = await self.store.get_release(trace.release)
            calibration = under(self.settings, await calibration_of(self.store, release.calibration))
        except NotFound:
            return explanation(trace, None)
        return explanation(trace, for_index(calibration, index_home(self.settings), release.index_version))

    async def search(self, question: str, limit: int, filters: Mapping[str, str]) -> SearchResult:
        return await ordering.search(self._current().retriever, question, limit, filters)

    def cite(self, hits: Sequence[Hit]) -> tuple[Citation, ...]:
        """Passages found as citations, whole, with the revision of their document."""
        return self._parts().cite(tuple(hits))

    def readiness(self) -> Readiness:
        tried = self.shadow.status() if self.shadow else {}
        parts = {"database": "ok", "curated": self.curated.status(), **self.budget.ready(), **tried}
        if self._serving is None:
            return Readiness(False, {**parts, "index": self._problem})
        release = self._serving.release
        index = f"ok, version {release.index_version}"
        generator = release.model
        if self.model and self.model.writes(release.model):
            generator = self.model.status() + _other_prompts(release)
        return Readiness(True, {**parts, "index": index, "generator": generator, "calibration": release.calibration})

    async def activate(self, release_id: str, who: str, keep_curated: bool = False) -> Release:
        """Serve another release, back or forward, with the curated answers it had, unless they are to be kept. It is
        opened first: one that cannot be opened is not activated. Its curated answers follow their sources before its
        documents answer, and after they are its own: what the release that is left keeps is not touched."""
        async with self._switching:
            release = await self.store.get_release(release_id)
            serving = await self._open(release)
            release = await self.store.activate_release(release_id, who, keep_curated)
            await self._follow_sources(release)
            await self._switch(serving)
        return release

    @contextlib.asynccontextmanager
    async def trying(self, release_id: str) -> AsyncIterator[Parts]:
        """The parts of another release, to try questions out; what is served stays as it is. Raises as `activate`."""
        tried = await self._open(await self.store.get_release(release_id))
        try:
            await self.curated.refresh()
            await self.review.refresh()
            yield tried.parts
        finally:
            await asyncio.to_thread(tried.retriever.close)
            await _close_quoting(tried, self._serving)

    async def refresh(self) -> None:
        """Serve the active release, if it is another one than now: a reindex, another process or the CLI chose it; and
        the newest curated answers; and what the model's servers say of themselves."""
        if self.model:
            await self.model.look()
        if self.shadow and self._serving:
            await self.shadow.refresh()
        await self.curated.refresh()
        await self.review.refresh()
        await self._keep_budget()
        active = await self.store.active_release()
        left_alone = self._refused[0] if time.monotonic() < self._refused[1] else None
        if active is None or active.id in (left_alone, self._serving and self._serving.release.id):
            return
        async with self._switching:
            try:
                serving = await self._open(active)
                await self._follow_sources(active)
                await self._switch(serving)
                await self._drop_old_copies()
            except (IndexUnavailable, Mismatch, NotFound) as error:
                self._refused = (active.id, time.monotonic() + _AGAIN_S)  # a disk elsewhere may be back by then
                self._problem = f"release {active.id} cannot be served: {error}"
                log.error("%s", self._problem)

    async def _drop_old_copies(self) -> None:
        """Where this is a replica: who indexes prunes his own."""
        if self.settings.index_from:
            keep, home = await pinned_versions(self.store), index_home(self.settings)
            await asyncio.to_thread(prune, home, keep, engines_of(self.settings))

    async def _keep_budget(self) -> None:
        """The lines of the newest certificate, whoever made it, if it is one of the model that writes now."""
        if self._serving is not None and await self.budget.moved(self._serving.release):
            calibration = await self._calibration(self._serving.release)
            self._serving = replace(self._serving, parts=replace(self._serving.parts, calibration=calibration))

    async def _calibration(self, release: Release) -> Calibration:
        return for_index(await self.budget.calibration(release), index_home(self.settings), release.index_version)

    async def _follow_sources(self, release: Release) -> None:
        """Before the documents of this release answer, what was approved by others is looked at."""
        await self.curated.refresh()
        await self.review.follow_index(version_folder(index_home(self.settings), release.index_version))

    async def close(self) -> None:
        if self.shadow:
            await self.shadow.close()
        await self._switch(None)
        if self.model:
            await self.model.close()
        await self.review.close()
        self.store.close()

    def _parts(self) -> Parts:
        """Those of the release; without one, the curated answers alone."""
        if self._serving is not None:
            return self._serving.parts
        if not self.curated.entries.entries:
            raise IndexUnavailable(self._problem)
        quoting = ExtractiveGenerator(lambda _paths: {})
        nothing = _NoIndex(self._problem)
        return self._made(nothing, quoting, packaged_calibration(), _NO_RELEASE, {})

    def _current(self) -> _Serving:
        if self._serving is None:
            raise IndexUnavailable(self._problem)
        return self._serving

    async def _open(self, release: Release) -> _Serving:
        retriever = await asyncio.to_thread(open_retriever, self.settings, release.index_version)
        folder = version_folder(index_home(self.settings), release.index_version)
        here = await asyncio.to_thread(Quoting.open, folder)
        quoting = CrowdedGenerator(here, folder, self._crowded)
        calibration = await self._calibration(release)
        parts = self._made(retriever, quoting, calibration, release, here.facts)
        return _Serving(release, retriever, parts, quoting)

    def _crowded(self) -> bool:
        return self._under_way > 1 and self.settings.quoting_process and len(processors.usable()) > 1

    def _made(
        self, retriever: Retriever, quoting: Generator, calibration: Calibration, release: Release, facts: Facts
    ) -> Parts:
        model = self.model if self.model and self.model.writes(release.model) else None
        return Parts(
            curated=self.curated,
            retriever=retriever,
            generator=model.generator(quoting, lambda _paths: facts) if model else quoting,
            quoting=quoting,
            calibration=calibration,
            store=self.store,
            release=release.id,
            cite=lambda hits: citations(facts, hits),
            new_id=self._ids.new,
            now=now,
            policy=self.review.policy(),
            another_deed=passage_deed,
            adviser=model.adviser() if model and self.settings.model_advice else None,
            prompt=prompt_hash() if model else "",
        )

    async def _switch(self, serving: _Serving | None) -> None:
        old, self._serving = self._serving, serving
        if serving and self.model:
            self.model.follow(serving.release.model)
        if old:
            await asyncio.to_thread(old.retriever.close)  # finishes the searches that wait
            await _close_quoting(old, self._serving)


def _other_prompts(release: Release) -> str:
    """What `/ready` says of a model that was tuned with other prompts than this version renders: an upgrade does that,
    and its answers get worse without any error. "none": no tuned model was promoted into this release."""
    if release.prompt_hash in ("none", prompt_hash()):
        return ""
    return "; it was tuned with other prompts than this version renders: train and promote it again"


async def _close_quoting(old: _Serving, new: _Serving | None) -> None:
    if new is None:
        reading.keep(None)
    await old.quoting.close()


def model_of(settings: Settings, own: bool, folder: str = "generator") -> ModelService | None:
    """own: the model of the settings or of the release is served by a vLLM of its own where no server of models is
    named: for who serves, not for who asks once. folder: where, in the home, that vLLM has its log: one for each that
    may run beside another."""
    if not settings.generator_url and not own:
        return None
    from services.generation.service import ModelService

    return ModelService(settings, folder, entailment_of(settings.entailment))


def open_system(settings: Settings, own_model: bool = False) -> System:
    """Opens the store and the active release. A system without an index runs, and says that it is not ready. own_model:
    see `model_of`; it begins to load when all else is there, and a model in shadow is tried."""
    settings.make_home()
    store = SqlStore.open(settings.store_url, flush_s=settings.trace_flush_s)
    system = System(settings, store, model_of(settings, own_model))
    asyncio.run(system.refresh())
    if system.model:
        system.model.start()
    if own_model:
        bring_up = partial(model_of, replace(settings, model=""), own=True, folder="generator-shadow")
        system.shadow = Shadowing(system.store, bring_up, settings.ask_timeout_s)
    return system
