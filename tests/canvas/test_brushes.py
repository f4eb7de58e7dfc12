"""Brush and eraser with real pointer events: what is committed is right to the pixel."""

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.canvas import drawing, harness
from tests.canvas.documents import Mask
from tests.canvas.drawing import Board, swept

pytestmark = pytest.mark.browser

SIZE = (140, 180)
CELL = drawing.disc(SIZE, 60, 60, 20)
OTHER = drawing.rectangle(SIZE, 120, 30, 30, 40)

Boards = Callable[..., Board]


@pytest.fixture
def board(page: Page, site: harness.Site) -> Board:
    return Board(page, site, [CELL, OTHER])


def only(board: Board, **expected: Mask) -> None:
    found = board.masks()
    assert set(found) == {"l1", "l2"} | set(expected)
    for key, mask in {"l1": CELL, "l2": OTHER, **expected}.items():
        np.testing.assert_array_equal(found[key], mask)


def new_one(board: Board) -> str:
    (key,) = set(board.masks()) - {"l1", "l2"}
    return key


def test_the_brush_adds_to_the_picked_label(board: Board) -> None:
    board.use("brush", "l1", radius=7)
    path = [(70.25, 60.5), (95.5, 66.75), (90.25, 80)]
    board.drag(*path)
    only(board, l1=CELL | swept(SIZE, path, 7))
    assert board.kinds == ["brush"]
    assert board.said("gestures") == 1
    assert board.page.evaluate("board.store.selected") == "l1"


@pytest.mark.parametrize("scale", [0.4, 1, 3.3, 24])
def test_a_stroke_is_the_same_in_image_pixels_at_every_zoom(board: Board, scale: float) -> None:
    board.zoom(scale, 66, 61)
    board.use("brush", "l1", radius=9)
    path = [(60, 60), (72, 62)]
    board.drag(*path)
    only(board, l1=CELL | swept(SIZE, path, 9))


def test_without_a_picked_label_the_brush_draws_a_new_one(board: Board) -> None:
    board.use("brush", radius=5)
    board.drag((20, 100), (40, 110))
    key = new_one(board)
    first = swept(SIZE, [(20, 100), (40, 110)], 5)
    only(board, **{key: first})
    assert board.page.evaluate("board.store.selected") == key
    board.drag((40, 110), (40, 120))  # the next stroke is on the one that was begun
    only(board, **{key: first | swept(SIZE, [(40, 110), (40, 120)], 5)})


def test_shift_begins_another_label(board: Board) -> None:
    board.use("brush", "l1", radius=5)
    board.page.keyboard.down("Shift")
    board.drag((60, 60), (70, 60))
    board.page.keyboard.up("Shift")
    only(board, **{new_one(board): swept(SIZE, [(60, 60), (70, 60)], 5)})


@pytest.mark.parametrize("how", ["eraser", "alt"])
def test_the_eraser_takes_pixels_of_the_picked_label_only(board: Board, how: str) -> None:
    board.use("erase" if how == "eraser" else "brush", "l1", radius=8)
    path = [(60, 60), (125, 50)]
    if how == "alt":
        board.page.keyboard.down("Alt")
    board.drag(*path)
    only(board, l1=CELL & ~swept(SIZE, path, 8))
    assert board.kinds == ["erase"]


def test_erasing_everything_is_refused_with_a_sentence(board: Board) -> None:
    board.use("erase", "l1", radius=40)
    board.drag((60, 60), (61, 60))
    only(board)
    (sentence,) = board.said("said")
    assert "all of the label" in sentence
    assert "reject or delete" in sentence


def test_the_eraser_needs_a_picked_label(board: Board) -> None:
    board.use("erase", radius=4)
    board.drag((60, 60), (70, 60))
    only(board)
    assert "Pick a label first" in board.said("said")[0]
    assert board.said("gestures") == 0


def test_a_stroke_that_changes_nothing_is_no_gesture_for_the_server(board: Board) -> None:
    board.use("brush", "l1", radius=2)
    board.drag((60, 60), (62, 60))
    board.use("erase", "l1", radius=2)
    board.drag((10, 10), (12, 10))
    assert board.said("commits") == []


def test_the_image_cuts_a_stroke_off(board: Board) -> None:
    board.use("brush", "l2", radius=10)
    path = [(150, 3), (179, -4)]
    board.drag(*path)
    only(board, l2=OTHER | swept(SIZE, path, 10))
    board.use("brush", radius=3)
    board.drag((-20, 5), (-20, 9))
    assert board.kinds == ["brush"]  # wholly outside: nothing


def test_one_pixel_can_be_painted(board: Board) -> None:
    board.zoom(20, 20, 20)
    board.use("brush", radius=0.5)
    board.click((20.98, 20.02))
    only(board, **{new_one(board): drawing.rectangle(SIZE, 20, 20, 1, 1)})


def test_escape_gives_a_stroke_up(board: Board) -> None:
    board.use("brush", "l1", radius=5)
    page = board.page
    page.mouse.move(*board.screen(60, 60))
    page.mouse.down()
    page.mouse.move(*board.screen(90, 60))
    assert page.evaluate("board.tools.key({ key: 'Escape' })")
    page.mouse.move(*board.screen(95, 60))
    page.mouse.up()
    only(board)


def test_every_event_of_the_pointer_counts_however_few_frames_there_are(board: Board) -> None:
    board.use("brush", radius=1.5)
    path = [(100 + 25 * np.cos(turn / 7), 80 + 25 * np.sin(turn / 7)) for turn in range(60)]
    board.drag(*path)
    (mask,) = (one for key, one in board.masks().items() if key not in ("l1", "l2"))
    np.testing.assert_array_equal(mask, swept(SIZE, path, 1.5))


