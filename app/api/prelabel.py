"""The model labels: over a project, in a region, in a box by hand; and labels beside the model."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.actions import piles, prelabel
from app.api.answers import (
    find_checkpoint,
    find_image,
    parse_object,
    read_choice,
    read_number,
    read_whole,
    refuse,
    refuse_other_sites,
)
from app.api.labelling import answer, find_project, parsed, sent, told
from app.canvas import prelabel_asked
from app.services import CheckpointFile, Services
from comask.errors import ConflictError

MOST_BYTES = 32_000_000  # of a request: every image of a project by its key
MOST_ROWS = 1_000

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
        return answer(request, told(lambda: prelabel.mapping(services, project, file)))

    @routes.post("/prelabel")
    async def start(request: Request) -> Response:
        content = await sent(request, MOST_BYTES)

        def work() -> dict[str, Any]:
            asked = parsed(lambda: prelabel_asked.prelabel_asked(parse_object(content)))
            project = find_project(services, asked.project)
            file = _chosen(services, asked.checkpoint)
            return {"task": told(lambda: prelabel.started(services, project, file, asked))}

        return answer(request, await run_in_threadpool(work))

    @routes.post("/prelabel/region")
    async def region(request: Request) -> Response:
        content = await sent(request, MOST_BYTES)
        return await run_in_threadpool(_region, services, request, content)

    @routes.post("/labels/{key}/refit")
    async def refit(request: Request, key: str) -> Response:
        content = await sent(request, MOST_BYTES)

        def work() -> dict[str, Any]:
            image = find_image(services, key)
            asked = parsed(lambda: prelabel_asked.refit_asked(parse_object(content)))
            file = _chosen(services, asked.checkpoint)
            return told(lambda: prelabel.refit(services, image, file, asked))

        return answer(request, await run_in_threadpool(work))


def _add_tasks(routes: APIRouter, services: Services) -> None:
    @routes.get("/prelabel")
    def latest(request: Request) -> Response:
        """Answer with the task that goes on in a project, or its latest one."""
        project = find_project(services, request.query_params.get("project"))
        return answer(request, {"task": services.prelabels.latest(project.name)})

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
        told(lambda: services.prelabels.retry(task))
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
        return answer(request, told(lambda: piles.piles(services, project, file, asked)))

    @routes.post("/piles")
    async def act(request: Request) -> Response:
        content = await sent(request, MOST_BYTES)

        def work() -> dict[str, Any]:
            asked = parsed(lambda: prelabel_asked.pile_asked(parse_object(content)))
            project = find_project(services, asked.project)
            file = _chosen(services, asked.checkpoint)
            return told(lambda: piles.acted(services, project, file, asked))

        return answer(request, await run_in_threadpool(work))


def _region(services: Services, request: Request, content: bytes) -> Response:
    asked = parsed(lambda: prelabel_asked.region_asked(parse_object(content)))
    image = find_image(services, asked.key)
    file = _chosen(services, asked.checkpoint)
    try:
        return answer(
            request, told(lambda: prelabel.region(services, image, file, asked), ours=True)
        )
    except ConflictError as error:
        explained = prelabel.region_conflict(services, image, asked, str(error))
        return answer(request, explained, 409)


def _described(services: Services, request: Request, task: str) -> Response:
    found = prelabel.described(services, task)
    if found is None:
        refuse(404, _UNKNOWN)
    return answer(request, found)


def _chosen(services: Services, name: str | None) -> CheckpointFile:
    file = find_checkpoint(services, name)
    if file is None:
        refuse(409, "There is no checkpoint yet, so there is nothing to label with.")
    return file
