"""What the rooms of the page Label share: projects, what was sent, and answers with their status.

422 says that what was asked is wrong, 409 that somebody or something came in between, 503 that it
may be sent again as it is.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from fastapi import Request, Response

from app.api.answers import (
    find_dataset,
    json_answer,
    read_content,
    refuse,
    refuse_for,
    refuse_other_sites,
)
from app.services import Services
from app.services.sheets import Project
from comask.errors import CheckpointError, ComaskError, ConflictError

Answer = TypeVar("Answer")


def find_project(services: Services, name: str | None) -> Project:
    """Look a project up: a dataset's id, "uploads" or "samples"."""
    if name not in ("uploads", "samples"):
        refuse_while_read(services, name or "")
        find_dataset(services, name or "")
    found = services.sheets.project(name or "")
    if found is None:
        refuse(404, "There is no such dataset; open its folder again.")
    return found


def refuse_while_read(services: Services, dataset: str) -> None:
    """Ask the page to come back while a dataset is opened, as after a restart.

    Nothing is wrong with what it sent, so nothing of that may be given up.
    """
    if services.datasets.get(dataset) is None:
        state = services.datasets.state(dataset)
        if state is not None and state.state == "indexing":
            refuse(503, state.sentence)


async def sent(request: Request, most: int) -> bytes:
    """Read what our own page sent, up to so many bytes."""
    refuse_other_sites(request)
    return await read_content(request, most)


def parsed(parse: Callable[[], Answer]) -> Answer:
    """Parse what was sent, or refuse it with its sentence."""
    try:
        return parse()
    except ComaskError as error:
        refuse_for(422, error)


def told(work: Callable[[], Answer], *, ours: bool = False) -> Answer:
    """Do some work, or refuse with its sentence; ``ours``: the caller explains conflicts."""
    try:
        return work()
    except (ConflictError, CheckpointError) as error:
        if ours and isinstance(error, ConflictError):
            raise
        refuse_for(409, error)
    except (ComaskError, OSError) as error:
        refuse_for(422, error)


def answer(request: Request, content: Any, status: int = 200) -> Response:
    """Answer with JSON that nobody keeps."""
    made = json_answer(request, orjson.dumps(content), {"Cache-Control": "no-store"})
    made.status_code = status
    return made
