"""The browser's mask algebra against numpy, OpenCV and pycocotools: equal to the pixel."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page
from pycocotools import mask as codec

from tests.canvas import documents
from tests.canvas.documents import Mask

pytestmark = pytest.mark.browser

SIZE = (40, 56)
CALL = """({ name, masks, args }) => {
  const { rle } = studioParts;
  const said = studioParts.masks[name](...masks.map(rle.decode), ...args);
  const plain = (one) => (one?.rows ? { ...rle.encode(one), area: one.area, bbox: one.bbox } : one);
  return Array.isArray(said) && said[0]?.rows ? said.map(plain) : plain(said);
}"""


def encode(mask: Mask) -> dict[str, Any]:
    code = codec.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(code["size"]), "counts": code["counts"].decode()}


def said_of(mask: Mask) -> dict[str, Any]:
    """Say what a mask has to look like: its code, area and box."""
    code = encode(mask)
    return {**code, "area": int(codec.area(code)), "bbox": [int(v) for v in codec.toBbox(code)]}


def call(page: Page, name: str, masks: list[Mask], *args: Any) -> Any:
    codes = [encode(mask) for mask in masks]
    return page.evaluate(CALL, {"name": name, "masks": codes, "args": list(args)})


def shapes() -> list[Mask]:
    """Build nothing, everything, one pixel, lines, a ring, parts, a chess board, noise, blobs."""
    generator = np.random.default_rng(5)
    ring = documents.disc(SIZE, 25, 20, 15) & ~documents.disc(SIZE, 27, 19, 6)
    dust = generator.random(SIZE) < 0.03
    noise = [generator.random(SIZE) < share for share in (0.1, 0.5, 0.9)]
    blobs = cv2.GaussianBlur(generator.random(SIZE), (0, 0), 2) > 0.5
    return [
        np.zeros(SIZE, bool),
        np.ones(SIZE, bool),
        documents.rectangle(SIZE, 0, 0, 1, 1),
        documents.rectangle(SIZE, 55, 39, 1, 1),
        documents.rectangle(SIZE, 0, 7, 56, 1),
        documents.rectangle(SIZE, 9, 0, 1, 40),
        ring,
        ring | documents.rectangle(SIZE, 25, 18, 3, 3) | documents.rectangle(SIZE, 50, 2, 6, 9),
        np.indices(SIZE).sum(0) % 2 == 0,
        ring ^ dust,
        *noise,
        blobs,
        ~blobs,
    ]


PAIRS: dict[str, Callable[[Mask, Mask], Mask]] = {
    "union": lambda a, b: a | b,
    "subtract": lambda a, b: a & ~b,
    "intersect": lambda a, b: a & b,
}


@pytest.mark.parametrize("name", PAIRS)
def test_two_masks_become_the_one_that_numpy_makes(scripts: Page, name: str) -> None:
    for first in shapes():
        for second in shapes()[::2]:
            assert call(scripts, name, [first, second]) == said_of(PAIRS[name](first, second))


def test_what_two_masks_share(scripts: Page) -> None:
    for first in shapes():
        for second in shapes()[::3]:
            common, either = int((first & second).sum()), int((first | second).sum())
            assert call(scripts, "shared", [first, second]) == common
            assert call(scripts, "iou", [first, second]) == (common / either if common else 0)
            equal = bool(np.array_equal(first, second))
            assert call(scripts, "same", [first, second]) is equal


def test_masks_of_different_images_are_refused(scripts: Page) -> None:
    small, large = np.ones((3, 4), bool), np.ones((4, 3), bool)
    with pytest.raises(Exception, match="different sizes"):
        call(scripts, "union", [small, large])


@pytest.mark.parametrize("by", [(0, 0), (3, -2), (-9, 11), (55, 0), (0, -39), (60, 60)])
def test_moving_loses_only_what_leaves_the_image(scripts: Page, by: tuple[int, int]) -> None:
    height, width = SIZE
    for mask in shapes():
        moved = np.zeros(SIZE, bool)
        rows, columns = np.nonzero(mask)
        rows, columns = rows + by[1], columns + by[0]
        kept = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        moved[rows[kept], columns[kept]] = True
        assert call(scripts, "move", [mask], *by) == said_of(moved)


@pytest.mark.parametrize(
    ("corners", "columns", "rows"),
    [
        ((3, 4, 10, 6), (3, 10), (4, 6)),
        ((10, 6, 3, 4), (3, 10), (4, 6)),  # drawn the other way
        ((3.4, 4.6, 9.4, 5.6), (3, 9), (5, 6)),  # 3.5 is inside, 9.5 and 4.5 are not
        ((3.5, 0, 4.5, 1), (3, 4), (0, 1)),  # a centre on the left edge is inside, on the right not
        ((-5, -5, 100, 100), (0, 56), (0, 40)),
        ((2.6, 2.6, 3.4, 3.4), (0, 0), (0, 0)),
    ],
)
def test_a_box_holds_the_pixels_whose_centres_it_holds(
    scripts: Page,
    corners: tuple[float, ...],
    columns: tuple[int, int],
    rows: tuple[int, int],
) -> None:
    expected = np.zeros(SIZE, bool)
    expected[slice(*rows), slice(*columns)] = True
    assert call(scripts, "box", [], list(corners), list(SIZE)) == said_of(expected)


def within(rings: list[NDArray[np.float64]]) -> Mask:
    """Decide for every pixel alone: rays to the left, the even-odd rule."""
    rows, columns = np.indices(SIZE) + 0.5
    odd = np.zeros(SIZE, bool)
    for ring in rings:
        for (x1, y1), (x2, y2) in zip(np.roll(ring, 1, axis=0), ring, strict=True):
            if y1 == y2:
                continue
            crossed = (np.minimum(y1, y2) <= rows) & (rows < np.maximum(y1, y2))
            odd ^= crossed & (x1 + (rows - y1) * (x2 - x1) / (y2 - y1) <= columns)
    return odd


def test_a_polygon_is_the_pixels_whose_centres_are_inside(scripts: Page) -> None:
    generator = np.random.default_rng(8)
    for _ in range(40):
        rings = [
            generator.uniform(-10, 60, (generator.integers(3, 9), 2))
            for _ in range(generator.integers(1, 4))
        ]
        points = [ring.tolist() for ring in rings]
        assert call(scripts, "polygon", [], points, list(SIZE)) == said_of(within(rings))


def test_a_ring_in_a_ring_is_a_hole_and_a_line_is_nothing(scripts: Page) -> None:
    outer, inner = [[2, 2], [12, 2], [12, 12], [2, 12]], [[4, 4], [4, 8], [8, 8], [8, 4]]
    expected = documents.rectangle(SIZE, 2, 2, 10, 10) & ~documents.rectangle(SIZE, 4, 4, 4, 4)
    assert call(scripts, "polygon", [], [outer, inner], list(SIZE)) == said_of(expected)
    nothing = said_of(np.zeros(SIZE, bool))
    assert call(scripts, "polygon", [], [[[2, 2], [30, 30]]], list(SIZE)) == nothing
    assert call(scripts, "polygon", [], [], list(SIZE)) == nothing


def test_the_outline_holds_exactly_its_mask(scripts: Page) -> None:
    for mask in shapes():
        rings = call(scripts, "outline", [mask])
        assert call(scripts, "polygon", [], rings, list(SIZE)) == said_of(mask)
        length = 0
        for ring in rings:
            points = np.array(ring)
            steps = np.roll(points, -1, axis=0) - points
            assert ((steps == 0).sum(1) == 1).all()  # along rows and columns, never on the spot
            assert ((steps[:, 0] == 0) != (np.roll(steps, 1, 0)[:, 0] == 0)).all()  # always turning
            length += int(np.abs(steps).sum())
        padded = np.pad(mask, 1).astype(int)
        assert length == sum(int(np.abs(np.diff(padded, axis=axis)).sum()) for axis in (0, 1))


def test_outlines_by_hand(scripts: Page) -> None:
    pixel = documents.rectangle(SIZE, 3, 5, 1, 1)
    (ring,) = call(scripts, "outline", [pixel])
    assert sorted(map(tuple, ring)) == [(3, 5), (3, 6), (4, 5), (4, 6)]
    corner = pixel | documents.rectangle(SIZE, 4, 6, 1, 1)  # two pixels that meet at a corner
    assert [len(ring) for ring in call(scripts, "outline", [corner])] == [4, 4]


def test_simplifying_by_hand(scripts: Page) -> None:
    def simplify(rings: list[list[list[float]]], tolerance: float) -> Any:
        return call(scripts, "simplify", [], rings, tolerance)

    bumped = [[0, 0], [5, 1], [10, 0], [10, 10], [0, 10]]
    assert simplify([bumped], 0.5) == [bumped]
    assert simplify([bumped], 1) == [[[0, 0], [10, 0], [10, 10], [0, 10]]]
    triangle = [[0, 0], [10, 0], [5, 2]]
    assert simplify([triangle], 50) == [triangle]  # no ring has fewer points
    stairs = [[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [3, 2], [3, 3], [0, 3]]
    assert simplify([stairs], 0.8) == [[[0, 0], [3, 3], [0, 3]]]
    assert simplify([[[0, 0], [4, 0], [4, 4], [0, 4]]], 100)[0][0] == [0, 0]
    assert len(simplify([[[0, 0], [4, 0], [4, 4], [0, 4]]], 100)[0]) == 3


def test_no_dropped_point_is_farther_off_than_the_tolerance(scripts: Page) -> None:
    blobs = shapes()[-2]
    rings = call(scripts, "outline", [blobs])
    for tolerance in (0.75, 1.5, 3):
        for ring in rings:
            (kept,) = call(scripts, "simplify", [], [ring], tolerance) or [ring]
            points, ends = np.array(ring, float), np.array(kept, float)
            nearest = np.min(
                [distance(points, a, b) for a, b in zip(ends, np.roll(ends, -1, 0), strict=True)],
                axis=0,
            )
            assert nearest.max() <= tolerance + 1e-9
            assert len(kept) <= len(ring)


def distance(
    points: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measure from points (..., 2) to the segment between two others."""
    along = second - first
    length = float(along @ along)
    share = (
        np.clip((points - first) @ along / length, 0, 1) if length else np.zeros(points.shape[:-1])
    )
    found: NDArray[np.float64] = np.linalg.norm(points - first - share[..., None] * along, axis=-1)
    return found


