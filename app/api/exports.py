"""COCO files to take away, cut at the score that the page shows."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.actions import export
from app.api.answers import (
    attachment,
    find_checkpoint,
    find_image,
    json_answer,
    read_number,
    refuse,
)
from app.api.waiting import PATIENCE, wait_for_model
from app.services import CheckpointFile, Services
from comask.errors import InputError

NOT_YET = "The model has not come to this image yet; try again when the run is further."


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api/exports")

    @routes.get("/all.json")
    def every(
        request: Request,
        source: str | None = None,
        dataset: str | None = None,
        min_score: str | None = None,
        checkpoint: str | None = None,
    ) -> Response:
        score = read_number(min_score, "min_score", 0, 1, services.settings.min_score)
        file = _chosen(services, checkpoint)
        if dataset is not None:
            return _whole(request, file, dataset, score)
        if source not in (None, "samples", "uploads"):
            refuse(422, "source must be samples or uploads.")
        images = [
            image
            for listed in ("samples", "uploads")
            if source in (None, listed)
            for image in services.images.listed(listed)
        ]
        try:
            return _download(request, export.every(services, file, images, score))
        except InputError as error:
            refuse(409, str(error))

    def _whole(request: Request, file: CheckpointFile, dataset: str, score: float) -> Response:
        try:
            exported = export.whole(services, file, dataset, score)
        except InputError as error:
            refuse(409, str(error))
        if exported is None:
            refuse(404, "There is no such dataset; open it first.")
        return _download(request, exported)

    @routes.get("/{key}.json")
    async def one(
        request: Request, key: str, min_score: str | None = None, checkpoint: str | None = None
    ) -> Response:
        score = read_number(min_score, "min_score", 0, 1, services.settings.min_score)
        image = find_image(services, key)
        file = await run_in_threadpool(_chosen, services, checkpoint)
        await wait_for_model(services, file, image, PATIENCE)
        exported = await run_in_threadpool(export.one, services, file, image, score)
        if exported is None:
            refuse(409, services.complaint(file, key) or NOT_YET)
        return _download(request, exported)

    return routes


def _chosen(services: Services, name: str | None) -> CheckpointFile:
    file = find_checkpoint(services, name)
    if file is None:
        refuse(409, "There is no checkpoint yet, so there is nothing to export.")
    return file


def _download(request: Request, exported: export.Exported) -> Response:
    name = attachment(exported.file_name)
    headers = {"Content-Disposition": name, "Cache-Control": "no-store"}
    return json_answer(request, exported.content, headers)
