"""Signing in with an API key, signing out, choosing language and theme, and the files that pages need."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from router.errors import NotFound
from services.api.auth import anyone
from services.api.state import shared
from services.console import guard
from services.console.guard import COOKIE, OwnForm, Page, SignedIn, go, keep_cookie, local_path, over_https, text_of
from services.console.view import LANGUAGE_COOKIE, LANGUAGES, THEME_COOKIE, THEMES, render
from services.store.records import Role

LOGIN_COOKIE = "al_login"  # holds what the form must hold too, while there is no session
YEAR_S = 365 * 24 * 3600
STATIC = Path(__file__).parent / "static"
FILES = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}

ShortText = Annotated[str, Query(max_length=4_000)]

public = APIRouter(prefix="/console", tags=["console"], route_class=Page, dependencies=[Depends(anyone)])
inside = APIRouter(prefix="/console", tags=["console"], route_class=Page, dependencies=[Depends(SignedIn(Role.ASKER))])


@public.get("/login", include_in_schema=False)
async def login_page(request: Request, next: ShortText = "/console") -> Response:
    return _login(request, local_path(next))


@public.post("/login", include_in_schema=False)
async def login(request: Request) -> Response:
    guard.refuse_other_sites(request)
    form = await request.form(max_files=0, max_fields=10)
    wanted, cookie = local_path(text_of(form, "next")), request.cookies.get(LOGIN_COOKIE, "")
    if not cookie or not hmac.compare_digest(cookie.encode(), text_of(form, "csrf").encode()):
        return _login(request, wanted, "This form is too old. Try again.", 403)
    key = await shared(request).system.store.verify_key(text_of(form, "key"))
    if key is None:
        return _login(request, wanted, "This key is unknown or revoked.", 401)
    if not key.role.allows(Role.REVIEWER):
        return _login(request, wanted, "This key may only ask. The console needs a reviewer's or an admin's.", 403)
    value, _ = guard.sessions(request).begin(key.id)
    response = go(wanted)
    keep_cookie(response, request, value)
    response.delete_cookie(LOGIN_COOKIE, path="/console/login")
    return response


def _login(request: Request, wanted: str, problem: str = "", status: int = 200) -> Response:
    token = secrets.token_urlsafe(24)
    response = render(request, "login.html", {"next": wanted, "problem": problem, "token": token}, status)
    response.set_cookie(
        LOGIN_COOKIE,
        token,
        max_age=3_600,
        path="/console/login",
        httponly=True,
        samesite="strict",
        secure=over_https(request),
    )
    return response


@inside.post("/logout", include_in_schema=False)
async def logout(request: Request, form: OwnForm) -> Response:  # noqa: ARG001 - the form is the proof
    guard.sessions(request).end(request.cookies.get(COOKIE, ""))
    response = go("/console/login")
    response.delete_cookie(COOKIE, path="/console")
    return response


@public.get("/prefer", include_in_schema=False)
async def prefer(
    request: Request, lang: ShortText = "", theme: ShortText = "", next: ShortText = "/console"
) -> Response:
    """Language and theme, in cookies: they say nothing about the person."""
    response = go(local_path(next))
    for name, value, known in ((LANGUAGE_COOKIE, lang, LANGUAGES), (THEME_COOKIE, theme, THEMES)):
        if value in known:
            response.set_cookie(
                name, value, max_age=YEAR_S, path="/console", samesite="lax", secure=over_https(request)
            )
    return response


@public.get("/static/{name}", include_in_schema=False)
async def static(name: str) -> Response:
    if name not in FILES:
        raise NotFound(f"no file {name[:100]!r}")
    content = (STATIC / name).read_bytes()
    return Response(content, media_type=FILES[name], headers={"Cache-Control": "no-cache"})
