"""How one instance of an image was made."""

import re

import orjson
from fastapi import APIRouter, Request, Response

from app.actions import traces
from app.api.answers import find_checkpoint, find_image, json_answer, refuse
from app.services import Services

_INSTANCE = re.compile(r"p([1-9]\d{0,8})", re.ASCII)


def router(services: Services) -> APIRouter:
    """Build the route."""
    routes = APIRouter(prefix="/api/traces")

    @routes.get("/{key}/{instance}")
    def one(request: Request, key: str, instance: str, checkpoint: str | None = None) -> Response:
        image = find_image(services, key)
        file = find_checkpoint(services, checkpoint)
        prediction = None if file is None else services.prediction(file, image.key)
        if prediction is None:
            refuse(409, "The checkpoint has not seen this image yet.")
        named = _INSTANCE.fullmatch(instance)
        if named is None or int(named[1]) > len(prediction):
            refuse(404, "There is no such instance in this image.")
        content = traces.trace(prediction, int(named[1]) - 1)
        return json_answer(request, orjson.dumps(content), {"Cache-Control": "no-store"})

    return routes
