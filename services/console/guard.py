"""The console's door: who is there, that a form is ours, and the headers that every page carries.

A person signs in with an API key and has a session from then on. A program may send its key with each request, as to
the API. Without any key, this very machine is let in, by the rules of `services.api.auth`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, cast
from urllib.parse import urlencode, urlsplit

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response

from router.errors import AnswerloopError
from services.api.auth import LOCAL, Caller, Keyring, Requires, identify, presented_key, refuse_strangers
from services.api.errors import Refused, describe
from services.console.sessions import LASTS_S, LOCAL_KEY, Session, Sessions
from services.console.view import render, wants_page
from services.store.records import Role

COOKIE = "al_console"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
NO_SESSION = Session(LOCAL_KEY, "", 0.0)


class SignedIn(Requires):
    """A FastAPI dependency: the caller. Raises `Refused` with 401 or 403; leaves the session in `request.state`."""

    async def __call__(self, connection: HTTPConnection) -> Caller:
        caller = await _caller(connection)
        connection.state.caller = caller
        if not caller.role.allows(self.role):
            raise Refused(403, "forbidden", f"This needs the role {self.role}; yours is {caller.role}.")
        return caller


ReviewerHere = Annotated[Caller, Depends(SignedIn(Role.REVIEWER))]
AdminHere = Annotated[Caller, Depends(SignedIn(Role.ADMIN))]


async def _caller(connection: HTTPConnection) -> Caller:
    keyring: Keyring = connection.app.state.keyring
    connection.state.session = NO_SESSION
    if presented_key(connection) is not None:
        return await identify(connection, keyring, connection.app.state.shared.settings.host)
    value = connection.cookies.get(COOKIE, "")
    session = sessions(connection).find(value)
    caller = await _caller_of(connection, session) if session else None
    if session is None or caller is None:
        caller = await identify(connection, keyring, connection.app.state.shared.settings.host)  # raises, or is local
        value, session = sessions(connection).begin(LOCAL_KEY)
        connection.state.new_cookie = value
    connection.state.session = session
    return caller


async def _caller_of(connection: HTTPConnection, session: Session) -> Caller | None:
    """None where the session stands for nobody any more: its key was revoked, or the first key was made."""
    if session.key_id == LOCAL_KEY:
        if connection.app.state.keyring.any_keys:
            return None
        refuse_strangers(connection)
        return LOCAL
    keys = await connection.app.state.shared.system.store.list_keys()
    found = next((key for key in keys if key.id == session.key_id and key.revoked is None), None)
    return Caller(found.name, found.role) if found else None


def sessions(connection: HTTPConnection) -> Sessions:
    """Of this app; made when first asked for."""
    state = connection.app.state
    if not hasattr(state, "console_sessions"):
        state.console_sessions = Sessions()
    return cast(Sessions, state.console_sessions)


async def own_form(request: Request) -> FormData:
    """The fields of a form of ours. Raises `Refused` (403) for one that does not carry the session's token."""
    refuse_other_sites(request)
    form = await request.form(max_files=0, max_fields=2_000)
    by_key = presented_key(request) is not None  # a browser never adds such a header by itself
    if not by_key and not request.state.session.allows(str(form.get("csrf", ""))):
        raise Refused(403, "stale_form", "This form is too old, or another site made it. Load the page again.")
    return form


OwnForm = Annotated[FormData, Depends(own_form)]


def refuse_other_sites(request: Request) -> None:
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise Refused(403, "forbidden", "A page of another site sent this form.")


def text_of(form: Mapping[str, Any], name: str) -> str:
    """A field as browsers mean it: their line ends are CR LF."""
    value = form.get(name, "")
    return value.replace("\r\n", "\n").strip() if isinstance(value, str) else ""


def lines_of(form: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text_of(form, name).splitlines() if line.strip())


def keep_cookie(response: Response, request: Request, value: str) -> None:
    response.set_cookie(
        COOKIE,
        value,
        max_age=round(LASTS_S),
        path="/console",
        httponly=True,
        samesite="strict",
        secure=over_https(request),
    )


def over_https(request: Request) -> bool:
    """A proxy's word is enough: who lies here only keeps a cookie from himself."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))


def local_path(wanted: str, otherwise: str = "/console") -> str:
    """Where to go next, if it is in the console: `next` comes with the address and may say anything."""
    inside = wanted == "/console" or wanted.startswith(("/console/", "/console?"))
    return wanted if inside and "\\" not in wanted and wanted.isprintable() else otherwise


def go(path: str, said: str = "") -> RedirectResponse:
    """After a form: to a page, which says what was done. said: one of `services.console.view.SAID`."""
    mark = "&" if "?" in path else "?"
    return RedirectResponse(f"{path}{mark}{urlencode({'said': said})}" if said else path, 303)


class Page(APIRoute):
    """A route that answers with pages: errors too, for a browser, and never without the headers."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handle = super().get_route_handler()

        async def page(request: Request) -> Response:
            try:
                response: Response = await handle(request)
            except (AnswerloopError, HTTPException, RequestValidationError) as exc:
                if not wants_page(request):
                    raise
                response = _error_page(request, exc)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            if (value := getattr(request.state, "new_cookie", "")) and response.status_code < 400:
                keep_cookie(response, request, value)
            return response

        return page


def _error_page(request: Request, exc: Exception) -> Response:
    status, problem, headers = describe(exc)
    if status == 401 and request.method == "GET":
        query = f"?{request.url.query}" if request.url.query else ""
        return go("/console/login?" + urlencode({"next": request.url.path + query}))
    response = render(request, "error.html", {"problem": problem, "status": status}, status)
    response.headers.update({name: value for name, value in headers.items() if name.lower() == "retry-after"})
    return response
