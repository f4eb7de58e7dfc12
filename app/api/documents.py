"""One image's instances, as the canvas draws them."""

import time

import anyio
import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.actions import documents
from app.api.answers import find_checkpoint, find_image, json_answer, read_number
from app.services import CheckpointFile, Services, StoredImage

PATIENCE = 120.0  # seconds that an image is waited for
GLANCE = 0.05  # seconds between two looks


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api/documents")

    @routes.get("/{key}")
    async def document(
        request: Request, key: str, checkpoint: str | None = None, wait: str | None = None
    ) -> Response:
        """Answer with what the model found; ``wait=0`` takes what there is by now."""
        patience = read_number(wait, "wait", 0, PATIENCE, PATIENCE)
        image = find_image(services, key)
        file = await run_in_threadpool(find_checkpoint, services, checkpoint)
        if file is not None and patience > 0:
            await _wait(services, file, image, patience)
        content = await run_in_threadpool(documents.document, services, file, image)
        return json_answer(request, orjson.dumps(content), {"Cache-Control": "no-store"})

    return routes


async def _wait(
    services: Services, file: CheckpointFile, image: StoredImage, patience: float
) -> None:
    """See to it that the model looks at an image, before all others."""
    if await run_in_threadpool(services.ready, file, (image,)):
        return
    run = await run_in_threadpool(services.start_run, f"document {image.key}", file, (image,))
    services.runner.prefer(run, image.key)
    until = time.monotonic() + patience
    while time.monotonic() < until:
        state = services.runner.state(run)
        if state is None or state.stage != "running":
            return
        await anyio.sleep(GLANCE)
