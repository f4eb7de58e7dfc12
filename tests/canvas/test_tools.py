"""What one key does to labels (holes, specks, merging, order), and which tool is in hand."""

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.canvas import harness
from tests.canvas.documents import Mask
from tests.canvas.drawing import Board, rectangle

pytestmark = pytest.mark.browser

SIZE = (100, 120)
HOLED = rectangle(SIZE, 10, 10, 30, 30) & ~rectangle(SIZE, 20, 20, 4, 4)
SPECKED = rectangle(SIZE, 60, 10, 40, 40) | rectangle(SIZE, 5, 80, 3, 2)
BAR = rectangle(SIZE, 30, 60, 40, 10)
START = {"l1": HOLED, "l2": SPECKED, "l3": BAR}


@pytest.fixture
def board(page: Page, site: harness.Site) -> Board:
    return Board(page, site, list(START.values()))


def act(board: Board, name: str, chosen: list[str], *args: float) -> None:
    board.page.evaluate(
        """([name, chosen, args]) => {
          board.store.set({ selected: null });
          board.labelling.chosen.clear();
          chosen.slice(1).forEach((id) => board.labelling.chosen.add(id));
          board.store.set({ selected: chosen[0] ?? null });
          studioParts.tools[name](board.labelling, ...args);
        }""",
        [name, chosen, list(args)],
    )


def only(board: Board, without: tuple[str, ...] = (), **expected: Mask) -> None:
    found = board.masks()
    wanted = {key: mask for key, mask in {**START, **expected}.items() if key not in without}
    assert set(found) == set(wanted)
    for key, mask in wanted.items():
        np.testing.assert_array_equal(found[key], mask)


def test_holes_are_filled(board: Board) -> None:
    act(board, "fillHoles", ["l1"])
    only(board, l1=rectangle(SIZE, 10, 10, 30, 30))
    assert board.said("commits") == [{"kind": "fill", "put": ["l1"], "drop": []}]
    act(board, "fillHoles", ["l1"])
    assert board.said("said") == ["There are no holes to fill."]


def test_specks_go_by_their_size_and_the_largest_part_stays(board: Board) -> None:
    act(board, "dropSpecks", ["l2", "l1"])  # six pixels; a thousandth of it is two, at least eight
    only(board, l2=rectangle(SIZE, 60, 10, 40, 40))
    assert board.said("commits") == [{"kind": "specks", "put": ["l2"], "drop": []}]
    act(board, "dropSpecks", ["l3"], 100_000)
    assert board.kinds == ["specks"]
    assert board.said("said") == ["There are no specks to drop."]


def test_a_speck_is_a_thousandth_of_the_label_and_eight_pixels_at_least(board: Board) -> None:
    least = board.page.evaluate(
        "[10, 8000, 50000].map((area) => studioParts.tools.leastSpeck({ area }))"
    )
    assert least == [8, 8, 50]


def test_merging_keeps_the_lowest_label(board: Board) -> None:
    act(board, "merge", ["l3", "l1", "l2"])
    only(board, ("l2", "l3"), l1=HOLED | SPECKED | BAR)
    assert board.said("commits") == [{"kind": "merge", "put": ["l1"], "drop": ["l2", "l3"]}]
    act(board, "merge", ["l1"])
    assert "two labels or more" in board.said("said")[0]


def test_order(board: Board) -> None:
    places = "Object.fromEntries([...board.records].map(([id, { z }]) => [id, z]))"
    act(board, "toTop", ["l1"])
    assert board.page.evaluate(places) == {"l1": 4, "l2": 2, "l3": 3}
    act(board, "toBottom", ["l1", "l3"])  # among themselves they stay as they were
    assert board.page.evaluate(places) == {"l1": 1, "l2": 2, "l3": 0}
    assert board.kinds == ["order", "order"]
    only(board)


@pytest.mark.parametrize("name", ["fillHoles", "dropSpecks", "toTop", "toBottom", "merge"])
def test_without_a_label_one_is_asked_for(board: Board, name: str) -> None:
    act(board, name, [])
    assert board.said("commits") == []
    assert len(board.said("said")) == 1


def test_simplification_says_its_points_and_what_it_keeps(board: Board) -> None:
    def simplified(key: str, tolerance: float) -> list[float]:
        found: list[float] = board.page.evaluate(
            """([id, tolerance]) => {
              const { mask } = board.store.document.byId.get(id);
              const made = studioParts.tools.simplified(mask, tolerance);
              return [made.points, made.iou, studioParts.masks.iou(mask, made.mask)];
            }""",
            [key, tolerance],
        )
        return found

    assert simplified("l1", 0) == [8, 1, 1]  # two squares, exactly
    points, iou, again = simplified("l1", 5)  # the hole is left with three points
    assert (points, iou) == (7, again)
    assert 0.97 < iou < 1


def test_a_tool_that_is_unknown_is_not_taken(board: Board) -> None:
    board.use("brush")
    board.page.evaluate("board.tools.use('chisel')")
    assert board.page.evaluate("board.tools.current") == "brush"


def test_the_hand_moves_the_image_and_picks_nothing(board: Board) -> None:
    board.use("hand")
    _, x, y = board.view
    board.drag((20, 15), (30, 25))
    scale, moved, _ = board.view
    assert moved == pytest.approx(x + 10 * scale, abs=1)
    board.click((30, 30))
    assert board.page.evaluate("board.store.selected") is None
    assert board.said("gestures") == 0
    assert y is not None


def test_another_image_ends_what_was_begun(board: Board) -> None:
    board.use("polygon")
    board.click((10, 60), (20, 60))
    board.page.evaluate(
        """() => {
          const { document: opened } = board.store;
          board.store.set({ document: { ...opened, key: 'b' } });
        }"""
    )
    assert not board.page.evaluate("board.tools.kinds.polygon.busy")
