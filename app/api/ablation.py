"""The model with something switched off, over one image or over a dataset."""

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from app.actions import ablation
from app.api.answers import find_dataset, read_number, read_whole, refuse_for
from app.api.inspections import answer, checkpoint, opened
from app.services import Services
from comask.errors import ComaskError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.analysis.switches import Switches


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api")

    @routes.get("/ablation/{key}")
    def of_image(request: Request, key: str) -> Response:
        image, file = opened(services, request, key)
        switches = _switches(request)
        score = read_number(request.query_params.get("score"), "score", 0, 1, 0.0)
        held = services.inspections.held(file, image)
        return answer(
            services,
            ("ablation", *held, switches, score),
            lambda _: ablation.image_change(services, file, image, switches, score),
        )

    @routes.get("/ablation-set/{dataset}")
    def of_set(request: Request, dataset: str) -> Response:
        found = find_dataset(services, dataset)
        file = checkpoint(services, request)
        switches = _switches(request)
        limit = ablation.MOST_IMAGES
        given = request.query_params.get("images")
        most = min(read_whole(given, "images", 1, limit, limit), len(found))
        identity = services.checkpoints.identity(file)
        return answer(
            services,
            ("ablation-set", identity, found.fingerprint, found.content, switches, most),
            lambda report: ablation.set_change(
                services, file, (dataset, found), switches, most, report
            ),
        )

    return routes


def _switches(request: Request) -> "Switches":
    try:
        return ablation.parse(request.query_params.get("switches"))
    except ComaskError as error:
        refuse_for(422, error)
