"""Curated answers over HTTP: list, edit, history, import, export, self-test, explain. An edit is kept for good and
served here before it is acknowledged; other processes on the same store follow within a quarter of a second."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from services.api.auth import AdminCaller, Requires
from services.api.checks import check_question
from services.api.errors import Refused
from services.api.render import curated_out
from services.api.state import json_response, shared
from services.api.wire import ShortText
from services.api.wire_curated import (
    ChangedEntry,
    CuratedExplainReply,
    EditReply,
    EntriesReply,
    EntryOut,
    ExplainRequest,
    HistoryReply,
    ImportReply,
    NewEntry,
    SelfTestReply,
)
from services.curated.editing import Edited, Editor
from services.curated.exchange import format_of, to_csv, to_jsonl
from services.store.records import Role

router = APIRouter(prefix="/admin/curated", tags=["curated"], dependencies=[Depends(Requires(Role.ADMIN))])

Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
IfMatch = Annotated[str | None, Header(description="The version that was read, as GET's ETag gives it.")]

_MEDIA = {"jsonl": "application/x-ndjson", "csv": "text/csv"}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}},
    }
}
_FILE = {
    "requestBody": {
        "required": True,
        "content": {"multipart/form-data": _FORM, **dict.fromkeys(_MEDIA.values(), _BINARY)},
    }
}
_EXPORTED: dict[int | str, dict[str, Any]] = {200: {"content": dict.fromkeys(_MEDIA.values(), _BINARY)}}


@router.get("", responses={200: {"model": EntriesReply}}, response_class=Response)
async def curated(
    request: Request,
    q: ShortText = "",
    status: Literal["live", "stale", "retired"] | None = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Response:
    """What was changed last comes first. `q`: what the id, a question or the answer holds."""
    page = await shared(request).system.store.curated.page(q.strip(), status, limit, offset)
    entries = [curated_out(version) for version in page.versions]
    return json_response({"entries": entries, "total": page.total, "revision": str(page.revision)})


@router.post("", status_code=201, responses={201: {"model": EditReply}}, response_class=Response)
async def create_curated(request: Request, caller: AdminCaller, body: NewEntry) -> Response:
    """409 when the id is taken. `self_test` says what the entry collides with."""
    edited = await _editor(request).create(body.entry(body.id or ""), caller.name)
    return _edit_reply(edited, 201)


@router.post("/import", responses={200: {"model": ImportReply}}, openapi_extra=_FILE, response_class=Response)
async def import_curated(
    request: Request,
    caller: AdminCaller,
    format: Literal["jsonl", "csv"] | None = None,
    strict: Annotated[bool, Query(description="Change nothing when any row cannot be read.")] = False,
) -> Response:
    """Send a multipart form with `file`, or the raw bytes. One revision; known ids are updated, bad rows are listed."""
    name, content = await _received(request)
    if len(content) > (largest := shared(request).settings.max_upload_bytes):
        raise Refused(413, "body_too_large", f"The file is larger than {largest} bytes.")
    chosen = format or format_of(name, content)
    report, tested = await _editor(request).bring_in(content, chosen, caller.name, strict)
    return json_response(report.to_json() | {"self_test": tested.to_json() if tested else None})


@router.get("/export", responses=_EXPORTED, response_class=Response)
async def export_curated(
    request: Request,
    format: Literal["jsonl", "csv"] = "jsonl",
    revision: Annotated[int | None, Query(ge=0, lt=2**53, description="An older one; else the newest.")] = None,
) -> Response:
    """Every entry, retired ones included, as a file that the import reads without loss."""
    held = await shared(request).system.store.curated.entries_at(revision)
    text = await asyncio.to_thread(to_csv if format == "csv" else to_jsonl, held.changed)
    disposition = f'attachment; filename="curated-{held.revision}.{format}"'
    return Response(text.encode(), media_type=_MEDIA[format], headers={"Content-Disposition": disposition})


@router.post("/self-test", responses={200: {"model": SelfTestReply}}, response_class=Response)
async def self_test_curated(request: Request) -> Response:
    """The whole store against itself: entries that share words, or would answer each other's questions or negatives."""
    return json_response((await shared(request).system.curated.self_test()).to_json())


@router.post("/explain", responses={200: {"model": CuratedExplainReply}}, response_class=Response)
async def explain_curated(request: Request, body: ExplainRequest) -> Response:
    """Why each near entry does or does not answer this question, as it is served now. Nothing is recorded."""
    here = shared(request)
    check_question(body.question, here.settings)
    return json_response((await here.system.curated.explain(body.question)).to_json())


@router.get("/{id}", responses={200: {"model": EntryOut}}, response_class=Response)
async def one_curated(request: Request, id: ShortText) -> Response:
    version = await shared(request).system.store.curated.get(id)
    reply = json_response(curated_out(version))
    reply.headers["ETag"] = f'"{version.version}"'
    return reply


@router.put("/{id}", responses={200: {"model": EditReply}}, response_class=Response)
async def change_curated(
    request: Request, caller: AdminCaller, id: ShortText, body: ChangedEntry, if_match: IfMatch = None
) -> Response:
    """The whole entry as it is to be, and the version it is made from. 409 when somebody changed it meanwhile."""
    version = body.version or _version(if_match)
    if version is None:
        raise Refused(422, "no_version", "Say which version you have read: the field `version`, or If-Match.")
    return _edit_reply(await _editor(request).update(body.entry(id), version, caller.name))


@router.delete("/{id}", responses={200: {"model": EditReply}}, response_class=Response)
async def delete_curated(request: Request, caller: AdminCaller, id: ShortText, if_match: IfMatch = None) -> Response:
    """Not answered from now on; its history stays. With If-Match only if nobody changed it meanwhile."""
    return _edit_reply(await _editor(request).delete(id, caller.name, _version(if_match)))


@router.get("/{id}/history", responses={200: {"model": HistoryReply}}, response_class=Response)
async def history_curated(request: Request, id: ShortText, limit: Limit = 50, offset: Offset = 0) -> Response:
    """Every version, newest first, with who made it; also of a deleted entry."""
    versions = await shared(request).system.store.curated.history(id, limit, offset)
    return json_response({"versions": [curated_out(version) for version in versions]})


def _editor(request: Request) -> Editor:
    system = shared(request).system
    return Editor(system.store.curated, system.curated)


def _edit_reply(edited: Edited, status: int = 200) -> Response:
    reply = json_response(
        {
            "entry": curated_out(edited.version),
            "revision": str(edited.revision),
            "changed": edited.changed,
            "self_test": edited.tested.to_json(),
        },
        status,
    )
    reply.headers["ETag"] = f'"{edited.version.version}"'
    return reply


def _version(if_match: str | None) -> int | None:
    """The number in an If-Match header, None without one. Raises `Refused` (422) for anything else."""
    if if_match is None:
        return None
    number = if_match.strip().removeprefix("W/").strip('"')
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise Refused(422, "no_version", "If-Match must hold the number of a version, as GET's ETag does.")
    return int(number)


async def _received(request: Request) -> tuple[str, bytes]:
    """The file's name, where it has one, and its bytes."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=4) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise Refused(422, "no_file", "The form has no file in the field `file`.")
            return file.filename or "", await file.read()
    return "", await request.body()
