"""Our own routes, beside Gradio's: what the canvas and the lists fetch."""

from fastapi import APIRouter

from app.api import (
    ablation,
    datasets,
    documents,
    exports,
    fields,
    grid,
    images,
    label_exports,
    labels,
    maps,
    metrics,
    prelabel,
    reports,
    runs,
    traces,
)
from app.api.answers import refuse
from app.services import Services


def router(services: Services) -> APIRouter:
    """Put all routes together; an unknown address below /api is a sentence, not a page."""
    routes = APIRouter()
    rooms = (documents, images, exports, datasets, grid, runs, metrics, reports, traces)
    inspecting = (maps, fields, ablation)
    labelling = (label_exports, labels, prelabel)
    for room in (*rooms, *inspecting, *labelling):
        routes.include_router(room.router(services))

    @routes.get("/api/{rest:path}")
    def unknown(rest: str) -> None:
        refuse(404, f"There is nothing at /api/{rest[:80]}.")

    return routes
