"""What the routes of the page Inspect share: who is meant, and answers that take a while."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import quote

import orjson
from fastapi import Request, Response

from app.api.answers import find_checkpoint, find_image, refuse, refuse_for
from app.services import CheckpointFile, Services, StoredImage
from app.services.tasks import TaskState, Work
from comask.errors import ComaskError

WAIT = 1.5  # seconds until work that goes on is told of
PACKET = "application/octet-stream"
LONGEST = 100_000  # image pixels of a length

Kind = Literal["npy", "csv"]
Place = tuple[int, str]  # a level and the name of a map

_LEVELS = {"P2": 2, "P3": 3, "P4": 4, "P5": 5}
_INSTANCE = re.compile(r"p([1-9]\d{0,8})", re.ASCII)


def opened(
    services: Services, request: Request, key: str, name: str = "checkpoint"
) -> tuple[StoredImage, CheckpointFile]:
    """Look up the image and the checkpoint of a question."""
    return find_image(services, key), checkpoint(services, request, name)


def checkpoint(services: Services, request: Request, name: str = "checkpoint") -> CheckpointFile:
    """Look up the checkpoint of a question; without a name it is the first."""
    file = find_checkpoint(services, request.query_params.get(name))
    if file is None:
        refuse(409, "There is no checkpoint to look into; add one first.")
    return file


def answer(services: Services, question: tuple[object, ...], work: Work) -> Response:
    """Answer with a packet, or with 202 and how far the work is."""
    try:
        state = services.inspections.tasks.ask(question, work, WAIT)
    except ComaskError as error:
        refuse_for(429, error)
    return _told(state)


def _told(state: TaskState) -> Response:
    """Tell what became of some work."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if state.stage == "failed":
        refuse(422, f"{state.sentence.rstrip('.')}.")
    if state.stage == "done":
        return Response(state.content, media_type=PACKET, headers=headers)
    head = {"task": state.id, "done": state.done, "total": state.total}
    return Response(orjson.dumps(head), 202, media_type="application/json", headers=headers)


def read_place(name: str) -> tuple[Place, Kind]:
    """Read the name of a map's file, P3-8x.npy or P3-8x.csv."""
    stem, dot, kind = name.rpartition(".")
    level, dash, panel = stem.partition("-")
    if not dot or not dash or level not in _LEVELS or kind not in ("npy", "csv"):
        refuse(404, "A map's file is named like P3-8x.npy or P3-8x.csv.")
    return (_LEVELS[level], panel), kind  # type: ignore[return-value]


def read_instance(text: str | None) -> int | None:
    """Read the name of an instance, p1 the first: its row."""
    if not text:
        return None
    found = _INSTANCE.fullmatch(text)
    if found is None:
        refuse(422, "instance must be one that the model found, like p3.")
    return int(found[1]) - 1


def file_answer(image: StoredImage, about: str, name: str, write: Callable[[], bytes]) -> Response:
    """Answer with a file to keep, named after the image, the question and the map."""
    return table_answer(f"{PurePosixPath(image.file_name).name}-{about}", name, write)


def table_answer(about: str, name: str, write: Callable[[], bytes]) -> Response:
    """Answer with a file to keep, named after what it is about."""
    try:
        content = write()
    except (ComaskError, OSError) as error:
        refuse_for(404, error)
    label = quote(f"{about}-{name}", safe="")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{label}",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    media_type = "text/csv" if name.endswith(".csv") else PACKET
    return Response(content, media_type=media_type, headers=headers)
