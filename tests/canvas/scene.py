"""One small scene that the browser tests share: nested rectangles, a disc in them, one alone."""

from typing import Any

from playwright.sync_api import Page

from app.canvas import payload
from comask.annotation.records import Category
from tests.canvas import documents
from tests.canvas.conftest import wait

SIZE = (200, 300)
OUTER = documents.rectangle(SIZE, 40, 30, 120, 100)
MIDDLE = documents.rectangle(SIZE, 70, 50, 60, 50)
INNER = documents.disc(SIZE, 100, 75, 12)
LONE = documents.disc(SIZE, 240, 150, 20)
SCORES = [0.9, 0.8, 0.6, 0.3]
MASKS = [OUTER, INNER, LONE, MIDDLE]  # p1 .. p4 in rank order


def a_document(key: str = "a", **layers: Any) -> payload.Document:
    found = documents.found(MASKS, SCORES, [0, 1, 0, 1])
    return payload.document(documents.image(key, SIZE), prediction=found, **layers)


def with_truth() -> payload.Document:
    return a_document(truth=documents.drawn([LONE]), truth_categories=[Category(1, "cell")])


def state(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("studio.state()")
    return found


def set_slider(page: Page, name: str, value: float) -> None:
    page.get_by_test_id(name).evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')) }",
        value,
    )
    wait(page)


def click_at(page: Page, identity: str) -> None:
    point = page.evaluate("id => studio.point(id)", identity)
    page.mouse.click(point["x"], point["y"])
