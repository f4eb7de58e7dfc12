"""Pictures: whole ones for the canvas, small ones for lists, and new ones."""

from collections.abc import Callable

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from app.actions import uploads
from app.api.answers import (
    find_image,
    json_answer,
    read_number,
    refuse,
    refuse_other_sites,
    refuse_too_large,
)
from app.services import Services, StoredImage
from app.services.images import Encoded
from comask.errors import ImageError, InputError

# a key names a content, so what it stands for never changes
_FOREVER = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
}
_FARTHEST = 1e39  # a grey value is never farther from 0: float32 ends at 3.4e38
_EIGHT_BITS = {"bits": 8, "low": 0, "high": 255, "shown": [0, 255]}


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api")

    @routes.get("/images/{key}")
    def picture(
        request: Request, key: str, low: str | None = None, high: str | None = None
    ) -> Response:
        image = find_image(services, key)
        if low is None and high is None:
            return _answer(request, image, services.images.picture)
        limits = _read_window(low, high)
        return _answer(request, image, lambda one: services.images.windowed(one, *limits))

    @routes.get("/images/{key}/range")
    def grey_range(request: Request, key: str) -> Response:
        image = find_image(services, key)
        try:
            found = services.images.grey_range(image)
        except (ImageError, OSError) as error:
            refuse(404, str(error))
        return json_answer(
            request,
            orjson.dumps(_EIGHT_BITS if found is None else found),
            {"Cache-Control": "no-store"},
        )

    @routes.get("/thumbnails/{key}")
    def thumbnail(request: Request, key: str) -> Response:
        return _answer(request, find_image(services, key), services.images.thumbnail)

    @routes.post("/uploads")
    async def upload(request: Request) -> Response:
        refuse_other_sites(request)
        most = services.settings.limits.request_bytes
        refuse_too_large(
            request,
            most,
            f"One request may hold {most // 1_000_000} MB; send fewer files at a time.",
        )
        files = await _read_files(request, services)
        if not files:
            refuse(422, "The request holds no files.")
        taken = await run_in_threadpool(uploads.take, services, files)
        answer = {
            "accepted": [one for one in taken if isinstance(one, uploads.Accepted)],
            "refused": [one for one in taken if isinstance(one, uploads.Refused)],
        }
        return json_answer(request, orjson.dumps(answer), {"Cache-Control": "no-store"})

    return routes


def _read_window(low: str | None, high: str | None) -> tuple[float, float]:
    if low is None or high is None:
        refuse(422, "A window needs both its values, low and high.")
    first = read_number(low, "low", -_FARTHEST, _FARTHEST, 0)
    last = read_number(high, "high", -_FARTHEST, _FARTHEST, 0)
    if first >= last:
        refuse(422, f"low must be below high, got {first:g} and {last:g}.")
    return first, last


def _answer(
    request: Request, image: StoredImage, encode: Callable[[StoredImage], Encoded]
) -> Response:
    """Answer with a picture; of a dataset's image, which may change, only if it did."""
    headers = _FOREVER
    if image.source == "dataset":
        tag = f'"{image.version}"'
        headers = {**_FOREVER, "Cache-Control": "private, no-cache", "ETag": tag}
        if image.version and request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
    try:
        encoded = encode(image)
    except (ImageError, OSError) as error:
        refuse(404, str(error))
    except InputError as error:
        refuse(422, str(error))
    return Response(encoded.content, media_type=encoded.media_type, headers=headers)


async def _read_files(request: Request, services: Services) -> list[tuple[str, bytes]]:
    limits = services.settings.limits
    most = limits.images_per_request
    files: list[tuple[str, bytes]] = []
    try:
        async with request.form(max_files=most, max_fields=most) as form:
            for _, value in form.multi_items():
                if isinstance(value, UploadFile):
                    # one byte above the limit is enough to be refused with the file's name
                    content = await value.read(limits.image_bytes + 1)
                    files.append((value.filename or "image", content))
    except (MultiPartException, HTTPException, UnicodeDecodeError) as error:
        refuse(422, f"The files could not be read from the request; at most {most} go at a time.")
        raise AssertionError from error
    return files
