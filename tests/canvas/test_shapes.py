"""Box, polygon and its points, lasso, split and refit with real pointer events."""

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.canvas import drawing, harness
from tests.canvas.documents import Mask
from tests.canvas.drawing import Board, Point, rectangle

pytestmark = pytest.mark.browser

SIZE = (140, 180)
SQUARE = rectangle(SIZE, 40, 40, 40, 40)
RING = drawing.disc(SIZE, 130, 70, 30) & ~drawing.disc(SIZE, 130, 70, 12)
SCALE = 4  # CSS pixels for an image pixel, so that whole points are whole places


@pytest.fixture
def board(page: Page, site: harness.Site) -> Board:
    made = Board(page, site, [SQUARE, RING])
    made.zoom(SCALE, 90, 70)
    return made


def only(board: Board, **expected: Mask) -> None:
    found = board.masks()
    assert set(found) == {"l1", "l2"} | set(expected)
    for key, mask in {"l1": SQUARE, "l2": RING, **expected}.items():
        np.testing.assert_array_equal(found[key], mask)


def new_one(board: Board) -> str:
    (key,) = set(board.masks()) - {"l1", "l2"}
    return key


def triangle(x: int, y: int, side: int) -> Mask:
    """Take the centres left of and above the line from (x + side, y) to (x, y + side)."""
    rows, columns = np.indices(SIZE) + 0.5
    return (columns > x) & (rows > y) & (columns - x + rows - y < side)


def corners(x: int, y: int, side: int) -> list[Point]:
    return [(x, y), (x + side, y), (x, y + side)]


# -- box --------------------------------------------------------------------------------------


def test_a_dragged_box_is_a_new_label_that_is_picked(board: Board) -> None:
    board.use("box", "l1")
    board.drag((100, 20), (60, 5))  # from any corner
    key = new_one(board)
    only(board, **{key: rectangle(SIZE, 60, 5, 40, 15)})
    assert board.page.evaluate("board.store.selected") == key
    assert board.kinds == ["box"]


def test_a_box_ends_at_the_edge_of_the_image_and_a_click_is_none(board: Board) -> None:
    board.use("box")
    board.drag((170, 130), (190, 139))
    only(board, **{new_one(board): rectangle(SIZE, 170, 130, 10, 9)})
    board.click((20, 20))
    assert board.kinds == ["box"]


# -- polygon ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["first point", "Enter", "double click"])
def test_a_polygon_closes_in_three_ways(board: Board, how: str) -> None:
    board.use("polygon")
    board.click(*corners(10, 90, 30)[: 2 if how == "double click" else 3])
    assert board.said("commits") == []
    if how == "first point":
        board.click((12, 91))  # 9 CSS pixels off
    elif how == "Enter":
        assert board.page.evaluate("board.tools.key({ key: 'Enter' })")
    else:
        board.page.mouse.dblclick(*board.screen(10, 120))
    only(board, **{new_one(board): triangle(10, 90, 30)})
    assert board.kinds == ["polygon"]


def test_backspace_takes_the_last_point_back_and_escape_all_of_them(board: Board) -> None:
    board.use("polygon")
    board.click((10, 90), (40, 90), (90, 120))
    key = "key => board.tools.key({ key })"
    assert board.page.evaluate(key, "Backspace")
    board.click((10, 120))
    assert board.page.evaluate(key, "Enter")
    only(board, **{new_one(board): triangle(10, 90, 30)})
    board.page.evaluate("board.store.set({ selected: null })")
    board.click((10, 10), (30, 10))
    assert board.page.evaluate(key, "Enter")
    assert "three points" in board.said("said")[0]
    assert board.page.evaluate(key, "Escape")
    assert not board.page.evaluate(key, "Escape")  # nothing left to give up
    assert board.kinds == ["polygon"]


def test_with_shift_a_polygon_cuts_a_hole(board: Board) -> None:
    board.use("polygon", "l1")
    board.page.keyboard.down("Shift")
    board.click(*corners(50, 50, 20))
    board.page.keyboard.up("Shift")
    board.click((50, 50))
    only(board, l1=SQUARE & ~triangle(50, 50, 20))
    assert board.kinds == ["hole"]


def test_a_hole_that_takes_everything_is_refused(board: Board) -> None:
    board.use("polygon", "l1")
    board.page.keyboard.down("Shift")
    board.click((40.25, 40.25), (100, 30), (100, 90), (30, 90))
    board.page.keyboard.up("Shift")
    board.page.evaluate("board.tools.key({ key: 'Enter' })")
    assert "reject or delete" in board.said("said")[0]
    only(board)


# -- the points of a label --------------------------------------------------------------------