def swept(points: NDArray[np.float64], radius: float) -> Mask:
    """Decide for every pixel alone: its centre's distance from the path."""
    centres = np.stack(np.indices(SIZE)[::-1], axis=-1) + 0.5
    pairs = list(pairwise(points)) or [(points[0], points[0])]
    found: Mask = np.min([distance(centres, a, b) for a, b in pairs], axis=0) <= radius
    return found


def test_a_stroke_is_every_pixel_near_the_path(scripts: Page) -> None:
    generator = np.random.default_rng(2)
    for radius in (0.5, 1.3, 4.7, 30.2):
        for count in (1, 2, 3, 12):
            points = generator.uniform(-8, 62, (count, 2))
            made = call(scripts, "stroke", [], points.tolist(), radius, list(SIZE))
            assert made == said_of(swept(points, radius))


def test_strokes_by_hand(scripts: Page) -> None:
    def stroke(points: list[list[float]], radius: float) -> Any:
        return call(scripts, "stroke", [], points, radius, list(SIZE))

    # around a corner, the four centres are 0.707 away
    assert stroke([[10, 10]], 0.7)["area"] == 0
    assert stroke([[10, 10]], 0.71) == said_of(documents.rectangle(SIZE, 9, 9, 2, 2))
    # 3² + 4² = 5²: what lies on the circle belongs to it
    rows, columns = np.indices(SIZE) - 20
    assert stroke([[20.5, 20.5]], 5) == said_of(rows**2 + columns**2 <= 25)
    # along a row: three rows, and a pixel more at either end of the middle one
    line = documents.rectangle(SIZE, 3, 5, 8, 3) | documents.rectangle(SIZE, 2, 6, 10, 1)
    assert stroke([[3.5, 6.5], [10.5, 6.5]], 1) == said_of(line)
    assert stroke([[6.5, 3.5], [6.5, 10.5]], 1)["area"] == 26
    # 3-4-5: centres of a slanted side that are 5 away to the bit
    slanted = stroke([[20.5, 10.5], [28.5, 16.5]], 5)
    assert slanted == said_of(swept(np.array([[20.5, 10.5], [28.5, 16.5]]), 5 + 1e-9))


