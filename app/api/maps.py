"""Maps of what the branches gave and contributed, as packets or files; and how to stop work."""

import orjson
from fastapi import APIRouter, Request, Response

from app.actions import maps
from app.actions.maps import MEASURES, Asked
from app.api.answers import json_answer, read_choice, read_whole, refuse_other_sites
from app.api.inspections import answer, file_answer, opened, read_place
from app.services import Services

REDUCTIONS = ("mean", "norm", "max", "channel", "pca")
MOST_CHANNELS = 4096


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api")

    @routes.get("/maps/{key}")
    def several(request: Request, key: str) -> Response:
        image, file = opened(services, request, key)
        asked = _asked(request)
        question = ("maps", *services.inspections.held(file, image), asked)
        return answer(services, question, lambda _: maps.packet(services, file, image, asked))

    @routes.get("/maps/{key}/{name}")
    def one(request: Request, key: str, name: str) -> Response:
        """Answer with one map as a file, named P3-8x.npy or P3-8x.csv."""
        image, file = opened(services, request, key)
        asked = _asked(request)
        place, kind = read_place(name)
        return file_answer(
            image,
            asked.token,
            name,
            lambda: maps.download(services, file, image, asked, place, kind),
        )

    @routes.delete("/tasks/{number}")
    def stop(request: Request, number: str) -> Response:
        refuse_other_sites(request)
        found = services.inspections.tasks.stop(number)
        return json_answer(request, orjson.dumps({"stopped": found}), {"Cache-Control": "no-store"})

    return routes


def _asked(request: Request) -> Asked:
    given = request.query_params
    what: maps.What = read_choice(
        given.get("what"), "what", ("activation", "contribution"), "activation"
    )
    if what == "contribution":
        how = read_choice(given.get("how"), "how", MEASURES, "share")
        return Asked(what, how)
    how = read_choice(given.get("how"), "how", REDUCTIONS, "norm")
    channel = read_whole(given.get("channel"), "channel", 0, MOST_CHANNELS - 1, 0)
    return Asked(what, how, channel if how == "channel" else 0)