def test_looking_at_the_points_leaves_the_mask_alone(board: Board) -> None:
    board.use("polygon", "l2")
    board.page.mouse.move(*board.screen(130, 40))
    board.click((130, 40.5))  # on the outline: a press that moves nothing
    only(board)
    # a click beside the points begins a polygon
    board.page.evaluate("board.tools.key({ key: 'Escape' })")


def test_a_dragged_point_moves_the_corner(board: Board) -> None:
    board.use("polygon", "l1")
    board.drag((41, 42), (30, 30))  # within the 24 pixels around the corner (40, 40)
    rows, columns = np.indices(SIZE) + 0.5
    # the ring is (30, 30), (80, 40), (80, 80), (40, 80)
    above = (rows - 30) * 50 > (columns - 30) * 10
    left = (columns - 30) * 50 >= (rows - 30) * 10  # a centre on a left edge is inside
    only(board, l1=above & left & (rows < 80) & (columns < 80))
    assert board.kinds == ["vertex"]


def test_points_that_were_moved_are_the_ones_to_move_again(board: Board) -> None:
    board.use("polygon", "l1")
    board.drag((40, 40), (30, 30))
    board.drag((30, 30), (40, 40))
    only(board)
    assert board.kinds == ["vertex", "vertex"]


def test_a_press_on_an_edge_makes_a_point_of_it(board: Board) -> None:
    board.use("polygon", "l1")
    board.drag((60, 41), (60, 20))
    rows, columns = np.indices(SIZE) + 0.5
    roof = (rows < 40) & (columns - 60 < rows - 20) & (60 - columns <= rows - 20)
    only(board, l1=SQUARE | roof)


def test_alt_click_takes_a_point_away(board: Board) -> None:
    board.use("polygon", "l1")
    board.page.keyboard.down("Alt")
    board.click((80, 80))
    board.page.keyboard.up("Alt")
    rows, columns = np.indices(SIZE) + 0.5
    # the diagonal runs through centres: those belong to the polygon on their right
    only(board, l1=SQUARE & (columns - 40 + rows - 40 < 40))
    assert board.kinds == ["vertex"]


def test_holes_stay_rings_when_points_are_moved(board: Board) -> None:
    board.use("polygon", "l2")
    top = board.page.evaluate(
        """() => {
          const [outer] = studioParts.masks.simplify(
            studioParts.masks.outline(board.store.picked.mask), 1);
          return outer.reduce((best, point) => (point[1] < best[1] ? point : best));
        }"""
    )
    board.drag(tuple(top), (top[0], top[1] - 15))
    found = board.masks()["l2"]
    assert not found[64:76, 124:136].any()  # the hole
    assert found[int(top[1]) - 10, int(top[0])]
    rings = board.page.evaluate("studioParts.masks.outline(board.store.picked.mask).length")
    assert rings == 2


def test_handles_are_24_pixels_wide_at_every_zoom(board: Board) -> None:
    for scale in (1.0, 6.0):
        board.zoom(scale, 60, 60)
        board.use("polygon", "l1")
        far, near = 12.5 / scale, 11.5 / scale
        reached = """([x, y]) => board.tools.kinds.polygon.vertices.nearest(
          board.tools.kinds.polygon.vertices.rings, [x, y]) !== null"""
        assert not board.page.evaluate(reached, [80 + far, 80])
        assert board.page.evaluate(reached, [80 + near, 80])


# -- lasso ------------------------------------------------------------------------------------


def test_the_lasso_chooses_what_lies_in_it_by_half(board: Board) -> None:
    board.use("lasso")
    board.drag((30, 30), (60.5, 30), (60.5, 90), (30, 90), (30, 31))  # a little more than half
    assert board.page.evaluate("[...board.labelling.chosen]") == ["l1"]
    board.drag((30, 30), (58, 30), (58, 90), (30, 90), (30, 31))  # a little less
    assert board.page.evaluate("[...board.labelling.chosen]") == []
    board.drag((20, 20), (175, 20), (175, 120), (20, 120), (20, 21))
    assert board.page.evaluate("[...board.labelling.chosen]") == ["l1", "l2"]
    assert board.said("commits") == []


def test_with_shift_the_lasso_adds(board: Board) -> None:
    board.use("lasso", "l1")
    board.page.keyboard.down("Shift")
    board.drag((95, 30), (165, 30), (165, 110), (95, 110), (95, 31))
    board.page.keyboard.up("Shift")
    assert board.page.evaluate("[...board.labelling.chosen].sort()") == ["l1", "l2"]


# -- split ------------------------------------------------------------------------------------


