"""Reports to take away: for programs as JSON, for people as one HTML file."""

from fastapi import APIRouter, Request, Response

from app.actions import report
from app.actions.report import Form
from app.api.answers import find_dataset, refuse_for
from app.api.metrics import checkpoint, question
from app.services import Services
from comask.errors import ComaskError

SCORE = 0.5  # the line that counts are reported at, unless another is asked for
_TYPES: dict[Form, str] = {"html": "text/html; charset=utf-8", "json": "application/json"}


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api/reports")

    @routes.get("/{dataset}.json")
    def as_json(request: Request, dataset: str) -> Response:
        return _answer(services, request, dataset, "json")

    @routes.get("/{dataset}.html")
    def as_page(request: Request, dataset: str) -> Response:
        return _answer(services, request, dataset, "html")

    return routes


def _answer(services: Services, request: Request, dataset: str, form: Form) -> Response:
    found = find_dataset(services, dataset)
    file, asked = checkpoint(services, request), question(services, request, SCORE)
    try:
        made = report.report(services, dataset, found, file, asked, form)
    except (ComaskError, OSError) as error:
        refuse_for(409, error)
    headers = {
        "Content-Disposition": f'attachment; filename="{made.name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(made.content, media_type=_TYPES[form], headers=headers)
