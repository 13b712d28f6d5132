"""A question may use a name or a number that only the answer gives; not one that merely begins or ends like it."""

from __future__ import annotations

import pytest

from router.curated import Entries
from router.types import CuratedEntry, How
from services.curated.vocabulary import packaged_guards

GUARDS = packaged_guards()
LIMIT = "How do I change the connection limit?"
LIMIT_ZH = "如何修改连接数上限？"
CONNECTIONS = "How do I change the connection limit with max_connections?"
CONNECTIONS_ZH = "如何用 max_connections 修改连接数上限？"
LENGTH, RETRIES = "How do I limit the length?", "How do I limit retries?"


@pytest.mark.parametrize(
    ("question", "answer", "asked", "guard"),
    [
        (LIMIT, "Set max_connections_per_user in the config.", CONNECTIONS, "name: max_connections"),
        (LIMIT, "Set superuser_max_connections in the config.", CONNECTIONS, "name: max_connections"),
        (LIMIT, "Set pool.max_connections in the config.", CONNECTIONS, "name: max_connections"),
        (LIMIT, "Set max_connections in the config.", CONNECTIONS, ""),
        (LIMIT, "Set max_connections_per_user, or max_connections.", CONNECTIONS, ""),
        (LIMIT, "Write it as max_connections: 200", CONNECTIONS, ""),
        (LIMIT_ZH, "修改max_connections_per_user参数。", CONNECTIONS_ZH, "name: max_connections"),
        (LIMIT_ZH, "修改max_connections参数。", CONNECTIONS_ZH, ""),
        (LIMIT_ZH, "配置文件是 /etc/polar.conf。", "如何在 polar.conf 修改连接数上限？", ""),
        (LENGTH, "Use --max-len for it.", "How do I limit the length with --max?", "name: --max"),
        (LENGTH, "Use --max for it.", "How do I limit the length with -max?", "name: -max"),
        (LENGTH, "Use --max.", "How do I limit the length with --max?", ""),
        (RETRIES, "Set it to 30.", "How do I limit retries to 3?", "number: 3"),
        (RETRIES, "Set it to 3.5.", "How do I limit retries to 3?", "number: 3"),
        (RETRIES, "From 1-3, as you like.", "How do I limit retries to 3?", "number: 3"),
        (RETRIES, "Set it to 3.", "How do I limit retries to 3?", ""),
        (RETRIES, "Set it to -3.", "How do I limit retries to 3?", "number: 3"),
        (RETRIES, "At most 1,200 of them.", "How do I limit retries to 200?", "number: 200"),
        (RETRIES, "At most 3,200 of them.", "How do I limit retries to 3?", "number: 3"),
        (RETRIES, "Set it to 5,3 or so.", "How do I limit retries to 3?", ""),
        (RETRIES, "With pg-3.", "How do I limit retries to 3?", ""),
        ("如何限制重试次数？", "改为 30。", "如何限制重试次数为 3？", "number: 3"),
        ("如何限制重试次数？", "改为3即可。", "如何限制重试次数为 3？", ""),
    ],
)
def test_names_and_numbers_are_told_whole(question: str, answer: str, asked: str, guard: str) -> None:
    match = Entries.build([CuratedEntry("one", question, answer)], GUARDS, "r").match(asked)
    assert match.how is (How.NONE if guard else How.NEAR)
    assert any(one.startswith(f"{guard} /") for one in match.candidates[0].guards) == bool(guard)


def test_plain_words_of_an_answer_may_be_inflected() -> None:
    entry = CuratedEntry("one", "How do I limit retries?", "Set it in the configuration of the workers.")
    asked = "How do I limit retries of a worker?"
    assert Entries.build([entry], GUARDS, "r").match(asked).how is How.NEAR
    assert Entries.build([CuratedEntry("one", entry.question, "Set it.")], GUARDS, "r").match(asked).entry is None
