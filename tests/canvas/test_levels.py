"""The pyramid level of an object, and the one that a tile would give it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from playwright.sync_api import Page, expect

from app.canvas import payload
from comask.ops import boxes
from tests.canvas import documents
from tests.canvas.conftest import Opener
from tests.canvas.scene import a_document, click_at

pytestmark = pytest.mark.browser

SIDE = 1000


def of_share(share: float) -> list[float]:
    """Make a box with a share of a square image."""
    return [0.0, 0.0, SIDE * share, float(SIDE)]


@pytest.mark.parametrize(
    ("share", "level"),
    [(0.51, 5), (0.50, 4), (0.26, 4), (0.25, 3), (0.13, 3), (0.125, 2), (0.01, 2), (1.0, 5)],
)
def test_the_share_of_the_image_decides(scripts: Page, share: float, level: int) -> None:
    call = "([box, size]) => studioParts.levels.of(box, size)"
    assert scripts.evaluate(call, [of_share(share), [SIDE, SIDE]]) == level


def test_it_is_the_models_own_choice(scripts: Page) -> None:
    generator = np.random.default_rng(5)
    corners = np.sort(generator.integers(0, 4000, (500, 2, 2)), axis=1).reshape(500, 4) / 4
    corners[:3] = [[0, 0, 0, 0], [5, 5, 5, 9], [0, 0, 999, 777]]
    expected = boxes.pyramid_level(torch.tensor(corners, dtype=torch.float32), (777, 999))
    call = "([all, size]) => all.map((box) => studioParts.levels.of(box, size))"
    assert scripts.evaluate(call, [corners.tolist(), [999, 777]]) == expected.tolist()


@pytest.mark.parametrize(
    ("side", "level"),
    [(1024, 2), (512, 2), (256, 4), (128, 5)],
)
def test_a_tile_raises_the_share(scripts: Page, side: int, level: int) -> None:
    """A box of 150 x 200: 1/8.7 of 512², 0.46 of 256², all of 128²."""
    call = "([box, size, side]) => studioParts.levels.inTile(box, size, side)"
    box = [300, 300, 450, 500]
    assert scripts.evaluate(call, [box, [2000, 1500], side]) == level


def test_the_inspector_warns_where_a_tile_changes_the_level(opened: Opener) -> None:
    size = (900, 1200)
    mask = documents.rectangle(size, 200, 200, 180, 190)
    found = documents.traced(documents.found([mask], [0.9]))
    assert found.trace is not None
    levels = np.array([[2, 2]], np.int64)
    found = replace(found, trace=replace(found.trace, levels=levels))
    page = opened(payload.document(documents.image("a", size), prediction=found))
    click_at(page, "p1")
    expect(page.get_by_test_id("tile-side")).to_have_value("512")
    expect(page.get_by_test_id("tile-level")).to_have_text("P3")  # 190 x 201 of 512 x 512: 0.146
    expect(page.get_by_test_id("tile-warning")).to_contain_text("from P3 instead of P2")
    page.get_by_test_id("tile-side").select_option("1024")
    expect(page.get_by_test_id("tile-level")).to_have_text("P2")
    expect(page.get_by_test_id("tile-warning")).to_have_count(0)


def test_an_image_smaller_than_every_tile_offers_none(opened: Opener) -> None:
    size = (100, 120)
    found = documents.traced(documents.found([documents.rectangle(size, 20, 20, 30, 40)], [0.9]))
    page = opened(payload.document(documents.image("a", size), prediction=found))
    click_at(page, "p1")
    expect(page.get_by_test_id("picked-levels")).to_have_text("P2 → P3")
    expect(page.get_by_test_id("tile-side")).to_have_count(0)


def test_hovering_tells_the_level_and_the_id(opened: Opener) -> None:
    found = documents.traced(documents.found([documents.disc((200, 300), 240, 150, 20)], [0.9]))
    page = opened(payload.document(documents.image("a", (200, 300)), prediction=found))
    at = page.evaluate("studio.point('p1')")
    page.mouse.move(at["x"], at["y"])
    tooltip = page.get_by_test_id("tooltip")
    expect(tooltip).to_contain_text("Pyramid levelP2 → P3")
    expect(tooltip.locator("small").first).to_have_text("p1")


def test_what_has_no_level_says_none(opened: Opener) -> None:
    page = opened(a_document())
    click_at(page, "p1")
    expect(page.get_by_test_id("picked-facts")).to_contain_text("Area")
    expect(page.get_by_test_id("picked-levels")).to_have_count(0)