def parted(mask: Mask, neighbours: int) -> list[Mask]:
    count, found = cv2.connectedComponents(mask.astype(np.uint8), connectivity=neighbours)
    return [found == at for at in range(1, count)]


def by_code(codes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(codes, key=lambda code: (code["bbox"][1], code["bbox"][0], code["counts"]))


def test_components_are_joined_at_corners_too(scripts: Page) -> None:
    for mask in shapes():
        found = call(scripts, "components", [mask])
        assert by_code(found) == by_code([said_of(one) for one in parted(mask, 8)])


def enclosed(mask: Mask) -> list[Mask]:
    """Find the background, joined along sides, that does not reach the image's edge."""
    inner = np.zeros(SIZE, bool)
    inner[1:-1, 1:-1] = True
    return [one for one in parted(~mask, 4) if not (one & ~inner).any()]


@pytest.mark.parametrize("most", [None, 1, 4])
def test_holes_are_filled_up_to_a_size(scripts: Page, most: int | None) -> None:
    for mask in shapes():
        expected = mask.copy()
        for hole in enclosed(mask):
            if most is None or hole.sum() <= most:
                expected |= hole
        args = [] if most is None else [most]
        assert call(scripts, "fillHoles", [mask], *args) == said_of(expected)


@pytest.mark.parametrize("least", [1, 2, 9, 10_000])
def test_specks_below_a_size_go(scripts: Page, least: int) -> None:
    for mask in shapes():
        expected = np.zeros(SIZE, bool)
        for one in parted(mask, 8):
            if one.sum() >= least:
                expected |= one
        assert call(scripts, "dropSpecks", [mask], least) == said_of(expected)


def test_half_of_a_label_within_a_ring_is_enough(scripts: Page) -> None:
    mask = documents.rectangle(SIZE, 10, 10, 10, 10)
    half = [[10, 10], [15, 10], [15, 20], [10, 20]]
    assert call(scripts, "touches", [mask], half) is True
    less = [[10, 10], [14.4, 10], [14.4, 20], [10, 20]]
    assert call(scripts, "touches", [mask], less) is False
    assert call(scripts, "touches", [np.zeros(SIZE, bool)], half) is False


def pieces(mask: Mask, line: NDArray[np.float64]) -> list[Mask]:
    """Walk from pixel to pixel by steps that the line does not cross."""
    ends = line + np.array([3.1e-7, 1.7e-7])  # as the surface does: beside every pixel's centre
    groups = np.zeros(SIZE, int)
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if groups[start]:
            continue
        count += 1
        groups[start] = count
        waiting = [start]
        while waiting:
            y, x = waiting.pop()
            for dy, dx in np.argwhere(np.ones((3, 3), bool)) - 1:
                other = (y + dy, x + dx)
                inside = 0 <= other[0] < SIZE[0] and 0 <= other[1] < SIZE[1]
                if not inside or not mask[other] or groups[other] or not (dy or dx):
                    continue
                if dy and dx and (mask[y, x + dx] or mask[y + dy, x]):
                    continue  # a way of two straight steps; the line may end in between
                if not crossed((x + 0.5, y + 0.5), (x + dx + 0.5, y + dy + 0.5), ends):
                    groups[other] = count
                    waiting.append(other)
    return [groups == at + 1 for at in range(count)]


def crossed(a: tuple[float, float], b: tuple[float, float], line: NDArray[np.float64]) -> bool:
    def side(p: Any, q: Any, r: Any) -> bool:
        return bool((q[0] - p[0]) * (r[1] - p[1]) > (q[1] - p[1]) * (r[0] - p[0]))

    times = [
        side(a, b, c) != side(a, b, d) and side(c, d, a) != side(c, d, b) for c, d in pairwise(line)
    ]
    return sum(times) % 2 == 1


def test_a_line_parts_a_disc_into_its_two_sides(scripts: Page) -> None:
    mask = documents.disc(SIZE, 26, 19, 15)
    rows, columns = np.indices(SIZE) + 0.5
    for (x1, y1), (x2, y2) in [((0, 3), (55, 31)), ((30, 0), (27, 40)), ((0, 9.5), (56, 9.5))]:
        left = (x2 - x1) * (rows - y1 - 1e-6) > (y2 - y1) * (columns - x1)
        sides = sorted((mask & left, mask & ~left), key=lambda one: -int(one.sum()))
        found = call(scripts, "split", [mask], [[x1, y1], [x2, y2]])
        assert found == [said_of(one) for one in sides]


def test_a_line_cuts_where_it_passes_between_pixels(scripts: Page) -> None:
    generator = np.random.default_rng(12)
    masks = [mask for mask in shapes() if mask.any() and len(parted(mask, 8)) == 1]
    cuts = 0
    for mask in masks:
        for count in (2, 2, 3, 5):
            line = generator.uniform(-10, 70, (count, 2))
            found = call(scripts, "split", [mask], line.tolist())
            assert by_code(found) == by_code([said_of(one) for one in pieces(mask, line)])
            cuts += len(found) > 1
    assert cuts > 8


@pytest.mark.parametrize(
    "line",
    [[[20, -5], [20, 19]], [[60, 0], [60, 40]], [[20, 20]], [], [[20, -5], [20, 20], [21, -5]]],
    ids=["ends inside", "passes by", "a point", "nothing", "turns back"],
)
def test_a_line_that_does_not_cut_leaves_the_mask(scripts: Page, line: list[list[float]]) -> None:
    mask = documents.disc(SIZE, 20, 20, 12)
    assert call(scripts, "split", [mask], line) == [said_of(mask)]


def test_one_pixel_can_be_cut_off(scripts: Page) -> None:
    mask = documents.rectangle(SIZE, 4, 4, 6, 3)
    pixel = documents.rectangle(SIZE, 4, 4, 1, 1)
    found = call(scripts, "split", [mask], [[4, 5.4], [5.4, 3]])
    assert found == [said_of(mask & ~pixel), said_of(pixel)]


def test_parts_that_are_not_cut_stay_with_the_nearest_piece(scripts: Page) -> None:
    bar = documents.rectangle(SIZE, 5, 10, 40, 4)
    left, right = documents.rectangle(SIZE, 8, 16, 2, 2), documents.rectangle(SIZE, 40, 16, 2, 2)
    found = call(scripts, "split", [bar | left | right], [[21, 0], [21, 30]])
    columns = np.indices(SIZE)[1]
    mask = bar | left | right
    assert found == [said_of(mask & (columns >= 21)), said_of(mask & (columns < 21))]


def test_a_line_between_two_parts_parts_them(scripts: Page) -> None:
    left, right = documents.rectangle(SIZE, 5, 10, 8, 8), documents.rectangle(SIZE, 30, 10, 6, 6)
    line = [[20, 0], [21, 30]]
    assert call(scripts, "split", [left | right], line) == [said_of(left), said_of(right)]
    beside = [[50, 0], [51, 30]]
    assert call(scripts, "split", [left | right], beside) == [said_of(left | right)]


def test_masks_grow_and_shrink_by_a_pixel_as_opencv_has_it(scripts: Page) -> None:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for mask in shapes():
        plain = mask.astype(np.uint8)
        # both take what lies beyond the image's edge for more of the same
        assert call(scripts, "larger", [mask]) == said_of(cv2.dilate(plain, cross).astype(bool))
        assert call(scripts, "smaller", [mask]) == said_of(cv2.erode(plain, cross).astype(bool))
