"""Other ways to ask the same question, by rule, in both languages. Answers are never varied.

A variant is kept only when the curated guards see no difference: another verb, number, name, negation or object makes
another question (重置 is not 卸载).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from router import wording
from router.guards import kinds_differ
from router.kinds import kinds_of

FEWEST, MOST = 2, 3  # variants of one question; more would teach the rules instead of the product

Guard = Callable[[str, str], Sequence[str]]
"""See `services.training.cleaning.Guard`."""


@dataclass(frozen=True, slots=True)
class Variant:
    """method: the rule. differences: what was put for what, as "old → new"."""

    question: str
    method: str
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """forms: templates of the whole question over the groups of `pattern`."""

    name: str
    pattern: re.Pattern[str]
    forms: tuple[str, ...]


def _rule(name: str, pattern: str, *forms: str) -> Rule:
    return Rule(name, re.compile(pattern, re.IGNORECASE), forms)


RULES: Mapping[str, tuple[Rule, ...]] = {
    "zh": (
        _rule("how", r"^(?:如何|怎么|怎样)(?P<x>[^，,？?]{2,60})[？?]$", "怎么{x}？", "怎样{x}？", "{x}的步骤是什么？"),
        _rule("what", r"^什么是\s?(?P<x>[^，,？?]{1,40})[？?]$", "{x}是什么？", "{x}指的是什么？"),
        _rule(
            "default",
            r"^(?P<x>[^，,？?]{1,60}?)\s?的默认值是多少[？?]$",
            "{x} 默认是多少？",
            "{x} 的缺省值是多少？",
            "不设置 {x} 时，它的默认值是多少？",
        ),
        _rule("why", r"^为什么(?P<x>[^？?]{2,80})[？?]$", "{x}，原因是什么？", "为何{x}？"),
        _rule("whether", r"^(?P<x>[^，,？?]{2,60})吗[？?]$", "请问{x}吗？", "想问一下，{x}吗？"),
    ),
    "en": (
        _rule(
            "how",
            r"^How (?:do|can) I (?P<x>[^?,]{3,90})\?$",
            "How can I {x}?",
            "How to {x}?",
            "What are the steps to {x}?",
        ),
        _rule("what", r"^What is (?P<x>(?!the default)[^?,]{1,50})\?$", "What does {x} mean?", "Can you define {x}?"),
        _rule(
            "default",
            r"^What is the default of (?P<x>[^?,]{1,60})\?$",
            "What is {x} by default?",
            "What is the default value of {x}?",
        ),
        _rule(
            "why",
            r"^Why (?P<x>(?:do|does|is|are|did|can)\b[^?]{3,90})\?$",
            "For what reason {x}?",
            "Can you tell me: why {x}?",
        ),
    ),
}
SYNONYMS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "zh": (("创建", "新建"), ("修改", "更改"), ("删除", "移除"), ("默认", "缺省"), ("查看", "查询")),
    "en": (("create", "make"), ("delete", "remove"), ("change", "modify"), ("by default", "unless set")),
}
"""Words that mean the same in every question of a product's documentation; each way round."""

MANNERS: Mapping[str, tuple[str, ...]] = {
    "zh": ("有个问题想了解一下：{x}？", "使用时遇到了这个问题，{x}？", "麻烦帮忙看一下，{x}？"),
    "en": (
        "Could you please tell me: {x}?",
        "I would like to find out: {x}?",
        "One thing that I need to know: {x}?",
    ),
}
"""Long enough that a question of usual length makes no near-copy (`services.training.cleaning.NEAR`)."""

_PASSIVE_ZH = re.compile(
    r"^(?:如何|怎么|怎样)(?P<verb>重启|重建|创建|删除|修改|启动|停止|升级|备份|恢复|查看|添加)(?P<x>[^，,？?的]{2,40})[？?]$"
)
_PASSIVE_EN = re.compile(r"^How (?:do|can) I (?P<verb>[a-z]+) (?P<x>(?:an?|the|my)? ?[^?,]{2,70})\?$", re.IGNORECASE)
_PARTICIPLES = {
    "set": "set", "run": "run", "build": "built", "make": "made", "write": "written", "read": "read", "stop": "stopped",
    "find": "found", "begin": "begun", "keep": "kept", "send": "sent", "drop": "dropped",
}  # fmt: skip
_SYNTAX = re.compile(r"\b(?:and|or|to|with|from|in|on|for|by|when|if|without|into)\b", re.IGNORECASE)


