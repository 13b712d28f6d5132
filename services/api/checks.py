"""What a question must be before anybody works on it; the bounds are settings, so pydantic cannot know them."""

from __future__ import annotations

from router.types import Question, Turn
from services.api.errors import Refused
from services.api.wire import AskRequest, Filters
from services.settings import Settings


def question_from(body: AskRequest, settings: Settings) -> Question:
    """Raises `Refused` (422) for a blank or overlong question and an overlong history."""
    check_question(body.question, settings)
    turns = tuple(Turn(turn.role, turn.content) for turn in body.history)
    check_history(turns, settings)
    return Question(body.question.strip(), turns, body.session_id, filters_from(body.filters))


def filters_from(filters: Filters) -> dict[str, str]:
    return filters.model_dump(exclude_none=True) if filters.model_fields_set else {}


def check_question(text: str, settings: Settings) -> None:
    if not any(char.isprintable() and not char.isspace() for char in text):
        raise Refused(422, "blank_question", "The question is blank.")
    if len(text) > settings.max_question_chars:
        detail = f"The question has {len(text)} characters; at most {settings.max_question_chars} are accepted."
        raise Refused(422, "question_too_long", detail)


def check_history(turns: tuple[Turn, ...], settings: Settings) -> None:
    if len(turns) > settings.max_history_turns:
        detail = f"The history has {len(turns)} messages; at most {settings.max_history_turns} are accepted."
        raise Refused(422, "history_too_long", detail)
    size = sum(len(turn.content) for turn in turns)
    if size > settings.max_history_chars:
        detail = f"The history has {size} characters; at most {settings.max_history_chars} are accepted."
        raise Refused(422, "history_too_long", detail)
