"""Documents over HTTP: list, upload (multipart or raw), delete. They enter the index at the next reindex."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from services.api.auth import AdminCaller, Requires
from services.api.errors import Refused
from services.api.render import job_link
from services.api.state import Shared, json_response, shared
from services.api.wire import DocumentReply, DocumentsReply
from services.store.records import Role
from services.uploads import Upload, Uploads

router = APIRouter(prefix="/admin/documents", tags=["admin"], dependencies=[Depends(Requires(Role.ADMIN))])

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}, "path": {"type": "string"}},
    }
}
UPLOAD_BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": _FORM, "text/markdown": _BINARY}}}

Reindex = Annotated[bool, Query(description="Start a reindex at once.")]


@router.get("", responses={200: {"model": DocumentsReply}}, response_class=Response)
async def list_documents(request: Request) -> Response:
    found = await asyncio.to_thread(_uploads(request).list)
    return json_response({"documents": [_document(upload) for upload in found]})


@router.post(
    "",
    status_code=201,
    responses={200: {"model": DocumentReply}, 201: {"model": DocumentReply}},
    openapi_extra=UPLOAD_BODY,
    response_class=Response,
)
async def upload(
    request: Request, caller: AdminCaller, path: Annotated[str | None, Query()] = None, reindex: Reindex = False
) -> Response:
    """Send a multipart form with `file` (and, if you like, `path`), or the raw bytes with `?path=guide/setup.md`.

    201 for a new document, 200 for a new version of one; either way it is on disk for good.
    """
    here = shared(request)
    here.settings.refuse_on_replica()
    name, content = await _received(request, path)
    _check(content, here.settings.max_upload_bytes)
    saved, new = await asyncio.to_thread(_uploads(request).save, name, content)
    await here.system.store.audit(caller.name, "document.upload", None, {"path": saved.path, "size": saved.size})
    return json_response(_document(saved) | await _reindexed(here, caller.name, reindex), 201 if new else 200)


@router.delete("/{path:path}", responses={200: {"model": DocumentReply}}, response_class=Response)
async def delete(request: Request, caller: AdminCaller, path: str, reindex: Reindex = False) -> Response:
    here = shared(request)
    here.settings.refuse_on_replica()
    await asyncio.to_thread(_uploads(request).delete, path)
    await here.system.store.audit(caller.name, "document.delete", {"path": path}, None)
    # what somebody deleted is not answered from any more, whatever that changes
    return json_response({"path": path} | await _reindexed(here, caller.name, reindex, force=True))


def _uploads(request: Request) -> Uploads:
    return Uploads(shared(request).settings.uploads)


async def _received(request: Request, path: str | None) -> tuple[str, bytes]:
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=4) as form:
            file, named = form.get("file"), form.get("path")
            if not isinstance(file, UploadFile):
                raise Refused(422, "no_file", "The form has no file in the field `file`.")
            name = path or (named if isinstance(named, str) else "") or file.filename or ""
            return name, await file.read()
    if path is None:
        raise Refused(422, "no_path", "Raw bytes need a name: ?path=guide/setup.md")
    return path, await request.body()


def _check(content: bytes, largest: int) -> None:
    if len(content) > largest:
        raise Refused(413, "body_too_large", f"The document is larger than {largest} bytes.")
    if not content.strip():
        raise Refused(422, "empty_document", "The document is empty.")


async def _reindexed(here: Shared, who: str, wanted: bool, force: bool = False) -> dict[str, Any]:
    return {"job": job_link(await here.jobs.start(who, force=force)) if wanted else None}


def _document(upload: Upload) -> dict[str, Any]:
    return {"path": upload.path, "size": upload.size, "modified": upload.modified}
