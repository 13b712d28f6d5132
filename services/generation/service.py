"""The model of one process: on servers that run elsewhere, or on a vLLM of its own. All that `compose` needs of it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from router.checking import Entailment
from router.errors import AnswerloopError, GeneratorUnavailable, InvalidInput
from router.ports import Adviser, Generator
from services.generation import launching, probing
from services.generation.advising import ModelAdviser
from services.generation.drafting import FactsOf, ModelGenerator
from services.generation.endpoints import Endpoint, Fleet, Served
from services.generation.probing import Listed
from services.generation.supervisor import Supervisor, counter, served_name, window_for
from services.generation.swapping import Swapped, Swapper, end_adapter, try_adapter
from services.generation.vllm import Vllm
from services.settings import Settings

_LOOK_EVERY_S = 5.0  # at servers that run elsewhere
_FIRST_LOOK_S = 5.0
_UP_S = 900.0  # for a model that is only tried out; see `supervisor` for one that serves
_UP_EVERY_S = 0.2
_ELSEWHERE_S = 30.0  # for one on servers that run elsewhere: nothing is loaded there
_NONE = ("", "none", "extractive")  # what a release names where its answers are quoted
_STATE = "no model has been reached yet"

log = logging.getLogger("answerloop.generator")


class ModelService:
    """Use from one event loop; close it there."""

    def __init__(self, settings: Settings, folder: str = "generator", entails: Entailment | None = None) -> None:
        """folder: see `services.compose.model_of`. entails: see `router.checking`."""
        self.fleet = Fleet(_STATE)
        self._settings, self._folder = settings, settings.home / folder
        self._client, self._entails = Vllm(settings.generator_timeout_s), entails
        self._swapper = Swapper(self.fleet, settings.generator_timeout_s)
        self._remote = _Remote(settings, self.fleet) if settings.generator_url else None
        self._own: Supervisor | None = None
        self._wanted = self.model_for("")
        self._started = False
        self._changes = ThreadPoolExecutor(1, "answerloop-models")
        self._problem = ""

    def start(self) -> None:
        """Begin to serve the model that is wanted; returns at once. Raises `Misconfigured` where the settings ask for a
        model and there is no vLLM; a release that asks for one is quoted then."""
        self._started = True
        if self._settings.model and not self._remote:
            self._own = self._begun(self._wanted)
        elif self._wanted and not self._remote:
            self._changes.submit(self._reach, self._wanted)

    def model_for(self, release: str) -> str:
        """What is served under a release that names this model: the settings' own choice, or the registered model's
        folder, or, on servers elsewhere, the name; "" for none."""
        if self._settings.model or release in _NONE:
            return self._settings.model
        folder = self._settings.home / "models" / "registry" / release
        return release if self._remote else str(folder) if folder.is_dir() else ""

    def writes(self, release: str) -> bool:
        """Whether a model writes the answers of a release that names this one."""
        return bool(self._remote or self.model_for(release))

    def follow(self, release: str) -> None:
        """The release that is served from now on names this model: it comes up beside the one that answers. Returns at
        once; what came of it is in `status`."""
        wanted = self.model_for(release)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if self._remote:
            self._remote.wanted = wanted
        if self._started or self._remote:
            self._changes.submit(self._reach, wanted)

    async def up(self, release: str) -> None:
        """For who only tries a release out: its model is brought up and waited for.

        Raises `GeneratorUnavailable` with the reason when it is not there in time, `Misconfigured` without a vLLM.
        """
        self.follow(release)
        if not self._started:
            self.start()
        until = time.monotonic() + (_ELSEWHERE_S if self._remote else _UP_S)
        while self.fleet.current is None:
            if self._problem or time.monotonic() > until:
                raise GeneratorUnavailable(f"{self.fleet.state}{self._problem}")
            await self.look()
            await asyncio.sleep(_UP_EVERY_S)

    def generator(self, quoting: Generator, facts: FactsOf) -> Generator:
        return ModelGenerator(self._client, self.fleet, quoting, facts, self._entails)

    def adviser(self) -> Adviser:
        return ModelAdviser(self._client, self.fleet)

    def writing(self) -> dict[str, float]:
        """The models that write now, as their answers name them, each with its share, 0..1, of the questions; none
        while there is none that is well."""
        return self.fleet.writing()

    async def planned(self, release: str) -> dict[str, float]:
        """As `writing`, for who does not serve: by what the settings and the release name, and what servers elsewhere
        list. What was swapped in, or is tried, in the process that serves is known there alone."""
        await self.look()
        model = self.model_for(release)
        return self.writing() or ({served_name(model): 1.0} if model else {})

    def status(self) -> str:
        return self.fleet.status() + self._problem

    async def look(self) -> None:
        """At servers that run elsewhere: what they serve, and whether they are well. Called often, looks seldom."""
        if self._remote:
            await self._remote.look()

    async def swap(self, model: str) -> Swapped:
        """To another model: a folder or name for a vLLM of one's own, a name that the servers list for others. Returns
        when the last answer of the old one is done. Raises `GeneratorUnavailable`, `Misconfigured`, `Conflict`."""
        return await asyncio.to_thread(self._swapper.swap, lambda: self._brought_up(model))

    async def rollback(self) -> Swapped:
        """To the model before the last swap. Raises as `Swapper.rollback`."""
        return await asyncio.to_thread(self._swapper.rollback)

    async def try_adapter(self, folder: Path, share: float) -> str:
        """A LoRA adapter on a share of the questions. Returns the name that its answers carry."""
        canary = await asyncio.to_thread(try_adapter, self.fleet, folder, share)
        return canary.served.name

    async def end_adapter(self) -> None:
        await asyncio.to_thread(end_adapter, self.fleet, self._settings.generator_timeout_s)

    async def close(self) -> None:
        await self._client.close()
        self._changes.shutdown(wait=False, cancel_futures=True)
        if self._own:
            await asyncio.to_thread(self._own.close)

    def _brought_up(self, model: str) -> Served:
        if self._own:
            return self._own.bring_up(model)
        if self._remote:
            return self._remote.served(model)
        raise GeneratorUnavailable(self.fleet.state)

    def _reach(self, wanted: str) -> None:
        """On a thread of its own, one at a time; one that was overtaken by the next is left out."""
        if wanted != self._wanted:
            return
        try:
            self._change(wanted)
            self._problem = ""
        except AnswerloopError as error:
            self._problem = f"; {Path(wanted).name} is wanted, but did not come up: {error}"
            log.error("%s", self._problem.removeprefix("; "))

    def _change(self, wanted: str) -> None:
        current = self.fleet.current
        if wanted and self._swapper.kept == Path(wanted).name:
            self._swapper.rollback()
        elif wanted and current:
            self._swapper.swap(lambda: self._brought_up(wanted))
        elif not self._remote:
            if self._own:
                self._own.close()
            self._own = self._begun(wanted) if wanted else None

    def _begun(self, model: str) -> Supervisor:
        settings = self._settings
        launch = launching.Launch(model, settings.model_window, settings.model_adapters)
        own = Supervisor(launch, settings.vllm_python, self._folder, settings.model_answer_tokens, self.fleet)
        own.start()
        return own


class _Remote:
    """Servers that run elsewhere: found out about, and looked at now and then."""

    def __init__(self, settings: Settings, fleet: Fleet) -> None:
        self._settings, self._fleet = settings, fleet
        self.wanted = settings.model
        self._looked = 0.0
        self._looking = threading.Thread()
        urls = [url.strip().rstrip("/") for url in settings.generator_url.split(",") if url.strip()]
        self._endpoints = tuple(Endpoint(url, settings.generator_key) for url in urls)

    async def look(self) -> None:
        """On a thread that nobody waits for; but the first look is waited for a little, so that a command that asks
        one question asks the model."""
        if time.monotonic() - self._looked < _LOOK_EVERY_S or self._looking.is_alive():
            return
        first, self._looked = not self._looked, time.monotonic()
        self._looking = threading.Thread(target=self._look, name="answerloop-models", daemon=True)
        self._looking.start()
        if first:
            await asyncio.to_thread(self._looking.join, _FIRST_LOOK_S)

    def _look(self) -> None:
        current = self._fleet.current
        if current is None or all(one.breaker.open for one in current.endpoints):
            self._connect()
            return
        for endpoint in current.endpoints:
            if endpoint.breaker.open and any(one.name == current.name for one in _listed(endpoint)):
                endpoint.breaker.succeeded()

    def _connect(self) -> None:
        try:
            served = self.served(self.wanted)
        except (GeneratorUnavailable, InvalidInput) as error:
            self._fleet.state = str(error)
            return
        self._fleet.move(served)
        log.info("%s answers", served.name)

    def served(self, model: str) -> Served:
        """model: a name that the servers list, a folder with its tokenizer, or "" for the only one they list.

        Raises `GeneratorUnavailable` when no server lists it, `InvalidInput` when it must be named.
        """
        lists = {endpoint: found for endpoint in self._endpoints if (found := _listed(endpoint))}
        if not lists:
            raise GeneratorUnavailable(f"no model server answers at {', '.join(one.url for one in self._endpoints)}")
        name = _name_of(model, [one for found in lists.values() for one in found])
        holders = [endpoint for endpoint, found in lists.items() if any(one.name == name for one in found)]
        away = [endpoint for endpoint in self._endpoints if endpoint not in lists]
        windows = [one.window for found in lists.values() for one in found if one.name == name and one.window]
        wanted = self._settings.model_window or launching.tuned_window(model)
        tokens = min((*windows, *([wanted] if wanted else ())), default=0)
        if not tokens:
            raise InvalidInput(f"{name}'s server does not say how long its window is; set ANSWERLOOP_MODEL_WINDOW")
        for endpoint in holders:
            endpoint.breaker.succeeded()
            probing.warm(endpoint, name)
        for endpoint in away:
            endpoint.breaker.failed(time.monotonic(), time.monotonic(), surely=True)
        counted = counter(model, tuple(holders), name)
        return Served(name, (*holders, *away), window_for(tokens, self._settings.model_answer_tokens), counted)


def _listed(endpoint: Endpoint) -> list[Listed]:
    try:
        return probing.listed(endpoint)
    except GeneratorUnavailable as error:
        log.warning("%s", error)
        return []


def _name_of(model: str, found: Sequence[Listed]) -> str:
    names = {one.name for one in found}
    wanted = (model, Path(model).name) if model else ()
    named = next((name for name in wanted if name in names), None)
    plain = sorted({one.name for one in found if not one.adapter})
    if named:
        return named
    if len(plain) == 1 and (not model or Path(model).is_dir()):
        return plain[0]
    raise InvalidInput(f"the model servers list {', '.join(sorted(names))}; ANSWERLOOP_MODEL must name one of them")
