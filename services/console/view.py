"""Templates, languages, Markdown: from values to a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from services.console import charts
from services.console.history import changes
from services.version import own_version

HERE = Path(__file__).parent
LANGUAGES = {"en": "English", "zh": "中文"}
THEMES = ("auto", "light", "dark")
LANGUAGE_COOKIE, THEME_COOKIE = "al_lang", "al_theme"
PER_PAGE = 50
FINDINGS = 20  # of a self-test, beside an entry

SAID = {
    "claimed": "Claimed. It is yours for a while.",
    "released": "Given back to the queue.",
    "decided": "Decided. Everybody who asked it is served.",
    "proposed": "Kept. A second reviewer has to confirm it.",
    "confirmed": "Confirmed.",
    "undone": "Undone: the question is open again.",
    "split": "Split into two questions.",
    "merged": "Merged into one question.",
    "saved": "Saved, and served from now on.",
    "unchanged": "Nothing was changed.",
    "deleted": "Deleted. Its history stays.",
    "activated": "This release is served now.",
    "certified": "The audit was looked at; what holds now stands below.",
    "started": "The reindex has started.",
    "asking": "Past questions are being asked again.",
    "recalled": "Called back. Everybody who got it is told.",
    "lifted": "Allowed again. What was retired with it is back.",
}
"""What a page says after a form; a code in the address, so that nobody can put words into our mouth."""

DONE = {
    "review.claim": "claimed",
    "review.release": "gave it back",
    "review.propose": "proposed a verdict",
    "review.verdict": "decided",
    "review.undo": "took the verdict back",
    "review.split": "split a wording off",
    "review.merge": "merged a wording in",
    "review.join": "found a wording that asks the same",
    "review.rebind": "found the evidence in another passage",
    "review.stale": "found that the source changed",
}
"""What the history of an item says that somebody did, by the code in the audit log."""


@cache
def _chinese() -> Mapping[str, str]:
    """English to Chinese; a test checks that nothing is missing."""
    texts: dict[str, str] = json.loads((HERE / "zh.json").read_text("utf-8"))
    return texts


def translate(language: str, text: str, **values: object) -> str:
    spoken = text.replace("_", " ") if text.isidentifier() else text  # codes such as low_confidence
    chosen = _chinese().get(text, spoken) if language == "zh" else spoken
    return chosen.format(**values) if values else chosen


def language_of(request: Request) -> str:
    """What was chosen, else what the browser asks for first, else English."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    asked = []
    for number, part in enumerate(request.headers.get("accept-language", "").split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        asked.append((-_weight(weight), number, tag.split("-")[0].lower()))
    return next((tag for _, _, tag in sorted(asked) if tag in LANGUAGES), "en")


def _weight(raw: str) -> float:
    try:
        return float(raw) if raw else 1.0
    except ValueError:
        return 0.0


def theme_of(request: Request) -> str:
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else "auto"


def wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def render(request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    language = language_of(request)
    caller = getattr(request.state, "caller", None)
    session = getattr(request.state, "session", None)
    said = SAID.get(request.query_params.get("said", ""), "")
    shown = (
        environment()
        .get_template(template)
        .render(
            **values,
            t=partial(translate, language),
            language=language,
            languages=LANGUAGES,
            theme=theme_of(request),
            caller=caller,
            csrf=session.csrf if session else "",
            path=request.url.path,
            here=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            said=said,
            version=own_version(),
            with_query=partial(_with_query, request),
        )
    )
    return HTMLResponse(shown, status, {"Content-Language": language, "Vary": "Cookie, Accept-Language"})


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "markdown": markdown,
        "moment": moment,
        "percent": lambda share: f"{share:.1%}",
        "short": short,
        "citation_value": citation_value,
        "changes": changes,
    }
    made.filters.update(filters)
    made.globals["charts"] = charts
    made.globals["DONE"] = DONE
    return made


def _with_query(request: Request, **changes: object) -> str:
    """This page with other values in its address."""
    kept = {name: value for name, value in request.query_params.items() if name != "said"}
    wanted = {**kept, **changes}
    return (
        request.url.path + "?" + urlencode({name: value for name, value in wanted.items() if value not in ("", None)})
    )


def moment(stamp: str | None) -> Markup:
    """A time to the minute, UTC; the page's script shows it in the reader's own zone."""
    if not stamp:
        return Markup("–")
    return Markup('<time datetime="{}">{}</time>').format(stamp, stamp[:16].replace("T", " "))


def short(text: str, chars: int = 240) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


def citation_value(citation: Any) -> str:
    """A citation as the value of a field; `services.console.evidence` reads it."""
    names = ("passage_id", "source", "heading", "quote", "start", "end", "revision")
    return json.dumps({name: getattr(citation, name) for name in names}, ensure_ascii=False)


# Markdown of answers: no HTML of its own, no images (they would tell another site who reads), safe links only. A line
# that ends stays a line: rows of a table are quoted as lines.


def markdown(text: str) -> Markup:
    rendered: str = _markdown().render(text.replace("\x00", ""))
    return Markup(rendered)


@cache
def _markdown() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table").disable("image")
    made.validateLink = safe_link  # type: ignore[method-assign]
    made.add_render_rule("link_open", _link)
    return made


def safe_link(url: str) -> bool:
    """http, https, or relative; whatever a browser would make of control characters and odd slashes is refused."""
    if any(ord(char) <= 32 or ord(char) == 127 for char in url) or "\\" in url or url.startswith("//"):
        return False
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        return False
    return scheme in ("", "http", "https") and (scheme != "" or ":" not in url.split("/")[0].split("#")[0])


def _link(renderer: RendererHTML, tokens: list[Token], at: int, options: Any, env: Any) -> str:
    tokens[at].attrSet("rel", "noopener noreferrer nofollow")
    return renderer.renderToken(tokens, at, options, env)
