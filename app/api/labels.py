"""Labels: one image's document, what is done to it, undo, and the lists of the page Label."""

from typing import Any, get_args

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.actions import label_lists, labels
from app.api.answers import (
    MOST_BYTES,
    find_image,
    parse_object,
    read_choice,
    read_whole,
    refuse,
)
from app.api.labelling import answer, find_project, parsed, refuse_while_read, sent, told
from app.canvas import label_asked
from app.services import Services, StoredImage
from comask.annotation.label_store import Order
from comask.annotation.labels import STATES, State
from comask.errors import ConflictError

MOST_GESTURE_BYTES = 32_000_000
MOST_CATEGORY_BYTES = 4_000_000
MOST_ROWS = 500


def router(services: Services) -> APIRouter:
    """Build the routes; those of whole projects come before those of images."""
    routes = APIRouter(prefix="/api/labels")
    _add_lists(routes, services)
    _add_changes(routes, services)

    @routes.get("/{key}")
    def document(request: Request, key: str, actor: str | None = None) -> Response:
        image = _image(services, key)
        who = None if actor is None else parsed(lambda: label_asked.word(actor, "actor"))
        return answer(request, told(lambda: labels.document(services, image, who)))

    @routes.get("/{key}/history")
    def history(request: Request, key: str, limit: str | None = None) -> Response:
        image = _image(services, key)
        most = read_whole(limit, "limit", 1, MOST_ROWS, 100)
        return answer(request, told(lambda: label_lists.history(services, image, most)))

    return routes


def _add_lists(routes: APIRouter, services: Services) -> None:
    @routes.get("/queue")
    def queue(request: Request) -> Response:
        given = request.query_params
        project = find_project(services, given.get("project"))
        order: Order = read_choice(given.get("order"), "order", get_args(Order), "file")
        states = _states(given.get("states"))
        page = _page(request)
        return answer(
            request, told(lambda: label_lists.queue(services, project, order, states, page))
        )

    @routes.get("/images")
    def images(request: Request) -> Response:
        project = find_project(services, request.query_params.get("project"))
        page = _page(request)
        return answer(request, told(lambda: label_lists.images(services, project, page)))

    @routes.get("/ledger")
    def ledger(request: Request) -> Response:
        project = find_project(services, request.query_params.get("project"))
        return answer(request, told(lambda: label_lists.ledger(services, project)))

    @routes.post("/categories")
    async def categories(request: Request) -> Response:
        content = await sent(request, MOST_CATEGORY_BYTES)

        def work() -> dict[str, Any]:
            asked = parsed(lambda: label_asked.categories_asked(parse_object(content)))
            project = find_project(services, asked.project)
            return told(lambda: label_lists.set_categories(services, project, asked.categories))

        return answer(request, await run_in_threadpool(work))


def _add_changes(routes: APIRouter, services: Services) -> None:
    @routes.post("/undo")
    async def undo(request: Request) -> Response:
        return await _reverted(services, request, redo=False)

    @routes.post("/redo")
    async def redo(request: Request) -> Response:
        return await _reverted(services, request, redo=True)

    @routes.post("/{key}/ops")
    async def gesture(request: Request, key: str) -> Response:
        content = await sent(request, MOST_GESTURE_BYTES)
        return await run_in_threadpool(_gesture, services, request, key, content)

    @routes.post("/{key}/effort")
    async def effort(request: Request, key: str) -> Response:
        content = await sent(request, MOST_BYTES)

        def work() -> dict[str, Any]:
            image = _image(services, key)
            asked = parsed(lambda: label_asked.effort_asked(parse_object(content)))
            told(lambda: labels.worked(services, image, asked))
            return {"key": asked.key}

        return answer(request, await run_in_threadpool(work))


def _image(services: Services, key: str) -> StoredImage:
    place = services.datasets.place(key)
    if place is not None:
        refuse_while_read(services, place[0])
    return find_image(services, key)


def _gesture(services: Services, request: Request, key: str, content: bytes) -> Response:
    """Do what somebody did, or explain with 409 who came first; nothing is done by halves."""
    image = _image(services, key)
    asked = parsed(lambda: label_asked.gesture_asked(parse_object(content)))
    try:
        return answer(request, told(lambda: labels.applied(services, image, asked), ours=True))
    except ConflictError as error:
        refusal = error
        explained = told(lambda: labels.conflict(services, image, asked, refusal))
        return answer(request, explained, 409)


async def _reverted(services: Services, request: Request, *, redo: bool) -> Response:
    content = await sent(request, MOST_BYTES)

    def work() -> dict[str, Any]:
        asked = parsed(lambda: label_asked.revert_asked(parse_object(content)))
        project = find_project(services, asked.project)
        return told(lambda: labels.reverted(services, project, asked, redo=redo))

    return answer(request, await run_in_threadpool(work))


def _page(request: Request) -> tuple[int, int]:
    given = request.query_params
    offset = read_whole(given.get("offset"), "offset", 0, 10**9, 0)
    return offset, read_whole(given.get("limit"), "limit", 1, MOST_ROWS, 200)


def _states(text: str | None) -> tuple[State, ...]:
    if text is None:
        return ("proposed",)
    asked = text.split(",", len(STATES))
    if not set(asked) <= set(STATES):
        refuse(422, f"states must be some of {', '.join(STATES)}, with commas between.")
    return tuple(state for state in STATES if state in asked)
