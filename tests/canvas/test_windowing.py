"""The window of grey values of a deep picture: remembered for each picture, display only."""

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.canvas import harness, scene
from tests.canvas.conftest import wait

pytestmark = pytest.mark.browser

GREY = {"bits": 16, "low": 0.0, "high": 40000.0, "shown": [100.0, 1100.0]}


def pictures(site: harness.Site, **grey: Any) -> list[dict[str, str]]:
    """Serve two pictures, the first one deep: black, or of the level that its window asks for."""
    asked: list[dict[str, str]] = []

    def picture(request: harness.Asked) -> tuple[int, Any]:
        asked.append(request.said)
        level = 0 if not request.said else 200
        return 200, harness.encode_png(np.full((*scene.SIZE, 3), level, np.uint8))

    for key in ("a", "b"):
        document = scene.a_document(key)
        if key == "a":
            document["image"]["grey"] = {**GREY, **grey}  # type: ignore[typeddict-item]
        site.put_document(document)
        site.answers.pop(f"/api/images/{key}")
        site.route(f"GET /api/images/{key}", picture)
    return asked


def opened(page: Page, site: harness.Site) -> Page:
    images = [
        {"key": key, "file_name": f"{key}.tif", "url": f"/api/documents/{key}"} for key in "ab"
    ]
    page.goto(site.put_page({"url": "/api/documents/a", "images": images}))
    wait(page)
    return page


def slide(page: Page, name: str, position: int) -> None:
    page.get_by_test_id(f"window-{name}").evaluate(
        "(slider, at) => { slider.value = at; slider.dispatchEvent(new Event('input')) }", position
    )


def level(page: Page) -> int:
    """Read the photograph in the middle of the canvas."""
    found: int = page.evaluate(
        """() => new Promise(requestAnimationFrame).then(() => {
          const canvas = document.querySelector('[data-layer=photo]');
          const middle = [canvas.width / 2, canvas.height / 2, 1, 1];
          return canvas.getContext('2d').getImageData(...middle).data[0];
        })"""
    )
    return found


def test_a_window_changes_the_picture_and_is_kept_for_it(page: Page, site: harness.Site) -> None:
    asked = pictures(site)
    opened(page, site)
    value = page.get_by_test_id("window-value")
    expect(value).to_have_text("100 – 1 100")
    assert level(page) == 0
    slide(page, "high", 500)  # the middle of 100 .. 1,100, which take the slider's middle part
    expect(value).to_have_text("100 – 600")
    page.wait_for_function("document.querySelector('[data-testid=window-note]').hidden")
    wait(page)
    page.wait_for_timeout(100)
    assert level(page) == 200
    assert {"low": "100", "high": "600"} in asked
    page.get_by_test_id("image").nth(1).click()
    wait(page)
    expect(page.get_by_test_id("windowing")).to_be_hidden()  # eight bits
    page.get_by_test_id("image").nth(0).click()
    wait(page)
    expect(value).to_have_text("100 – 600")
    page.wait_for_function("document.querySelector('[data-layer=photo]').width > 0")
    page.wait_for_timeout(200)
    assert level(page) == 200
    page.get_by_test_id("window-auto").click()
    expect(value).to_have_text("100 – 1 100")
    page.wait_for_timeout(200)
    assert level(page) == 0


def test_the_ends_of_the_sliders_are_the_ends_of_the_values(page: Page, site: harness.Site) -> None:
    pictures(site)
    opened(page, site)
    value = page.get_by_test_id("window-value")
    page.get_by_test_id("window-all").click()
    expect(value).to_have_text("0 – 40 000")
    positions = "[...document.querySelectorAll('.cs-window input')].map(({ value }) => value)"
    assert page.evaluate(positions) == ["0", "1000"]
    slide(page, "low", 1000)
    assert value.inner_text().startswith("40 000 – ")  # the other end makes way
    slide(page, "high", 0)
    assert value.inner_text().endswith(" – 0")


def test_a_constant_picture_has_no_window(page: Page, site: harness.Site) -> None:
    pictures(site, low=7.0, high=7.0, shown=[7.0, 7.0])
    opened(page, site)
    expect(page.get_by_test_id("windowing")).to_be_hidden()


def test_pictures_of_eight_bits_have_none(page: Page, site: harness.Site) -> None:
    page.goto(site.put_page({"url": site.put_document(scene.a_document())}))
    wait(page)
    expect(page.get_by_test_id("windowing")).to_be_hidden()
