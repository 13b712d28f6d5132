"""A candidate model beside the one that is served: it gets a share of the real questions after their replies have left.

What it would have said is kept and never shown to an asker. One question at a time, and as long a rest after each as it
took: the candidate works at most half of the time, and questions that do not find room are left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from router import answering
from router.answering import Parts
from router.errors import AnswerloopError, GeneratorUnavailable
from router.ports import Generator
from router.types import Draft, Question, Route, SearchResult, Trace
from services.generation.endpoints import share_of
from services.store import shadows
from services.store.shadows import Shadow
from services.store.sql import SqlStore

WAITING = 16  # questions at most: what waits longer is no longer beside the live answer
MOST = 10_000  # answers of one shadow; what is not known by then, more of them do not tell
_WRITTEN = frozenset({Route.GROUNDED, Route.ABSTAINED})  # what a model may have had a part in

log = logging.getLogger("answerloop.shadow")


class Candidate(Protocol):
    """What is used of `services.generation.service.ModelService`."""

    def start(self) -> None: ...
    def follow(self, release: str) -> None: ...
    async def look(self) -> None: ...
    def status(self) -> str: ...
    def generator(self, quoting: Generator, facts: Any) -> Generator: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Asked:
    question: Question
    trace: Trace
    parts: Parts


class Shadowing:
    """Use from one event loop. bring_up: a service for one more model, not started; None where there can be none."""

    def __init__(self, store: SqlStore, bring_up: Callable[[], Candidate | None], timeout_s: float) -> None:
        self._store, self._bring_up, self._timeout_s = store, bring_up, timeout_s
        self._shadow: Shadow | None = None
        self._model: Candidate | None = None
        self._waiting: asyncio.Queue[_Asked] = asyncio.Queue(WAITING)
        self._worker: asyncio.Task[None] | None = None
        self._problem = ""
        self._room = 0

    async def refresh(self) -> None:
        """Begins or ends, as it was chosen by whatever process. Called every second."""
        wanted = await self._store.read(shadows.current)
        if wanted != self._shadow:
            await self.close()
            if wanted is not None:
                await self._begin(wanted)
        if self._model is not None:
            await self._model.look()

    def offer(self, question: Question, trace: Trace, parts: Parts) -> None:
        """A question whose reply is on its way. Returns at once."""
        shadow = self._shadow
        if shadow is None or self._model is None or self._room <= 0 or trace.answer.route not in _WRITTEN:
            return
        if trace.release != shadow.release_id or share_of(f"shadow {trace.id}") >= shadow.share:
            return
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait(_Asked(question, trace, parts))

    def status(self) -> dict[str, str]:
        """For `/ready`."""
        if self._shadow is None:
            return {}
        state = self._model.status() if self._model else self._problem
        return {"shadow": f"{self._shadow.model} on {self._shadow.share:.0%} of the questions: {state}"}

    async def close(self) -> None:
        self._shadow = None
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        if self._model is not None:
            await self._model.close()
        self._worker = self._model = None
        self._waiting = asyncio.Queue(WAITING)

    async def _begin(self, wanted: Shadow) -> None:
        self._shadow, self._problem = wanted, ""
        self._room = MOST - await self._store.read(lambda c: shadows.count(c, wanted.id))
        model = self._bring_up()
        if model is None:
            self._problem = "there is nothing here that could serve it"
            return
        try:
            model.follow(wanted.model)
            model.start()
        except AnswerloopError as error:
            self._problem = str(error)
            log.error("the model %s cannot be tried: %s", wanted.model, error)
            await model.close()
            return
        self._model = model
        self._worker = asyncio.create_task(self._work(wanted, model))

    async def _work(self, shadow: Shadow, model: Candidate) -> None:
        while True:
            asked = await self._waiting.get()
            begun = time.monotonic()
            try:
                await self._try(shadow, model, asked)
            except Exception:  # a shadow never takes the server with it
                log.exception("a question could not be asked of %s", shadow.model)
            await asyncio.sleep(time.monotonic() - begun)

    async def _try(self, shadow: Shadow, model: Candidate, asked: _Asked) -> None:
        noting = _Noting(model.generator(asked.parts.quoting, lambda _paths: {}))
        parts = replace(asked.parts, generator=noting)
        again, _ = await asyncio.wait_for(answering.propose(asked.question, parts), self._timeout_s)
        self._room -= 1
        said = {"question": asked.trace.question.text, "asked": asked.trace.normalised, "problem": noting.problem}
        payload = {**said, "live": _side(asked.trace), "candidate": _side(again)}
        await self._store.write(lambda c: shadows.put(c, shadow.id, asked.trace.id, payload))


class _Noting:
    """`router.ports.Generator` that remembers why its model did not answer."""

    def __init__(self, generator: Generator) -> None:
        self._generator, self.problem = generator, ""
        self.name = generator.name

    async def generate(self, question: Question, found: SearchResult) -> Draft:
        try:
            return await self._generator.generate(question, found)
        except GeneratorUnavailable as error:
            self.problem = str(error)
            raise


def _side(trace: Trace) -> Mapping[str, Any]:
    """ms: until the draft was there, retrieval not counted."""
    answer = trace.answer
    return {
        "route": answer.route.value,
        "answer": answer.text,
        "confidence": round(answer.confidence, 4),
        "model": answer.model,
        "supported": trace.features.get("claims_supported"),
        "ms": trace.timings_ms.get("generate", 0.0),
    }
