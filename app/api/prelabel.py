"""The model labels: over a project, in a region, in a box by hand; and labels beside the model."""

from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.actions import piles, prelabel
from app.api.answers import (
    find_checkpoint,
    find_image,
    json_answer,
    parse_object,
    read_choice,
    read_content,
    read_number,
    read_whole,
    refuse,
    refuse_other_sites,
)
from app.api.labels import find_project
from app.canvas import prelabel_asked
from app.services import CheckpointFile, Services
from comask.errors import CheckpointError, ComaskError, ConflictError, StoreError

MOST_BYTES = 32_000_000  # of a request: every image of a project by its key
MOST_ROWS = 1_000

Answer = TypeVar("Answer")

_UNKNOWN = "There is no such pre-labelling; it may have ended long ago."


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api")
    _add_starts(routes, services)
    _add_tasks(routes, services)
    _add_piles(routes, services)
    return routes


def _add_starts(routes: APIRouter, services: Services) -> None:
    @routes.get("/prelabel/mapping")
    def mapping(request: Request) -> Response:
        project = find_project(services, request.query_params.get("project"))
        file = _chosen(services, request.query_params.get("checkpoint"))
        return _answer(request, _told(lambda: prelabel.mapping(services, project, file)))

    @routes.post("/prelabel")
    async def start(request: Request) -> Response:
        content = await _sent(request)

        def work() -> dict[str, Any]:
            asked = _parsed(lambda: prelabel_asked.prelabel_asked(parse_object(content)))
            project = find_project(services, asked.project)
            file = _chosen(services, asked.checkpoint)
            return {"task": _told(lambda: prelabel.started(services, project, file, asked))}

        return _answer(request, await run_in_threadpool(work))

    @routes.post("/prelabel/region")
    async def region(request: Request) -> Response:
        content = await _sent(request)
        return await run_in_threadpool(_region, services, request, content)

    @routes.post("/labels/{key}/refit")
    async def refit(request: Request, key: str) -> Response:
        content = await _sent(request)

        def work() -> dict[str, Any]:
            image = find_image(services, key)
            asked = _parsed(lambda: prelabel_asked.refit_asked(parse_object(content)))
            file = _chosen(services, asked.checkpoint)
            return _told(lambda: prelabel.refit(services, image, file, asked))

        return _answer(request, await run_in_threadpool(work))


def _add_tasks(routes: APIRouter, services: Services) -> None:
    @routes.get("/prelabel")
    def latest(request: Request) -> Response:
        """Answer with the task that goes on in a project, or its latest one."""
        project = find_project(services, request.query_params.get("project"))
        return _answer(request, {"task": services.prelabels.latest(project.name)})

    @routes.get("/prelabel/{task}")
    def one(request: Request, task: str) -> Response:
        return _described(services, request, task)

    @routes.post("/prelabel/{task}/stop")
    def stop(request: Request, task: str) -> Response:
        refuse_other_sites(request)
        services.prelabels.stop(task)
        return _described(services, request, task)

    @routes.post("/prelabel/{task}/retry")
    def retry(request: Request, task: str) -> Response:
        """Try again what failed, and what a stopped task left."""
        refuse_other_sites(request)
        _told(lambda: services.prelabels.retry(task))
        return _described(services, request, task)


def _add_piles(routes: APIRouter, services: Services) -> None:
    @routes.get("/piles")
    def listed(request: Request) -> Response:
        given = request.query_params
        project = find_project(services, given.get("project"))
        file = _chosen(services, given.get("checkpoint"))
        asked = piles.PilesAsked(
            bar=read_number(given.get("bar"), "bar", 0.1, 1, 0.5),
            min_score=read_number(given.get("min_score"), "min_score", 0, 1, 0.05),
            pile=read_choice(given.get("pile"), "pile", piles.SHOWN, None),
            offset=read_whole(given.get("offset"), "offset", 0, 10**9, 0),
            limit=read_whole(given.get("limit"), "limit", 1, MOST_ROWS, 200),
        )
        return _answer(request, _told(lambda: piles.piles(services, project, file, asked)))

    @routes.post("/piles")
    async def act(request: Request) -> Response:
        content = await _sent(request)

        def work() -> dict[str, Any]:
            asked = _parsed(lambda: prelabel_asked.pile_asked(parse_object(content)))
            project = find_project(services, asked.project)
            file = _chosen(services, asked.checkpoint)
            return _told(lambda: piles.acted(services, project, file, asked))

        return _answer(request, await run_in_threadpool(work))


def _region(services: Services, request: Request, content: bytes) -> Response:
    asked = _parsed(lambda: prelabel_asked.region_asked(parse_object(content)))
    image = find_image(services, asked.key)
    file = _chosen(services, asked.checkpoint)
    try:
        return _answer(
            request, _told(lambda: prelabel.region(services, image, file, asked), ours=True)
        )
    except ConflictError as error:
        told = prelabel.region_conflict(services, image, asked, str(error))
        return _answer(request, told, 409)


def _described(services: Services, request: Request, task: str) -> Response:
    found = prelabel.described(services, task)
    if found is None:
        refuse(404, _UNKNOWN)
    return _answer(request, found)


def _chosen(services: Services, name: str | None) -> CheckpointFile:
    file = find_checkpoint(services, name)
    if file is None:
        refuse(409, "There is no checkpoint yet, so there is nothing to label with.")
    return file


async def _sent(request: Request) -> bytes:
    refuse_other_sites(request)
    return await read_content(request, MOST_BYTES)


def _parsed(parse: Callable[[], Answer]) -> Answer:
    """Parse what was sent, or refuse it with its sentence."""
    try:
        return parse()
    except ComaskError as error:
        refuse(422, f"{str(error).rstrip('.')}.")


def _told(work: Callable[[], Answer], *, ours: bool = False) -> Answer:
    """Do some work, or refuse with its sentence; ``ours``: the caller explains conflicts."""
    try:
        return work()
    except (ConflictError, CheckpointError) as error:
        if ours and isinstance(error, ConflictError):
            raise
        refuse(409, f"{str(error).rstrip('.')}.")
    except StoreError as error:  # nothing is wrong with what was asked
        refuse(503, f"{str(error).rstrip('.')}.")
    except (ComaskError, OSError) as error:
        refuse(422, f"{str(error).rstrip('.')}.")


def _answer(request: Request, content: Any, status: int = 200) -> Response:
    answer = json_answer(request, orjson.dumps(content), {"Cache-Control": "no-store"})
    answer.status_code = status
    return answer