def variants(
    question: str, language: str, guard: Guard, more: Iterable[Variant] = ()
) -> tuple[list[Variant], list[tuple[Variant, str]]]:
    """Up to `MOST` that keep the meaning, and those that were refused, each with what differs. more: by a model.

    Which of many are taken is decided by a hash of the question, so that all the rules get their share. What people ask
    in their own way fits no rule; such a question is asked in other manners, so that it has `FEWEST`, too.
    """
    kept: dict[str, Variant] = {}
    refused: list[tuple[Variant, str]] = []
    written = list(more)
    spare = tuple(_in_other_manners(question, language))
    for one in (*_all(question, language), *written, *spare):
        key = wording.normalise(one.question)
        if key == wording.normalise(question) or key in kept or (one in spare and len(kept) >= FEWEST):
            continue
        if differs := guard(question, one.question) or (_other_kind(question, one.question) if one in written else ()):
            refused.append((one, "; ".join(differs)))
        else:
            kept[key] = one
    chosen = sorted(kept.values(), key=lambda one: sha256(f"{question}\n{one.question}".encode()).digest())
    return chosen[:MOST], refused


def _other_kind(one: str, other: str) -> tuple[str, ...]:
    """A rule keeps the kind of a question by its form; a model may ask how long instead of how."""
    ours, theirs = frozenset(kinds_of(one)), frozenset(kinds_of(other))
    if not kinds_differ(ours, theirs):
        return ()
    return (f"kind: {', '.join(sorted(ours)) or 'none'} / {', '.join(sorted(theirs)) or 'none'}",)


def _all(question: str, language: str) -> Iterator[Variant]:
    for rule in RULES.get(language, ()):
        if found := rule.pattern.match(question):
            for form in rule.forms:
                yield Variant(form.format(x=found["x"].strip()), rule.name, (f"{rule.name}: {form}",))
    yield from _turned(question, language)
    yield from _said_otherwise(question, language)


def _turned(question: str, language: str) -> Iterator[Variant]:
    """Active into passive: the object first. Only with a plain object: "to" or "with" say what acts on what."""
    if language == "zh" and (found := _PASSIVE_ZH.match(question)):
        yield Variant(f"{found['x']}要怎么{found['verb']}？", "object first", (f"{found['verb']}: active → passive",))
    if language == "en" and (found := _PASSIVE_EN.match(question)) and not _SYNTAX.search(found["x"]):
        be = (
            "are" if found["x"].split()[-1].endswith("s") and not found["x"].lower().startswith(("a ", "an ")) else "is"
        )
        done = _participle(found["verb"])
        yield Variant(f"How {be} {found['x']} {done}?", "passive", (f"{found['verb']} → {be} {done}",))


def _participle(verb: str) -> str:
    if verb in _PARTICIPLES:
        return _PARTICIPLES[verb]
    if verb.endswith("e"):
        return verb + "d"
    return verb[:-1] + "ied" if verb.endswith("y") and verb[-2:-1] not in "aeiou" else verb + "ed"


def _in_other_manners(question: str, language: str) -> Iterator[Variant]:
    """The same words inside a sentence of somebody who asks."""
    bare = question.strip().rstrip("?？。.")
    for form in MANNERS.get(language, ()):
        yield Variant(form.format(x=bare), "manner", (f"manner: {form}",))


def _said_otherwise(question: str, language: str) -> Iterator[Variant]:
    for one, other in SYNONYMS.get(language, ()):
        for old, new in ((one, other), (other, one)):
            pattern = re.escape(old) if language == "zh" else rf"\b{re.escape(old)}\b"
            changed = re.sub(pattern, new, question)
            if changed != question:
                yield Variant(changed, "synonym", (f"{old} → {new}",))
