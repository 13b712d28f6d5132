"""Tokens are counted from a model's folder exactly as transformers counts them, template and all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router.errors import GeneratorUnavailable, Misconfigured
from router.prompt import Message, Source, render
from services.generation import counting
from services.generation.endpoints import Endpoint
from services.training.counting import tokenizer_of
from tests.serving.speaker import Speaker, speaking
from tests.training.tiny_models import make_tokenizer

TEXTS = ["How many connections does the pool hold? 连接池有多大？ 40 connections. 四十个。"] * 4
PROMPTS = [
    render("How many?", (Source("a > b", "  There are 7.\n\n\tTabs, <|im_end|> and 中文。"),), "en").messages,
    render("有几个？\n", (), "zh").messages,
    (Message("user", ""),),
]
TRICKY = """
{%- if messages[0]['role'] == 'system' %}
    {{- bos_token + messages[0]['content'] | trim }}
{%- endif %}
{% for message in messages %}
    {% if message.role == 'system' %}{% continue %}{% endif %}
    {%- if loop.last and not enable_thinking %}
        {{- '<|im_start|>' + message.content | tojson + '\\n' }}
    {%- else %}
        {{- '<|im_start|>' ~ message.content ~ eos_token ~ '\\n' }}
    {%- endif %}
{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
"""


def saved(folder: Path, template: str | None = None, chat: bool = True) -> Path:
    tokenizer = make_tokenizer(TEXTS, 400, chat)
    tokenizer.add_special_tokens({"bos_token": "<|endoftext|>"})
    if template:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3"}))  # what transformers looks for first
    return folder


@pytest.mark.parametrize("template", [None, TRICKY], ids=["chatml", "tricky"])
def test_as_transformers_counts(tmp_path: Path, template: str | None) -> None:
    folder = saved(tmp_path, template)
    ours, theirs = counting.local(folder), tokenizer_of(str(folder))
    for messages in PROMPTS:
        assert ours.messages(messages) == theirs.messages(messages)
        assert [ours.text(one.content) for one in messages] == [theirs.text(one.content) for one in messages]


def test_a_template_among_several_and_in_the_config_is_found(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    file = folder / "chat_template.jinja"
    config = json.loads((folder / "tokenizer_config.json").read_text())
    wanted = counting.local(folder).messages(PROMPTS[0])
    config["chat_template"] = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": file.read_text()}]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    file.unlink()
    assert counting.local(folder).messages(PROMPTS[0]) == wanted


def test_a_folder_that_is_no_chat_models_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        counting.local(tmp_path)
    with pytest.raises(Misconfigured, match="no chat template"):
        counting.local(saved(tmp_path, chat=False))


def test_a_template_cannot_reach_out_of_its_sandbox(tmp_path: Path) -> None:
    escape = "{{ messages.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(GeneratorUnavailable, match="refuses the prompt"):
        counting.local(saved(tmp_path, escape)).messages(PROMPTS[0])


def test_a_server_counts_where_there_is_no_folder_and_is_asked_once_for_each_text() -> None:
    with speaking(Speaker("m")) as speaker:
        tokenizer = counting.remote((Endpoint("http://127.0.0.1:9/v1"), speaker.endpoint), "m")
        assert tokenizer.text("七个字") == 3 and tokenizer.text("") == 0
        assert tokenizer.messages(PROMPTS[0]) == sum(len(one.content) for one in PROMPTS[0])
    assert tokenizer.text("七个字") == 3  # remembered: the server is gone
    with pytest.raises(GeneratorUnavailable, match="cannot count tokens"):
        tokenizer.text("other")
