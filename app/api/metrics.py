"""Numbers that follow the sliders, the instances behind them, and two runs compared."""

from collections.abc import Callable
from typing import Any, get_args

import orjson
from fastapi import APIRouter, Request, Response

from app.actions import judge
from app.actions.judge import Order
from app.api.answers import (
    find_checkpoint,
    find_dataset,
    find_image,
    json_answer,
    read_cell,
    read_choice,
    read_number,
    read_whole,
    refuse,
    refuse_for,
)
from app.services import CheckpointFile, Services
from app.services.pairs import JudgedSet, Question
from comask.errors import ComaskError
from comask.evaluate.compare import HAPPENINGS
from comask.evaluate.matching import Kind

MOST_ROWS = 500
LONGEST_NUMBER = 20  # digits of an annotation's id


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api")

    @routes.get("/metrics")
    def numbers(request: Request) -> Response:
        asked, kept = question(services, request), open_set(services, request)
        return answer(request, lambda: judge.numbers(services.pairs, kept, asked))

    @routes.get("/curves")
    def curves(request: Request) -> Response:
        asked, kept = question(services, request), open_set(services, request)
        return answer(request, lambda: judge.curves(services.pairs, kept, asked.iou, asked.kind))

    @routes.get("/instances")
    def instances(request: Request) -> Response:
        asked, kept = question(services, request), open_set(services, request)
        given = request.query_params
        error = read_choice(given.get("error"), "error", judge.ERRORS, None)
        cell = read_cell(given.get("cell"))
        if error is None and cell is None:
            refuse(422, "Say which cell or which error is meant.")
        offset, limit = page(request)
        return answer(
            request,
            lambda: judge.instances(
                services.pairs, kept, asked, error=error, cell=cell, offset=offset, limit=limit
            ),
        )

    @routes.get("/autopsy/{key}/{truth}")
    def autopsy(request: Request, key: str, truth: str) -> Response:
        asked = question(services, request)
        image = find_image(services, key)
        file = checkpoint(services, request)
        if not truth.startswith("t") or not _is_number(truth[1:]):
            refuse(404, "There is no such object in this image.")
        prediction = services.prediction(file, key)
        if prediction is None:
            refuse(409, "The checkpoint has not seen this image yet.")

        def explain() -> dict[str, Any]:
            drawn = services.images.truth(image)
            kept, known = ((), ()) if drawn is None else (drawn.annotations, drawn.categories)
            return judge.autopsy(prediction, kept, known, int(truth[1:]), asked)

        return answer(request, explain)

    @routes.get("/compare")
    def compare(request: Request) -> Response:
        asked = question(services, request)
        first, second = open_set(services, request, "a"), open_set(services, request, "b")
        given = request.query_params.get("sort")
        sort: Order = read_choice(given, "sort", get_args(Order), "change")
        only = read_choice(request.query_params.get("only"), "only", HAPPENINGS, None)
        listed = judge.Listing(sort, only, *page(request))
        return answer(request, lambda: judge.compare(services.pairs, first, second, asked, listed))

    return routes


def question(services: Services, request: Request, score: float | None = None) -> Question:
    """Read how the sliders stand; ``score`` is the one of a slider that is not named."""
    start = services.settings.min_score if score is None else score
    given = request.query_params
    return Question(
        score=read_number(given.get("score"), "score", 0, 1, start),
        iou=read_number(given.get("iou"), "iou", 0.1, 1, 0.5),
        kind=read_choice(given.get("kind"), "kind", get_args(Kind), "mask"),
    )


def page(request: Request) -> tuple[int, int]:
    """Read which part of a list is meant."""
    given = request.query_params
    offset = read_whole(given.get("offset"), "offset", 0, 10**9, 0)
    return offset, read_whole(given.get("limit"), "limit", 1, MOST_ROWS, 100)


def checkpoint(services: Services, request: Request, name: str = "checkpoint") -> CheckpointFile:
    """Find the checkpoint that is meant; without a name it is the first."""
    file = find_checkpoint(services, request.query_params.get(name))
    if file is None:
        refuse(409, "There is no checkpoint yet.")
    return file


def open_set(services: Services, request: Request, name: str = "checkpoint") -> JudgedSet:
    """Find what the run that is meant has so far."""
    dataset = request.query_params.get("dataset", "")
    found = find_dataset(services, dataset)
    file = checkpoint(services, request, name)
    try:
        return judge.open_set(services, dataset, found, file)
    except (ComaskError, OSError) as error:
        refuse_for(409, error)


def answer(request: Request, work: Callable[[], dict[str, Any]]) -> Response:
    """Answer with what some work gives, or with the sentence of its refusal."""
    try:
        content = work()
    except (ComaskError, OSError) as error:
        refuse_for(409, error)
    return json_answer(request, orjson.dumps(content), {"Cache-Control": "no-store"})


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_NUMBER
