"""The only reader of the environment. `Settings` is also the one table of settings: name, type, default, help.

Every setting is the environment variable `ANSWERLOOP_<FIELD NAME IN CAPITALS>`. The manual and
`answerloop doctor` print `describe()`, so a setting cannot exist without its line of help.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from router.errors import Conflict, Misconfigured

PREFIX = "ANSWERLOOP_"

Parse = Callable[[str], Any]
"""Text to value; raises ValueError with what is allowed, for example "a whole number from 1 to 65535"."""


def _text(raw: str) -> str:
    return raw.strip()


def _path(raw: str) -> Path:
    if not raw.strip():
        raise ValueError("a folder")
    return Path(raw.strip()).expanduser()


def _flag(raw: str) -> bool:
    value = raw.strip().lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ValueError("yes or no (also 1/0, true/false, on/off)")


def _whole(low: int, high: int) -> Parse:
    return _bounded(int, low, high, f"a whole number from {low} to {high}")


def _seconds(low: float, high: float) -> Parse:
    return _bounded(float, low, high, f"seconds from {low:g} to {high:g}")


def _between(low: float, high: float) -> Parse:
    return _bounded(float, low, high, f"a number from {low:g} to {high:g}")


def _bounded(number: Callable[[str], float], low: float, high: float, allowed: str) -> Parse:
    def parse(raw: str) -> float:
        try:
            value = number(raw.strip())
        except ValueError as exc:
            raise ValueError(allowed) from exc
        if not low <= value <= high:  # also refuses nan
            raise ValueError(allowed)
        return value

    return parse


def _one_of(*choices: str) -> Parse:
    def parse(raw: str) -> str:
        value = raw.strip().lower()
        if value not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return value

    return parse


def _url(*schemes: str) -> Parse:
    def parse(raw: str) -> str:
        value = raw.strip()
        if value and value.split("://")[0] not in schemes:
            raise ValueError("a URL that starts with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return value

    return parse


def _urls(*schemes: str) -> Parse:
    one = _url(*schemes)

    def parse(raw: str) -> str:
        return ",".join(one(part) for part in raw.split(",") if part.strip())

    return parse


def _origins(raw: str) -> str:
    """As browsers write them: scheme and host, and a port where it is not the usual one; nothing after it."""
    origins = [part.strip() for part in raw.split(",") if part.strip()]
    for origin in origins:
        scheme, _, host = origin.partition("://")
        if scheme not in {"http", "https"} or not host or origin != origin.lower() or set(host) & set("/*?#@ "):
            raise ValueError("origins with commas between them, for example https://www.example.org")
    return ",".join(origins)


def _setting(default: Any, parse: Parse, about: str, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"parse": parse, "about": about, "secret": secret})


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. value: the current value as text, "***" where it is a secret that is set."""

    variable: str
    type: str
    default: str
    about: str
    value: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes are in the unit the name ends with: bytes, chars (Unicode characters), turns, s (seconds)."""

    home: Path = _setting(Path("var"), _path, "Folder for all that is kept: index, database, uploads.")  # noqa: RUF009
    host: str = _setting("127.0.0.1", _text, "Address to listen on. Anything but loopback needs an API key first.")
    port: int = _setting(8080, _whole(0, 65535), "Port to listen on; 0 takes a free one.")
    database_url: str = _setting(
        "",
        _url("sqlite", "postgresql+psycopg"),
        "SQLAlchemy URL; empty: SQLite in the home.",
        secret=True,
    )
    embedder: str = _setting(
        "packaged",
        _text,
        "'packaged' (MiniLM, offline, English), 'multilingual-e5-small' (offline, Chinese too; an extra) or a "
        "sentence-transformers path.",
    )
    embedder_url: str = _setting(
        "",
        _url("http", "https"),
        "OpenAI-compatible embeddings endpoint, up to /v1; `embedder` is then its model's name.",
    )
    embedder_key: str = _setting("", _text, "API key of the embeddings endpoint.", secret=True)
    index_from: str = _setting(
        "",
        _text,
        "Index folder of the server that indexes, where this one is a replica: versions are copied from there.",
    )
    qdrant_url: str = _setting("", _url("http", "https"), "Qdrant server or cluster; empty: embedded, in the home.")
    qdrant_key: str = _setting("", _text, "API key of the Qdrant server.", secret=True)
    model: str = _setting(
        "", _text, "Model for `serve` to start a vLLM with (folder or name), or to ask for at `generator_url`."
    )
    generator_url: str = _setting(
        "",
        _urls("http", "https"),
        "vLLM servers that run elsewhere, up to /v1, separated by commas; empty: none, or one of its own for `model`.",
    )
    generator_key: str = _setting("", _text, "API key of these servers.", secret=True)
    generator_timeout_s: float = _setting(
        20.0, _seconds(0.1, 3_600), "An answer not written and checked by then is quoted."
    )
    model_window: int = _setting(
        0,
        _whole(0, 10_000_000),
        "Tokens of prompt and answer; 0: as it was tuned, else what it can, at most 8,192.",
    )
    model_answer_tokens: int = _setting(512, _whole(16, 100_000), "Longest answer of the model, in tokens.")
    model_advice: bool = _setting(
        True,
        _flag,
        "The model confirms near matches of approved questions, and reads follow-ups that rules cannot.",
    )
    model_adapters: bool = _setting(False, _flag, "Start vLLM so that LoRA adapters can be tried while it runs.")
    vllm_python: str = _setting("", _text, "Python that has vLLM; empty: the one that runs Answerloop.")
    entailment: str = _setting(
        "", _text, "NLI model (folder, or name in the model cache) that confirms each sentence of a draft; empty: none."
    )
    audit_share: float = _setting(
        0.05, _between(0, 1), "Share of the answers sent that are drawn at random for people to check; 0: none."
    )
    max_wrong_rate: float = _setting(
        0.05, _between(0.001, 0.5), "Most wrong answers among those sent automatically, as a share."
    )
    assurance: float = _setting(0.95, _between(0.5, 0.999), "How sure it is to be that this rate is kept.")
    uncertified_line: str = _setting(
        "calibrated",
        _one_of("calibrated", "careful"),
        "Line while nothing is certified: the calibration's until the audit refutes it, or the careful one (1 - rate).",
    )
    running_text: str = _setting(
        "strict",
        _one_of("strict", "usual"),
        "Line of what only words speak for, in text without headings or lists: its own, higher one, or the usual one.",
    )
    claim_s: float = _setting(900.0, _seconds(1, 86_400), "How long a reviewer's claim of an item holds.")
    second_review_risk: float = _setting(
        0.0, _between(0, 4), "Items of this risk (1 to 4) and more need a second reviewer; 0: none does."
    )
    stale_policy: str = _setting(
        "grounded",
        _one_of("grounded", "note", "hold"),
        "An approved answer whose source changed: ask the documents, send it with a note, or hold it for people.",
    )
    webhook_url: str = _setting(
        "", _url("http", "https"), "Where to post what was decided or called back; empty: nowhere."
    )
    webhook_secret: str = _setting("", _text, "Signs these calls (HMAC-SHA256).", secret=True)
    corpus_seconds: float = _setting(180.0, _seconds(1, 3_600), "Most seconds of training for the corpus embedder.")
    widget_origins: str = _setting(
        "",
        _origins,
        "Sites that may use the chat widget, for example https://www.example.org; commas between them.",
    )
    max_body_bytes: int = _setting(65_536, _whole(1_024, 16_777_216), "Largest request body, uploads excepted.")
    max_upload_bytes: int = _setting(10_485_760, _whole(1_024, 1_073_741_824), "Largest uploaded document.")
    max_question_chars: int = _setting(2_000, _whole(1, 100_000), "Longest question.")
    max_history_turns: int = _setting(50, _whole(0, 1_000), "Most messages of history with a question.")
    max_history_chars: int = _setting(20_000, _whole(0, 1_000_000), "Longest history, all messages together.")
    max_in_flight: int = _setting(256, _whole(1, 100_000), "Questions worked on at the same time.")
    max_queued: int = _setting(256, _whole(0, 100_000), "Questions that may wait for a place; more get 429.")
    ask_timeout_s: float = _setting(30.0, _seconds(0.01, 3_600), "A question not answered by then gets 503.")
    quoting_process: bool = _setting(
        True, _flag, "Quote in a process of its own while several questions are asked (where there are two processors)."
    )
    trace_flush_s: float = _setting(
        0.1,
        _seconds(0, 60),
        "How long after its reply a trace may reach the disk; 0: before it. Only a power cut can tell; SQLite only.",
    )
    stop_timeout_s: float = _setting(30.0, _seconds(0, 3_600), "How long a stopping server waits for open questions.")
    access_log: bool = _setting(False, _flag, "Write one log line per request.")
    log_level: str = _setting("info", _one_of("debug", "info", "warning", "error"), "How much is logged, to stderr.")
    server: str = _setting("", _url("http", "https"), "Server that `ask` and `search` use; empty: this machine's own.")
    api_key: str = _setting("", _text, "Key that `ask` and `search` send to a server.", secret=True)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Raises `Misconfigured` naming the variable, its value and what is allowed. Empty means unset."""
        _refuse_unknown(env)
        values = {}
        for item in fields(cls):
            raw = env.get(_variable(item.name), "")
            if raw.strip():
                values[item.name] = _parsed(_variable(item.name), raw, item.metadata)
        return cls(**values)

    def to_env(self) -> dict[str, str]:
        """The variables that give these very settings."""
        values = {_variable(item.name): getattr(self, item.name) for item in fields(self)}
        values[_variable("home")] = self.home.resolve()
        return {name: str(value) for name, value in values.items() if value != ""}

    def child_env(self) -> dict[str, str]:
        """The whole environment of a child process that is to have these very settings."""
        others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return others | self.to_env()

    @property
    def store_url(self) -> str:
        """Where the relational store is: `database_url`, or SQLite in the home."""
        return self.database_url or f"sqlite:///{self.home.resolve() / 'answerloop.db'}"

    @property
    def uploads(self) -> Path:
        return self.home / "uploads"

    def make_home(self) -> None:
        """Raises `Misconfigured` when the home cannot be made."""
        try:
            self.home.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise Misconfigured(f"ANSWERLOOP_HOME is {self.home}, which cannot be made: {exc.strerror}.") from exc

    def refuse_on_replica(self) -> None:
        """Before documents are taken or indexed. Raises `Conflict` where another server does that."""
        if self.index_from:
            raise Conflict(
                f"This server is a replica: it copies its index from {self.index_from}. Send documents, and ask for a "
                "reindex, where that is made; to index here, unset ANSWERLOOP_INDEX_FROM."
            )

    def describe(self) -> Iterator[Setting]:
        """Every setting with its current value, in the order of the table above."""
        for item in fields(self):
            assert item.default is not MISSING
            value = getattr(self, item.name)
            shown = "***" if item.metadata["secret"] and value else str(value)
            kind = type(item.default).__name__.replace("PosixPath", "path").replace("WindowsPath", "path")
            yield Setting(_variable(item.name), kind, str(item.default), item.metadata["about"], shown)


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _parsed(variable: str, raw: str, metadata: Mapping[str, Any]) -> Any:
    try:
        return cast(Parse, metadata["parse"])(raw)
    except ValueError as exc:
        shown = "a value that is not shown" if metadata["secret"] else repr(raw)
        raise Misconfigured(f"{variable} is {shown}, but must be {exc}.") from exc


def _refuse_unknown(env: Mapping[str, str]) -> None:
    known = [_variable(item.name) for item in fields(Settings)]
    unknown = sorted(name for name in env if name.startswith(PREFIX) and name not in known)
    if not unknown:
        return
    near = get_close_matches(unknown[0].removeprefix(PREFIX), [name.removeprefix(PREFIX) for name in known], n=1)
    hint = f"did you mean {PREFIX}{near[0]}?" if near else "`answerloop doctor` lists the settings."
    raise Misconfigured(f"{unknown[0]} is not a setting of Answerloop, probably a typo: {hint}")
