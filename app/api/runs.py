"""Runs over datasets: start one, see how far it is, stop it, try again what failed."""

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.actions import runs
from app.api.answers import (
    find_checkpoint,
    find_dataset,
    json_answer,
    read_object,
    refuse,
    refuse_other_sites,
)
from app.services import CheckpointFile, Services

_UNKNOWN = "There is no such run; it may have ended long ago."


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api/runs")

    @routes.post("")
    async def start(request: Request) -> Response:
        refuse_other_sites(request)
        asked = await read_object(request)
        run = await run_in_threadpool(_start, services, asked)
        return _answer(request, {"run": run})

    @routes.get("")
    def current(request: Request, dataset: str = "", checkpoint: str | None = None) -> Response:
        """Answer with the run that goes on, if one does, and how many images are done."""
        found = find_dataset(services, dataset)
        file = _chosen(services, checkpoint)
        return _answer(request, runs.standing(services, dataset, found, file))

    @routes.get("/{run}")
    def one(request: Request, run: str) -> Response:
        found = runs.described(services, run)
        if found is None:
            refuse(404, _UNKNOWN)
        return _answer(request, found)

    @routes.post("/{run}/stop")
    def stop(request: Request, run: str) -> Response:
        refuse_other_sites(request)
        services.runner.stop(run)
        found = runs.described(services, run)
        if found is None:
            refuse(404, _UNKNOWN)
        return _answer(request, found)

    @routes.post("/{run}/retry")
    def retry(request: Request, run: str) -> Response:
        refuse_other_sites(request)
        again = runs.retried(services, run)
        if again is None:
            refuse(404, _UNKNOWN)
        return _answer(request, {"run": again})

    return routes


def _start(services: Services, asked: dict[str, object]) -> str:
    dataset, checkpoint = asked.get("dataset"), asked.get("checkpoint")
    if not isinstance(dataset, str) or not isinstance(checkpoint, str | None):
        refuse(422, "dataset and checkpoint must be texts.")
    found = find_dataset(services, dataset)
    try:
        return runs.started(services, dataset, found, _chosen(services, checkpoint))
    except OSError as error:
        refuse(409, f"The checkpoint can't be read: {error.strerror or error}.")


def _chosen(services: Services, name: str | None) -> CheckpointFile:
    file = find_checkpoint(services, name)
    if file is None:
        refuse(409, "There is no checkpoint yet, so there is nothing to run.")
    return file


def _answer(request: Request, content: dict[str, object]) -> Response:
    return json_answer(request, orjson.dumps(content), {"Cache-Control": "no-store"})
