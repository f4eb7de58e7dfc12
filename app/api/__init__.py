"""Our own routes, beside Gradio's: what the canvas and the lists fetch."""

from fastapi import FastAPI

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
from app.api.answers import refuse, store_trouble
from app.services import Services
from comask.errors import StoreError


def add_to(app: FastAPI, services: Services) -> None:
    """Add all routes; an unknown address below /api is a sentence, not a page.

    FastAPI's own ``include_router`` would read every route's parameters anew.
    """
    rooms = (documents, images, exports, datasets, grid, runs, metrics, reports, traces)
    inspecting = (maps, fields, ablation)
    labelling = (label_exports, labels, prelabel)
    app.add_exception_handler(StoreError, store_trouble)
    for room in (*rooms, *inspecting, *labelling):
        app.router.routes.extend(room.router(services).routes)

    @app.get("/api/{rest:path}")
    def unknown(rest: str) -> None:
        refuse(404, f"There is nothing at /api/{rest[:80]}.")
