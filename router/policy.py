"""What people decided about sending, beside the line: which answers are called back, looked at, or held. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from router import wording
from router.conversation import last_question
from router.types import Answer, CuratedMatch, ReviewItem, Route, Trace

_UNKNOWN = 0.5  # whether it is still right: as likely as not, until somebody has looked
SENT = frozenset({Route.CURATED, Route.GROUNDED})
DISAGREES = 0.5
"""An approved entry that is likelier than not to ask the same, and yet another answer was sent: two sources differ."""


def _nothing(_text: str) -> bool:
    return False


def _never(_trace_id: str) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Policy:
    """blocked: whether an answer was called back and is not to be sent again. drawn: the probability with which the
    audit drew this trace, 0 when it did not. stale: what becomes of an approved answer whose source has changed, asked
    in its very words: "grounded" (the documents answer), "note" (sent, and says so) or "hold" (people answer)."""

    blocked: Callable[[str], bool] = _nothing
    drawn: Callable[[str], float] = _never
    stale: str = "grounded"


def review(trace: Trace, policy: Policy) -> ReviewItem | None:
    """Why a person should look at this, if one should. An answer that was drawn keeps its probability, whatever else
    brings it."""
    probability = policy.drawn(trace.id) if trace.answer.route in SENT else 0.0
    cause = cause_of(trace) or ("audit" if probability else "")
    if not cause:
        return None
    item_id = f"item-{trace.id}"
    return ReviewItem(item_id, trace.id, about(trace), trace.language, cause, "pending", trace.created, probability)


def about(trace: Trace) -> str:
    """The question that people are to look at. Who asks for a person wants the last question answered: the message
    alone is the same whatever it is about, and would put all of them into one item."""
    asked = last_question(trace.question.history) if trace.answer.route is Route.HANDOFF else ""
    return asked or trace.standalone or trace.question.text


def cause_of(trace: Trace) -> str:
    """ "" when nothing about the answer itself calls for a person."""
    route = trace.answer.route
    if route is Route.HANDOFF:
        return "handoff"
    if route is Route.ABSTAINED:
        return "low_confidence" if trace.features and trace.answer.confidence > 0 else "abstained"
    return "disagreement" if route is Route.GROUNDED and _disagrees(trace) else ""


def _disagrees(trace: Trace) -> bool:
    candidates = trace.curated.get("candidates") or ()
    near = next((one for one in candidates if not one["guards"]), None)
    if near is None or near["probability"] < DISAGREES:
        return False
    return not any(cited.source.endswith(f"/{near['entry_id']}") for cited in trace.answer.citations)


def waits(item: ReviewItem | None) -> bool:
    """Whether the asker waits for people: an answer that is looked at afterwards was still given."""
    return item is not None and item.cause not in ("audit", "disagreement")


def held(match: CuratedMatch, policy: Policy) -> bool:
    """Whether a person has to look before this question is answered again."""
    return match.stale is not None and policy.stale == "hold"


def noted(match: CuratedMatch, policy: Policy, language: str) -> Answer | None:
    """The approved answer whose source has changed, with a note that says so."""
    if match.stale is None or policy.stale != "note":
        return None
    entry = match.stale
    note, why = wording.in_language(wording.STALE, language), wording.reason("noted", language)
    return Answer(f"{entry.answer}\n\n{note}", Route.CURATED, _UNKNOWN, entry.citations, why, "curated")
