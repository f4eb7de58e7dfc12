"""Files of labels: out with a certificate, and in as one batch that can be undone."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from app.actions import label_exports, label_imports
from app.api.answers import (
    MOST_BYTES,
    attachment,
    parse_object,
    read_content,
    refuse,
    refuse_other_sites,
    refuse_too_large,
)
from app.api.labelling import answer, find_project, parsed, told
from app.canvas import label_files_asked
from app.services import Services

MOST_FIELDS = 8  # of an import
_PART = 1_000_000  # bytes that are moved at a time
_GONE = "There is no such export any more; export again."


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api/labels")

    @routes.post("/exports")
    async def export(request: Request) -> Response:
        refuse_other_sites(request)
        content = await read_content(request, MOST_BYTES)
        return answer(request, await run_in_threadpool(_export, services, content))

    @routes.get("/exports/{export_id}")
    def file(export_id: str) -> Response:
        kept = label_exports.find(services, export_id)
        if kept is None:
            refuse(404, _GONE)
        return _download(kept.path)

    @routes.get("/exports/{export_id}/certificate.json")
    def certificate(export_id: str) -> Response:
        kept = label_exports.find(services, export_id)
        if kept is None:
            refuse(404, _GONE)
        return _download(kept.certificate)

    @routes.post("/import")
    async def take(request: Request) -> Response:
        refuse_other_sites(request)
        most = services.settings.limits.request_bytes
        refuse_too_large(
            request, most, f"A file to import may have {most // 1_000_000} MB; split it, or zip it."
        )
        async with _received(request) as (path, fields):
            return answer(request, await run_in_threadpool(_import, services, path, fields))

    return routes


def _export(services: Services, content: bytes) -> dict[str, Any]:
    asked = parsed(lambda: label_files_asked.export_asked(parse_object(content)))
    project = find_project(services, asked.project)
    return told(lambda: label_exports.export(services, project, asked))


def _import(services: Services, path: Path, fields: dict[str, str]) -> dict[str, Any]:
    asked = parsed(lambda: label_files_asked.import_asked(fields))
    project = find_project(services, asked.project)
    return told(lambda: label_imports.take(services, project, path, asked))


@asynccontextmanager
async def _received(request: Request) -> AsyncIterator[tuple[Path, dict[str, str]]]:
    """Lend the one file of a request, and its other fields, while the block runs."""
    with tempfile.TemporaryDirectory(prefix="comask-") as folder:
        path: Path | None = None
        try:
            async with request.form(max_files=1, max_fields=MOST_FIELDS) as form:
                sent = form.get("file")
                fields = {name: text for name, text in form.items() if isinstance(text, str)}
                if isinstance(sent, UploadFile):
                    path = Path(folder) / _file_name(sent.filename)
                    with path.open("wb") as copy:
                        while part := await sent.read(_PART):
                            copy.write(part)
        except (MultiPartException, HTTPException, UnicodeDecodeError, OSError) as error:
            raise HTTPException(422, "The file could not be read from the request.") from error
        if path is None:
            refuse(422, "The request must hold a file.")
        yield path, fields


def _file_name(name: str | None) -> str:
    """Take the last part of a stranger's file name, for sentences to say."""
    last = Path((name or "").replace("\\", "/")).name[-60:]
    return last if last.strip(". ") and last.isprintable() else "file"


def _download(path: Path) -> Response:
    headers = {
        "Content-Disposition": attachment(path.name),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    kind = "application/zip" if path.suffix == ".zip" else "application/json"
    return FileResponse(path, media_type=kind, headers=headers)
