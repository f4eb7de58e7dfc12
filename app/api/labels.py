"""Labels: one image's document, what is done to it, undo, and the lists of the page Label."""

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.actions import label_lists, labels
from app.api.answers import (
    MOST_BYTES,
    find_dataset,
    find_image,
    json_answer,
    parse_object,
    read_choice,
    read_content,
    read_whole,
    refuse,
    refuse_other_sites,
)
from app.canvas import label_asked
from app.services import Services, StoredImage
from app.services.sheets import Project
from comask.annotation.label_store import Order
from comask.annotation.labels import STATES, State
from comask.errors import ComaskError, ConflictError, StoreError

MOST_GESTURE_BYTES = 32_000_000
MOST_CATEGORY_BYTES = 4_000_000
MOST_ROWS = 500

Answer = TypeVar("Answer")


def router(services: Services) -> APIRouter:
    """Build the routes; those of whole projects come before those of images."""
    routes = APIRouter(prefix="/api/labels")
    _add_lists(routes, services)
    _add_changes(routes, services)

    @routes.get("/{key}")
    def document(request: Request, key: str, actor: str | None = None) -> Response:
        image = _image(services, key)
        who = None if actor is None else _parsed(lambda: label_asked.word(actor, "actor"))
        return _answer(request, _told(lambda: labels.document(services, image, who)))

    @routes.get("/{key}/history")
    def history(request: Request, key: str, limit: str | None = None) -> Response:
        image = _image(services, key)
        most = read_whole(limit, "limit", 1, MOST_ROWS, 100)
        return _answer(request, _told(lambda: label_lists.history(services, image, most)))

    return routes


def _add_lists(routes: APIRouter, services: Services) -> None:
    @routes.get("/queue")
    def queue(request: Request) -> Response:
        given = request.query_params
        project = find_project(services, given.get("project"))
        order: Order = read_choice(given.get("order"), "order", get_args(Order), "file")
        states = _states(given.get("states"))
        page = _page(request)
        return _answer(
            request, _told(lambda: label_lists.queue(services, project, order, states, page))
        )

    @routes.get("/images")
    def images(request: Request) -> Response:
        project = find_project(services, request.query_params.get("project"))
        page = _page(request)
        return _answer(request, _told(lambda: label_lists.images(services, project, page)))

    @routes.get("/ledger")
    def ledger(request: Request) -> Response:
        project = find_project(services, request.query_params.get("project"))
        return _answer(request, _told(lambda: label_lists.ledger(services, project)))

    @routes.post("/categories")
    async def categories(request: Request) -> Response:
        content = await _sent(request, MOST_CATEGORY_BYTES)

        def work() -> dict[str, Any]:
            asked = _parsed(lambda: label_asked.categories_asked(parse_object(content)))
            project = find_project(services, asked.project)
            return _told(lambda: label_lists.set_categories(services, project, asked.categories))

        return _answer(request, await run_in_threadpool(work))


def _add_changes(routes: APIRouter, services: Services) -> None:
    @routes.post("/undo")
    async def undo(request: Request) -> Response:
        return await _reverted(services, request, redo=False)

    @routes.post("/redo")
    async def redo(request: Request) -> Response:
        return await _reverted(services, request, redo=True)

    @routes.post("/{key}/ops")
    async def gesture(request: Request, key: str) -> Response:
        content = await _sent(request, MOST_GESTURE_BYTES)
        return await run_in_threadpool(_gesture, services, request, key, content)

    @routes.post("/{key}/effort")
    async def effort(request: Request, key: str) -> Response:
        content = await _sent(request, MOST_BYTES)

        def work() -> dict[str, Any]:
            image = _image(services, key)
            asked = _parsed(lambda: label_asked.effort_asked(parse_object(content)))
            _told(lambda: labels.worked(services, image, asked))
            return {"key": asked.key}

        return _answer(request, await run_in_threadpool(work))


def find_project(services: Services, name: str | None) -> Project:
    """Look a project up: a dataset's id, "uploads" or "samples"."""
    if name not in ("uploads", "samples"):
        _refuse_while_read(services, name or "")
        find_dataset(services, name or "")
    found = services.sheets.project(name or "")
    if found is None:
        refuse(404, "There is no such dataset; open its folder again.")
    return found


def _image(services: Services, key: str) -> StoredImage:
    place = services.datasets.place(key)
    if place is not None:
        _refuse_while_read(services, place[0])
    return find_image(services, key)


def _refuse_while_read(services: Services, dataset: str) -> None:
    """Ask the page to come back while a dataset is opened, as after a restart.

    Nothing is wrong with what it sent, so nothing of that may be given up.
    """
    if services.datasets.get(dataset) is None:
        state = services.datasets.state(dataset)
        if state is not None and state.state == "indexing":
            refuse(503, state.sentence)


def _gesture(services: Services, request: Request, key: str, content: bytes) -> Response:
    """Do what somebody did, or explain with 409 who came first; nothing is done by halves."""
    image = _image(services, key)
    asked = _parsed(lambda: label_asked.gesture_asked(parse_object(content)))
    try:
        return _answer(request, _told(lambda: labels.applied(services, image, asked), ours=True))
    except ConflictError as error:
        refusal = error
        explained = _told(lambda: labels.conflict(services, image, asked, refusal))
        return _answer(request, explained, 409)


async def _reverted(services: Services, request: Request, *, redo: bool) -> Response:
    content = await _sent(request, MOST_BYTES)

    def work() -> dict[str, Any]:
        asked = _parsed(lambda: label_asked.revert_asked(parse_object(content)))
        project = find_project(services, asked.project)
        return _told(lambda: labels.reverted(services, project, asked, redo=redo))

    return _answer(request, await run_in_threadpool(work))


async def _sent(request: Request, most: int) -> bytes:
    refuse_other_sites(request)
    return await read_content(request, most)


def _parsed(parse: Callable[[], Answer]) -> Answer:
    """Parse what was sent, or refuse it with its sentence."""
    try:
        return parse()
    except ComaskError as error:
        refuse(422, f"{str(error).rstrip('.')}.")


def _told(work: Callable[[], Answer], *, ours: bool = False) -> Answer:
    """Do some work, or refuse with its sentence; ``ours``: the caller explains conflicts."""
    try:
        return work()
    except ConflictError as error:
        if ours:
            raise
        refuse(409, f"{str(error).rstrip('.')}.")
    except StoreError as error:  # nothing is wrong with what was asked
        refuse(503, f"{str(error).rstrip('.')}.")
    except (ComaskError, OSError) as error:
        refuse(422, f"{str(error).rstrip('.')}.")


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


def _answer(request: Request, content: Any, status: int = 200) -> Response:
    answer = json_answer(request, orjson.dumps(content), {"Cache-Control": "no-store"})
    answer.status_code = status
    return answer
