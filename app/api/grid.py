"""The grid: one page of a dataset's images, filtered and sorted."""

from typing import get_args

import orjson
from fastapi import APIRouter, Request, Response

from app.actions import grid, judge
from app.actions.fit import Sizes
from app.actions.grid import Question
from app.api import metrics
from app.api.answers import (
    find_checkpoint,
    find_dataset,
    json_answer,
    read_cell,
    read_choice,
    read_number,
    read_range,
    read_whole,
    refuse,
    refuse_for,
)
from app.api.inspections import LONGEST
from app.services import Services
from comask.annotation.index import ObjectSize
from comask.errors import ComaskError, InputError

LONGEST_NAME = 300
MOST_ROWS = 500


def router(services: Services) -> APIRouter:
    """Build the route."""
    routes = APIRouter(prefix="/api/grid")

    @routes.get("")
    def page(request: Request) -> Response:
        asked = request.query_params
        dataset = asked.get("dataset", "")
        found = find_dataset(services, dataset)
        file = find_checkpoint(services, asked.get("checkpoint"))
        name = asked.get("name", "")
        if len(name) > LONGEST_NAME:
            refuse(422, f"name must have at most {LONGEST_NAME} characters.")
        category = asked.get("category")
        question = Question(
            sliders=metrics.question(services, request),
            name=name,
            category=None if not category else read_whole(category, "category", 0, 2**63 - 1, 0),
            size=read_choice(asked.get("size"), "size", get_args(ObjectSize), None),
            error=read_choice(asked.get("error"), "error", judge.ERRORS, None),
            cell=read_cell(asked.get("cell")),
            scores=read_range(asked.get("scores"), "scores"),
            fit=_sizes(asked.get("fit")),
            find=asked.get("find") or None,
            sort=read_choice(asked.get("sort"), "sort", grid.SORTS, "file"),
            offset=read_whole(asked.get("offset"), "offset", 0, 10**9, 0),
            limit=read_whole(asked.get("limit"), "limit", 1, MOST_ROWS, 100),
        )
        try:
            content = grid.answer(services, dataset, found, file, question)
        except InputError as error:
            refuse_for(422, error)
        except (ComaskError, OSError) as error:
            refuse_for(409, error)
        return json_answer(request, orjson.dumps(content), {"Cache-Control": "no-store"})

    return routes


def _sizes(text: str | None) -> Sizes | None:
    """Read four lengths in image pixels: object from, to, field from, to, the lower ones first."""
    if not text:
        return None
    parts = text.split(",")
    if len(parts) != 4:
        refuse(422, "fit must be four lengths: of objects from and to, of fields from and to.")
    low, high, narrow, wide = (read_number(part, "fit", 0, LONGEST, 0.0) for part in parts)
    if low > high or narrow > wide:
        refuse(422, "fit must name the lower length first, of objects and of fields.")
    return low, high, narrow, wide