def test_a_line_splits_the_picked_label(board: Board) -> None:
    board.use("split", "l1")
    board.drag((50, 30), (50, 60), (55, 90), steps=5)
    rows, columns = np.indices(SIZE) + 0.5
    right = SQUARE & (columns > 50 + np.maximum(0, rows - 60) * 5 / 30)
    found = board.masks()
    (key,) = set(found) - {"l1", "l2"}
    only(board, l1=right, **{key: SQUARE & ~right})  # the larger one keeps its name
    assert board.said("commits") == [{"kind": "split", "put": ["l1", key], "drop": []}]


def test_a_line_that_does_not_cut_is_refused_with_a_sentence(board: Board) -> None:
    board.use("split", "l1")
    board.drag((50, 30), (50, 70))
    board.drag((10, 10), (20, 100))
    only(board)
    assert [("does not cut" in one) for one in board.said("said")] == [True, True]
    board.use("split")
    board.use("select")
    board.use("split")
    board.drag((50, 30), (50, 90))
    assert "Pick a label first" in board.said("said")[2]


# -- refit ------------------------------------------------------------------------------------


def refitting(site: harness.Site, mask: Mask, status: int = 200) -> list[dict[str, Any]]:
    asked = []

    def answer(request: harness.Asked) -> tuple[int, Any]:
        asked.append(request.said)
        if status != 200:
            return status, {"detail": "The checkpoint is not here any more."}
        code = drawing.rle.encode(mask).to_coco()
        return 200, {"category_id": 2, "class_score": 0.9, "rle": code, "levels": [2, 3]}

    site.route("POST /api/labels/a/refit", answer)
    return asked


def test_refit_replaces_the_picked_label(board: Board, site: harness.Site) -> None:
    better = drawing.disc(SIZE, 60, 60, 18)
    asked = refitting(site, better)
    board.use("refit", "l1")
    board.drag((38, 36), (84, 85))
    board.page.wait_for_function("board.labelling.commits.length === 1")
    only(board, l1=better)
    assert board.kinds == ["refit"]
    (question,) = asked
    assert question == {"box": [38, 36, 84, 85], "checkpoint": "c", "category_id": 1}
    assert board.page.evaluate("board.records.get('l1').category_id") == 1  # its class stays


def test_refit_without_a_picked_label_makes_one(board: Board, site: harness.Site) -> None:
    found = drawing.disc(SIZE, 100, 20, 9)
    refitting(site, found)
    board.use("refit")
    board.drag((85, 5), (115, 35))
    board.page.wait_for_function("board.labelling.commits.length === 1")
    key = new_one(board)
    only(board, **{key: found})
    assert board.page.evaluate("key => board.records.get(key).category_id", key) == 2


def test_what_the_model_cannot_do_is_said(rough_page: Page, site: harness.Site) -> None:
    board = Board(rough_page, site, [SQUARE, RING])
    refitting(site, SQUARE, status=409)
    board.use("refit", "l1")
    board.drag((38, 36), (84, 85))
    board.page.wait_for_function("board.labelling.said.length === 1")
    assert board.said("said") == ["The checkpoint is not here any more."]
    assert not board.page.evaluate("board.tools.kinds.refit.busy")
    only(board)


def test_the_model_finding_nothing_is_said(board: Board, site: harness.Site) -> None:
    refitting(site, np.zeros(SIZE, bool))
    board.use("refit", "l1")
    board.drag((38, 36), (84, 85))
    board.page.wait_for_function("board.labelling.said.length === 1")
    only(board)


# -- what is drawn meanwhile ------------------------------------------------------------------


def drawn(board: Board) -> int:
    """Count the pixels of the tools' own canvas."""
    board.page.evaluate("new Promise(requestAnimationFrame)")
    found: int = board.page.evaluate(
        """() => {
          const { width, height } = board.tools.surface;
          const { data } = board.tools.context.getImageData(0, 0, width, height);
          return data.filter((_, at) => at % 4 === 3 && data[at] > 0).length;
        }"""
    )
    return found


def test_what_is_drawn_is_seen_at_once_and_gone_afterwards(board: Board) -> None:
    board.use("brush", "l1", radius=5)
    page = board.page
    page.mouse.move(*board.screen(100, 100))
    ring = drawn(board)
    assert 0 < ring < 3000
    page.mouse.down()
    page.mouse.move(*board.screen(120, 100))
    assert drawn(board) > ring + 20 * 10 * SCALE**2  # at least the path's rectangle
    page.mouse.up()
    assert drawn(board) < ring + 600
    page.evaluate("board.tools.use('select')")
    assert drawn(board) == 0


def test_the_tools_canvas_takes_no_clicks(board: Board) -> None:
    expect(board.page.get_by_test_id("tools-canvas")).to_have_css("pointer-events", "none")
    board.click((60, 60))
    assert board.page.evaluate("board.store.selected") == "l1"
    assert board.said("gestures") == 1