def test_space_and_the_middle_button_move_the_image_with_a_tool_in_hand(board: Board) -> None:
    board.use("brush", "l1")
    page = board.page
    _, x, y = board.view
    start = board.screen(60, 60)
    page.mouse.move(*start)
    page.mouse.down(button="middle")
    page.mouse.move(start[0] + 30, start[1] + 20)
    page.mouse.up(button="middle")
    assert board.view[1:] == (x + 30, y + 20)
    page.locator("canvas[tabindex]").focus()
    page.keyboard.down("Space")
    page.mouse.down()
    page.mouse.move(start[0], start[1])
    page.mouse.up()
    page.keyboard.up("Space")
    assert board.view[1:] == (x, y)
    assert board.said("commits") == []


def test_the_wheel_zooms_and_with_alt_or_ctrl_sizes_the_brush(board: Board) -> None:
    board.use("brush", "l1", radius=20)
    page = board.page
    scale = board.view[0]
    page.mouse.move(*board.screen(60, 60))
    page.mouse.wheel(0, -100)
    page.wait_for_function("scale => board.viewer.view.scale > scale", arg=scale)
    scale = board.view[0]
    for held, delta in (("Alt", -100), ("Control", 200)):
        radius = page.evaluate("board.tools.radius")
        page.keyboard.down(held)
        page.mouse.wheel(0, delta)
        changed = "([radius, up]) => up ? board.tools.radius > radius : board.tools.radius < radius"
        page.wait_for_function(changed, arg=[radius, delta < 0])
        page.keyboard.up(held)
    assert board.view[0] == scale


def test_the_radius_changes_in_steps_that_never_stick(board: Board) -> None:
    radii = board.page.evaluate(
        """() => {
          const found = [];
          const { tools } = board;
          for (const factor of [1 / 1.25, 1.25]) {
            for (let turn = 0; turn < 40; turn++) tools.setRadius(tools.radius * factor);
            found.push(tools.radius);
          }
          return found;
        }"""
    )
    assert radii == [0.5, 500]


def test_a_finger_draws(board: Board) -> None:
    board.use("brush", "l1", radius=7)
    board.touch("start", (60, 60))
    board.touch("move", (90, 60))
    board.touch("end")
    only(board, l1=CELL | swept(SIZE, [(60, 60), (90, 60)], 7))


def test_two_fingers_move_and_zoom_and_leave_no_stroke(board: Board) -> None:
    board.use("brush", "l1", radius=7)
    scale, *_ = board.view
    board.touch("start", (60, 60))
    board.touch("move", (64, 60))
    board.touch("start", (64, 60), (84, 60))
    places = [board.screen(64, 60), board.screen(84, 60)]
    assert board.fingers is not None
    for spread in (10, 20, 40):
        fingers = [
            {"x": places[0][0] - spread, "y": places[0][1] + spread, "id": 0},
            {"x": places[1][0] + spread, "y": places[1][1] + spread, "id": 1},
        ]
        board.fingers.send(
            "Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": fingers}
        )
    grown = (places[1][0] - places[0][0] + 80) / (places[1][0] - places[0][0])
    board.touch("end")
    middle = board.screen(74, 60)
    assert board.view[0] == pytest.approx(scale * grown, rel=0.02)
    centre = ((places[0][0] + places[1][0]) / 2, places[0][1] + 40)
    assert middle == pytest.approx(centre, abs=4)
    only(board)
    assert board.said("commits") == []


def pen(board: Board, kind: str, point: drawing.Point, buttons: int, button: int) -> None:
    x, y = board.screen(*point)
    board.page.evaluate(
        """([kind, x, y, buttons, button]) => {
          board.marks.setPointerCapture = () => {};
          board.marks.dispatchEvent(new PointerEvent(kind, { bubbles: true, pointerId: 7,
            pointerType: 'pen', isPrimary: true, clientX: x, clientY: y, buttons, button }));
        }""",
        [kind, x, y, buttons, button],
    )


def test_a_pen_draws_and_its_other_end_erases(board: Board) -> None:
    board.use("brush", "l1", radius=6)
    for buttons, button in ((1, 0), (32, 5)):
        pen(board, "pointerdown", (80, 60), buttons, button)
        pen(board, "pointermove", (90, 62), buttons, -1)
        pen(board, "pointerup", (90, 62), 0, button)
    assert board.kinds == ["brush", "erase"]
    only(board, l1=CELL & ~swept(SIZE, [(80, 60), (90, 62)], 6))


def test_other_pages_keep_their_pointer(board: Board) -> None:
    board.use("brush", "l1")
    board.page.evaluate("board.labelling.place.page = 'browse'")
    board.click((135, 50))
    assert board.page.evaluate("board.store.selected") == "l2"
    assert board.said("gestures") == 0


def test_a_stroke_on_a_large_image_costs_little(page: Page, site: harness.Site) -> None:
    size = (4096, 4096)
    board = Board(page, site, [drawing.disc(size, 2000, 2000, 1800)])
    spent = board.page.evaluate(
        """() => {
          const { masks } = studioParts;
          const points = Array.from({ length: 300 }, (_, at) =>
            [1000 + 6 * at, 1200 + 300 * Math.sin(at / 20)]);
          const target = board.store.document.byId.get('l1').mask;
          const times = [];
          for (let turn = 0; turn < 9; turn++) {
            const began = performance.now();
            masks.union(target, masks.stroke(points, 30, [4096, 4096]));
            times.push(performance.now() - began);
          }
          return times.sort((a, b) => a - b)[4];
        }"""
    )
    assert spent < 100  # milliseconds; a tenth of it on an idle machine
