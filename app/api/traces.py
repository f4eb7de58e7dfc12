"""How instances of an image were made: the numbers of one or of all, and films to take away."""

import re
from typing import TYPE_CHECKING

import orjson
from fastapi import APIRouter, Request, Response

from app.actions import traces
from app.actions.traces import FilmAsked, Kind
from app.api.answers import (
    attachment,
    find_checkpoint,
    find_image,
    json_answer,
    read_number,
    refuse,
    refuse_for,
)
from app.services import CheckpointFile, Services, StoredImage
from comask.errors import ComaskError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.predict import Prediction

_INSTANCE = re.compile(r"p([1-9]\d{0,8})", re.ASCII)
_FRESH = {"Cache-Control": "no-store"}


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api")

    @routes.get("/traces/{key}")
    def every(request: Request, key: str, checkpoint: str | None = None) -> Response:
        _, file, prediction = _seen(services, key, checkpoint)
        content = traces.traces(prediction, traces.pasting(file, prediction.size))
        return json_answer(request, orjson.dumps(content), _FRESH)

    @routes.get("/traces/{key}/{instance}")
    def one(request: Request, key: str, instance: str, checkpoint: str | None = None) -> Response:
        _, file, prediction = _seen(services, key, checkpoint)
        row = _row(prediction, instance)
        content = traces.trace(prediction, row, traces.pasting(file, prediction.size))
        return json_answer(request, orjson.dumps(content), _FRESH)

    @routes.get("/films/{key}.gif")
    def animation(request: Request, key: str) -> Response:
        return film(request, key, "gif")

    @routes.get("/films/{key}.png")
    def strip(request: Request, key: str) -> Response:
        return film(request, key, "png")

    def film(request: Request, key: str, kind: Kind) -> Response:
        """Answer with a film of ``instance`` (p1, p2, ... or all) above ``min_score``."""
        said = request.query_params
        lowest = services.settings.min_score
        score = read_number(said.get("min_score"), "min_score", 0, 1, lowest)
        image, file, prediction = _seen(services, key, said.get("checkpoint"))
        named = said.get("instance", "all")
        row = None if named == "all" else _row(prediction, named)
        try:
            made = traces.film(services, file, image, prediction, FilmAsked(kind, row, score))
        except (ComaskError, OSError) as error:
            refuse_for(409, error)
        headers = {**_FRESH, "Content-Disposition": attachment(made.file_name)}
        headers["X-Content-Type-Options"] = "nosniff"
        return Response(made.content, media_type=made.media_type, headers=headers)

    return routes


def _seen(
    services: Services, key: str, checkpoint: str | None
) -> "tuple[StoredImage, CheckpointFile, Prediction]":
    """Find an image, a checkpoint, and what the one was found to hold by the other."""
    image = find_image(services, key)
    file = find_checkpoint(services, checkpoint)
    prediction = None if file is None else services.prediction(file, image.key)
    if file is None or prediction is None:
        refuse(409, "The checkpoint has not seen this image yet.")
    return image, file, prediction


def _row(prediction: "Prediction", instance: str) -> int:
    named = _INSTANCE.fullmatch(instance)
    if named is None or int(named[1]) > len(prediction):
        refuse(404, "There is no such instance in this image.")
    return int(named[1]) - 1
