"""A line of an item's audit log as a reader wants it: what is another thing now, before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.store.records import AuditEntry


class Shown(StrEnum):
    """How a value is written: a code that has a translation, a moment, or words as they are."""

    CODE = "code"
    MOMENT = "moment"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class Change:
    """name: said in the reader's language. before, after: "" for nothing."""

    name: str
    shown: Shown
    before: str
    after: str


NAMES: Mapping[str, tuple[str, Shown]] = {
    "state": ("State", Shown.CODE),
    "claimed_by": ("Who works on it", Shown.WORDS),
    "lease_until": ("Until", Shown.MOMENT),
    "kind": ("Verdict", Shown.CODE),
    "answer": ("Answer", Shown.WORDS),
    "comment": ("Comment", Shown.WORDS),
    "evidence": ("Evidence", Shown.WORDS),
    "entry_id": ("Entry", Shown.WORDS),
    "status": ("State of the entry", Shown.CODE),
    "item_id": ("Item", Shown.WORDS),
    "question": ("Question", Shown.WORDS),
    "index_version": ("Index", Shown.WORDS),
}
"""What is shown, in this order, by its name in the audit log; what else stands there is for programs."""


def changes(line: AuditEntry) -> list[Change]:
    """Empty where nothing that is shown differs."""
    before, after = _facts(line.before), _facts(line.after)
    both = [(name, before.get(name, ""), after.get(name, "")) for name in NAMES]
    return [Change(*NAMES[name], old, new) for name, old, new in both if old != new]


def _facts(side: object) -> dict[str, str]:
    """The values of one side as text; those of a verdict stand among them."""
    if not isinstance(side, Mapping):
        return {}
    flat = {**side, **_said(side["verdict"])} if "verdict" in side else side
    return {name: _text(flat[name]) for name in NAMES if flat.get(name)}


def _said(verdict: Mapping[str, Any]) -> dict[str, Any]:
    judgement = verdict["judgement"]
    return {
        "kind": judgement["kind"],
        "answer": judgement["answer"] or verdict["answer"],
        "comment": judgement["comment"],
        "evidence": [f"{one['source']} {one['heading']}".strip() for one in judgement["evidence"]],
        "entry_id": verdict["entry_id"],
    }


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
