"""The client of vLLM against a tiny real server: what is sent, what is read, and everything that may go wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from router.errors import GeneratorUnavailable
from router.packing import Tokenizer, Window
from router.prompt import TEMPLATE_OPTIONS, Message
from services.generation.endpoints import Endpoint, Served
from services.generation.vllm import SAMPLING, Vllm, Written, request, shares
from tests.bench.generation import BAR, outcome
from tests.serving.speaker import Speaker, speaking

ASKED = (Message("system", "Be brief."), Message("user", "连接池有多大？"))


@pytest.fixture
def two() -> Iterator[tuple[Speaker, Speaker]]:
    with ExitStack() as stack:
        yield stack.enter_context(speaking(Speaker())), stack.enter_context(speaking(Speaker()))


@pytest.fixture
def one() -> Iterator[Speaker]:
    with speaking(Speaker()) as speaker:
        yield speaker


def served(*endpoints: Endpoint, name: str = "tiny") -> Served:
    return Served(name, endpoints, Window(1024, 64), Tokenizer(len))


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def written(model: Served, timeout_s: float = 5.0) -> Written:
    client = Vllm(timeout_s)
    try:
        return await client.write(model, ASKED)
    finally:
        await client.close()


def test_text_and_probabilities_come_whole_whatever_the_pieces_on_the_network(one: Speaker) -> None:
    one.says = '日志默认保留 7 天 [1]。 "data: [DONE]" is text here'
    reply = run(written(served(one.endpoint)))
    assert (reply.text, reply.finish, reply.prompt_tokens) == (one.says, "stop", 9)
    assert reply.logprobs == (-0.25,) * len(one.says.split(" "))


def test_every_sampling_parameter_is_sent_so_that_no_generation_config_decides(one: Speaker) -> None:
    run(written(served(one.endpoint)))
    (body,) = one.bodies
    wanted = {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "seed": 0}
    wanted |= {"presence_penalty": 0.0, "frequency_penalty": 0.0, "stop": [], "max_tokens": 64, "logprobs": True}
    assert wanted.items() <= body.items() and SAMPLING.items() <= body.items()
    assert body["chat_template_kwargs"] == dict(TEMPLATE_OPTIONS)
    assert body["stream_options"] == {"include_usage": True}
    assert body == request("tiny", ASKED, 64)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_fails_before_the_first_token_is_tried_on_the_other_server(
    two: tuple[Speaker, Speaker], status: int
) -> None:
    two[0].fails = [status]
    assert run(written(served(*(one.endpoint for one in two)))).text == two[1].says
    assert [len(one.bodies) for one in two] == [1, 1]


def test_a_server_that_is_not_there_costs_one_attempt_and_is_then_left_alone(one: Speaker) -> None:
    model = served(Endpoint("http://127.0.0.1:9/v1"), one.endpoint)

    async def twice() -> None:
        await written(model)
        assert model.endpoints[0].breaker.open
        await written(model)

    run(twice())
    assert len(one.bodies) == 2


def test_after_three_attempts_it_gives_up_with_a_sentence(one: Speaker) -> None:
    one.fails = [503] * 9
    with pytest.raises(GeneratorUnavailable, match="not able to answer: not now"):
        run(written(served(one.endpoint)))
    assert len(one.bodies) == 3


def test_what_breaks_in_the_middle_is_never_finished_by_another_model(two: tuple[Speaker, Speaker]) -> None:
    two[0].breaks_after = 2
    with pytest.raises(GeneratorUnavailable, match="in the middle of the answer"):
        run(written(served(*(one.endpoint for one in two))))
    assert not two[1].bodies


def test_an_error_in_the_stream_is_said(one: Speaker) -> None:
    one.errs_after = 2
    with pytest.raises(GeneratorUnavailable, match="EngineCore encountered an issue"):
        run(written(served(one.endpoint)))


@pytest.mark.parametrize(
    ("changes", "name", "sentence"),
    [({"key": "k"}, "tiny", "ANSWERLOOP_GENERATOR_KEY"), ({"fails": [400]}, "tiny", "refused the request: not now")],
)
def test_what_trying_again_cannot_mend_is_not_tried_again(changes: dict[str, Any], name: str, sentence: str) -> None:
    with speaking(Speaker(**changes)) as speaker:
        endpoint = Endpoint(speaker.endpoint.url, "other")
        with pytest.raises(GeneratorUnavailable, match=sentence):
            run(written(served(endpoint, name=name)))
        assert len(speaker.bodies) == 1 and not endpoint.breaker.failures


def test_the_key_is_sent() -> None:
    with speaking(Speaker(key="k")) as speaker:
        assert run(written(served(speaker.endpoint))).text == speaker.says


def test_the_deadline_holds_for_an_answer_that_trickles(one: Speaker) -> None:
    one.token_s, one.says = 0.2, " ".join(["word"] * 50)  # 10 s
    begun = time.perf_counter()
    with pytest.raises(GeneratorUnavailable, match=r"no whole answer within 0\.5 s"):
        run(written(served(one.endpoint), 0.5))
    assert 0.4 < time.perf_counter() - begun < 5
    assert one.endpoint.breaker.failures == 1 and not one.endpoint.in_flight


def test_a_server_that_fails_again_and_again_is_left_alone_and_tried_after_a_rest(one: Speaker) -> None:
    one.fails = [500] * 3
    model = served(one.endpoint)

    async def story() -> None:
        with pytest.raises(GeneratorUnavailable):
            await written(model)
        with pytest.raises(GeneratorUnavailable, match="failed a moment ago and is tried again in 1 s"):
            await written(model)
        assert len(one.bodies) == 3  # the server was not asked
        await asyncio.sleep(1.05)
        assert (await written(model)).text == one.says
        assert not one.endpoint.breaker.failures

    run(story())


def test_askers_are_spread_over_the_servers_by_what_they_have_to_do(two: tuple[Speaker, Speaker]) -> None:
    for speaker in two:
        speaker.token_s = 0.03
    model = served(*(one.endpoint for one in two))

    async def many() -> None:
        client = Vllm(5.0)
        await asyncio.gather(*(client.write(model, ASKED) for _ in range(16)))
        await client.close()

    run(many())
    assert [one.most_at_once for one in two] == [8, 8]


def test_an_asker_who_leaves_ends_the_work_on_the_server(one: Speaker) -> None:
    one.says, one.token_s = "word " * 200, 0.02

    async def leave() -> None:
        client = Vllm(30.0)
        work = asyncio.create_task(client.write(served(one.endpoint), ASKED))
        while not one.at_once:
            await asyncio.sleep(0.01)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        for _ in range(100):
            if not one.at_once:
                break
            await asyncio.sleep(0.02)
        await client.close()

    run(leave())
    assert (one.at_once, one.left, one.endpoint.in_flight) == (0, 1, 0)
    assert not one.endpoint.breaker.failures  # it did nothing wrong


def test_choices_get_probabilities_that_add_up(one: Speaker) -> None:
    async def chosen() -> dict[str, float]:
        client = Vllm(5.0)
        try:
            return await client.choose(served(one.endpoint), ASKED, ("yes", "no"))
        finally:
            await client.close()

    found = run(chosen())
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["yes"] == pytest.approx(0.9168, abs=1e-3)  # e^-0.1 / (e^-0.1 + e^-2.5)
    assert one.bodies[0]["structured_outputs"] == {"choice": ["yes", "no"]}


def test_a_model_that_finds_no_choice_probable_says_nothing() -> None:
    with pytest.raises(GeneratorUnavailable, match="none of yes, no"):
        shares([{"token": "maybe", "logprob": -0.1}], ("yes", "no"))


@pytest.mark.parametrize(("lost", "status"), [(0.031, 0), (0.05, 0), (0.0501, 1)])
def test_the_benchmark_of_the_path_fails_above_its_bar(
    lost: float, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome({"lost": lost, "bar": BAR}) == status
    assert ("at most 5%" in capsys.readouterr().err) == bool(status)
