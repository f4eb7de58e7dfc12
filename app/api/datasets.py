"""Datasets: open one, see how far it is and what is in it, come back to one."""

from dataclasses import asdict
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.actions import datasets
from app.api.answers import json_answer, read_object, refuse, refuse_for, refuse_other_sites
from app.services import Services
from comask.errors import ComaskError


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api/datasets")

    @routes.get("")
    def recent(request: Request) -> Response:
        return _answer(request, datasets.recent(services))

    @routes.post("")
    async def open_folder(request: Request) -> Response:
        refuse_other_sites(request)
        asked = await read_object(request)
        folder, file = asked.get("folder"), asked.get("annotations")
        try:
            state = await run_in_threadpool(datasets.opened, services, folder, file)
        except (ComaskError, OSError) as error:
            refuse_for(422, error, "folder")
        return _answer(request, asdict(state), 202)

    @routes.post("/samples")
    async def samples(request: Request) -> Response:
        """Fetch some photographs of COCO and open them; progress is asked for by the id."""
        refuse_other_sites(request)
        state = await run_in_threadpool(datasets.fetched, services)
        return _answer(request, asdict(state), 202)

    @routes.get("/{dataset}")
    def one(request: Request, dataset: str) -> Response:
        found = datasets.described(services, dataset)
        if found is None:
            refuse(404, "There is no such dataset; open its folder again.")
        return _answer(request, found)

    return routes


def _answer(request: Request, content: dict[str, Any], status: int = 200) -> Response:
    answer = json_answer(request, orjson.dumps(content), {"Cache-Control": "no-store"})
    answer.status_code = status
    return answer
