"""One image's instances, as the canvas draws them."""

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.actions import documents
from app.api.answers import find_checkpoint, find_image, json_answer, read_number
from app.api.waiting import PATIENCE, wait_for_model
from app.services import Services


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
            await wait_for_model(services, file, image, patience)
        content = await run_in_threadpool(documents.document, services, file, image)
        return json_answer(request, orjson.dumps(content), {"Cache-Control": "no-store"})

    return routes
