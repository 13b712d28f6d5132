"""A person at the console, over HTTP: follows forms as a browser does, and no redirect unseen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

import httpx

HTML = {"accept": "text/html"}
_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


class Person:
    def __init__(self, url: str, key: str = "", **headers: str) -> None:
        self.client = httpx.Client(base_url=url, headers=HTML | headers, timeout=20, trust_env=False)
        if key:
            assert self.sign_in(key).status_code == 303

    def sign_in(self, key: str, **more: str) -> httpx.Response:
        token = token_of(self.get("/console/login"))
        return self.client.post("/console/login", data={"key": key, "csrf": token, "next": "/console/ask", **more})

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def page(self, path: str) -> str:
        reply = self.get(path)
        assert reply.status_code == 200, (path, reply.status_code, reply.text[-2000:])
        return reply.text

    def send(self, path: str, fields: Mapping[str, Any] | None = None, page: str = "") -> httpx.Response:
        """A form with the session's token, from `page` or any that has one."""
        pages = [page] if page else ["/console/ask", "/console/jobs"]
        token = next(filter(None, (token_of(self.get(one)) for one in pages)), "")
        return self.client.post(path, data={"csrf": token, **(fields or {})})


def token_of(reply: httpx.Response) -> str:
    found = _TOKEN.search(reply.text)
    return unescape(found.group(1)) if found else ""
