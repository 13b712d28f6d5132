"""The OpenAI-compatible door, used through OpenAI's own client against a real server."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from services.api.openai import count_tokens
from tests.api.conftest import Start
from tests.live import Live

USER: ChatCompletionMessageParam = {"role": "user", "content": "add a read-only node"}


def client_of(server: Live, key: str = "unused") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


@pytest.fixture
def client(shared_server: Live) -> Iterator[openai.OpenAI]:
    with client_of(shared_server) as made:
        yield made


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["answerloop"]
    assert client.models.retrieve("answerloop").object == "model"


def test_a_completion_has_the_answer_its_sources_and_the_whole_reply(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="answerloop", messages=[USER], temperature=0.2, max_tokens=5)
    choice = reply.choices[0]
    assert choice.finish_reason == "stop"
    assert choice.message.content is not None
    answer, sources = choice.message.content.split("\n\n")
    assert answer.startswith("Add a read-only node")
    assert sources == "[1] docs/nodes.md > Manual > docs/nodes.md"
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
    assert reply.model_extra is not None
    assert reply.model_extra["answerloop"]["route"] == "grounded"


def test_streaming_with_usage(client: openai.OpenAI) -> None:
    plain = client.chat.completions.create(model="answerloop", messages=[USER]).choices[0].message.content
    chunks = list(
        client.chat.completions.create(
            model="answerloop", messages=[USER], stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == plain
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


def test_streaming_without_usage(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="answerloop", messages=[USER], stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_the_last_user_message_is_the_question_and_the_rest_its_history(here: Live) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": "You are a pirate."},
        {"role": "user", "content": "What is a node?"},
        {"role": "assistant", "content": "A machine."},
        {"role": "user", "content": [{"type": "text", "text": "How do I"}, {"type": "text", "text": "add one?"}]},
    ]
    with client_of(here) as client:
        client.chat.completions.create(model="answerloop", messages=messages, user="session 7")
    asked = here.system.asked[-1]
    assert asked.text == "How do I\nadd one?"
    assert [(turn.role, turn.content) for turn in asked.history] == [
        ("user", "What is a node?"),
        ("assistant", "A machine."),
    ]
    assert asked.session_id == "session 7"


def test_errors_have_the_shape_that_openai_clients_know(client: openai.OpenAI, shared_server: Live) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-4", messages=[USER])
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as unasked:
        client.chat.completions.create(model="answerloop", messages=[{"role": "assistant", "content": "x"}])
    assert (unasked.value.code, unasked.value.type) == ("no_question", "invalid_request_error")
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="answerloop", messages=[USER], n=2)
    reply = shared_server.client.get("/v1/nothing")
    assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


def test_an_error_in_a_stream_reaches_the_client(start: Start) -> None:
    with client_of(start(system_options={"broken": True})) as client, pytest.raises(openai.APIError) as failed:
        list(client.chat.completions.create(model="answerloop", messages=[USER], stream=True))
    assert "answerloop index" in failed.value.message


def test_a_wrong_key(here: Live) -> None:
    made = here.client.post("/admin/keys", json={"name": "a", "role": "admin"}).json()["key"]
    with client_of(here, "al_wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()
    with client_of(here, made) as client:
        assert client.models.list().data


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("只读节点", 4), ("abcd efgh", 2), ("abcde", 2)])
def test_the_estimate_of_tokens(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens
