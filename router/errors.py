"""The error tree. Every error says what was wrong, where, and what to do; `code` is stable for machines.

AnswerloopError
├── InvalidInput          the caller can mend it          (HTTP 400 / 422)
├── NotFound              no such thing                   (404)
├── Conflict              somebody else holds it          (409)
├── Overloaded            try again later                 (429 / 503)
├── Unavailable           a part is down or not ready     (503)
│   ├── IndexUnavailable  no version to serve, or it cannot be opened
│   └── GeneratorUnavailable
├── Mismatch              the index was made with another embedder, analyser or chunker
└── Misconfigured         a setting is missing or wrong; found at start
"""

from __future__ import annotations


class AnswerloopError(Exception):
    code = "internal"


class InvalidInput(AnswerloopError):
    code = "invalid_input"


class NotFound(AnswerloopError):
    code = "not_found"


class Conflict(AnswerloopError):
    code = "conflict"


class Overloaded(AnswerloopError):
    """retry_after: seconds after which trying again makes sense."""

    code = "overloaded"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(AnswerloopError):
    code = "unavailable"


class IndexUnavailable(Unavailable):
    code = "index_unavailable"


class GeneratorUnavailable(Unavailable):
    code = "generator_unavailable"


class Mismatch(AnswerloopError):
    code = "index_mismatch"


class Misconfigured(AnswerloopError):
    code = "misconfigured"
