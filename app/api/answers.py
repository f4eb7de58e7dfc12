"""How routes answer: JSON compressed where the browser takes it, refusals of one sentence."""

import gzip
import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, urlsplit

import orjson
from fastapi import HTTPException, Request, Response

from app.services import CheckpointFile, Services, StoredImage
from comask.annotation.index import DatasetIndex
from comask.errors import ComaskError, StoreError

MOST_BYTES = 100_000  # of a request that holds a few values
COMPRESSED_FROM = 1_000  # bytes; below, compressing costs more than it saves

Choice = TypeVar("Choice", bound=str | None)

_WHOLE = re.compile(r"\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,12}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,2})?", re.ASCII)


def refuse(status: int, sentence: str) -> NoReturn:
    """End a request with one sentence."""
    raise HTTPException(status, sentence)


def refuse_for(status: int, error: Exception, what: str = "file") -> NoReturn:
    """End a request with an error's own sentence; ``what`` the system could not read or write.

    A store's trouble is no fault of what was asked, so it stays what it is: ``store_trouble``.
    """
    if isinstance(error, StoreError):
        raise error
    if isinstance(error, OSError) and not isinstance(error, ComaskError):
        refuse(status, f"The {what} can't be read or written: {error.strerror or error}.")
    refuse(status, f"{str(error).rstrip('.')}.")


def store_trouble(_: Request, error: Exception) -> Response:
    """Answer whatever a store's trouble ended: 503, so it may be asked again as it is."""
    detail = {"detail": f"{str(error).rstrip('.')}."}
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return Response(orjson.dumps(detail), 503, headers, media_type="application/json")


def json_answer(request: Request, content: bytes, headers: dict[str, str]) -> Response:
    """Answer with JSON, compressed if it is worth it and the browser takes it."""
    headers = {"X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding", **headers}
    accepted = request.headers.get("accept-encoding", "")
    if len(content) >= COMPRESSED_FROM and "gzip" in accepted:
        content = gzip.compress(content, 5, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type="application/json", headers=headers)


def attachment(file_name: str) -> str:
    """Name a file to be saved: the value of a Content-Disposition header, for any name."""
    plain = file_name.encode("ascii", "replace").decode().replace('"', "'")
    plain = plain.replace("\\", "_").replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"


def find_image(services: Services, key: str) -> StoredImage:
    """Look an image up; whatever is no key is as unknown as a wrong one."""
    try:
        image = services.images.find(key)
    except ComaskError as error:
        refuse(404, str(error))
    if image is None:
        refuse(404, "There is no such image; it may have been removed.")
    return image


def find_checkpoint(services: Services, name: str | None) -> CheckpointFile | None:
    """Look a checkpoint up; without a name it is the first, or None when there is none."""
    file = services.checkpoints.find(name)
    if file is None and name is not None:
        refuse(404, "There is no checkpoint of this name; it may have been removed.")
    return file


def read_number(text: str | None, name: str, low: float, high: float, default: float) -> float:
    """Read a number from an address: plain decimal digits within a range."""
    if text is None:
        return default
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not low <= value <= high:
        refuse(422, f"{name} must be a number from {low:g} to {high:g}.")
    return float(value)


def find_dataset(services: Services, dataset: str) -> DatasetIndex:
    """Look an open dataset up by its id."""
    found = services.datasets.get(dataset)
    if found is None:
        state = services.datasets.state(dataset)
        if state is not None:
            refuse(409, state.sentence or f"{state.name} is still being read.")
        refuse(404, "There is no such dataset; open its folder again.")
    return found


def read_whole(text: str | None, name: str, low: int, high: int, default: int) -> int:
    """Read a whole number from an address."""
    if text is None:
        return default
    value = int(text) if _WHOLE.fullmatch(text) else low - 1
    if not low <= value <= high:
        refuse(422, f"{name} must be a whole number from {low} to {high}.")
    return value


def read_choice(
    text: str | None, name: str, choices: Sequence[str], default: Choice
) -> Any | Choice:
    """Read one of some words from an address; an empty one is none."""
    if not text:
        return default
    if text not in choices:
        refuse(422, f"{name} must be one of {', '.join(choices)}.")
    return text


def read_cell(text: str | None) -> tuple[int | None, int | None] | None:
    """Read a cell of the confusion matrix: two category ids, or "none", with a comma between."""
    if not text:
        return None
    parts = text.split(",")
    if len(parts) != 2 or not all(part == "none" or _WHOLE.fullmatch(part) for part in parts):
        refuse(422, "cell must be two category ids with a comma between; none stands for no class.")
    truth, found = (None if part == "none" else int(part) for part in parts)
    return truth, found


def read_range(text: str | None, name: str) -> tuple[float, float] | None:
    """Read two numbers of 0 .. 1 from an address, the lower one first, a comma between."""
    if not text:
        return None
    parts = text.split(",")
    numbers = [float(part) if _NUMBER.fullmatch(part) else math.nan for part in parts]
    if len(numbers) != 2 or not 0 <= numbers[0] <= numbers[1] <= 1:
        refuse(
            422,
            f"{name} must be two numbers from 0 to 1 with a comma between, for example 0.3,0.5.",
        )
    return numbers[0], numbers[1]


async def read_object(request: Request) -> dict[str, object]:
    """Read a small JSON object that the page sent."""
    return parse_object(await read_content(request, MOST_BYTES))


async def read_content(request: Request, most: int) -> bytes:
    """Read what the page sent, up to so many bytes."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            refuse(413, "The request is too long.")
    return bytes(content)


def parse_object(content: bytes) -> dict[str, object]:
    """Parse a JSON object that the page sent."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        refuse(422, "The request must hold a JSON object.")
    return value


def refuse_other_sites(request: Request) -> None:
    """Refuse what another site's page sends; browsers say where a page came from."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        refuse(403, "Another site can't ask for this; open the Studio's own page.")


def refuse_too_large(request: Request, most: int, sentence: str) -> None:
    """Refuse what does not say how long it is, or says too much: nothing of it is read."""
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        refuse(411, "The request must say how long it is.")
    if len(length) > 15 or int(length) > most:
        refuse(413, sentence)
