"""How somebody who knows the truth would draw it, or mend what is there, in the fewest actions.

An action is one press: of a key, or of a button of the mouse, which is let go where it is or is
drawn straight to another place. Arrays are (H, W) bool of a whole image; places are (x, y) in image
pixels; a pixel belongs to a shape when its centre does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Place = tuple[float, float]

ENOUGH = 0.9  # IoU from which on a label is right
AIM = 0.905  # what is planned for, as places are whole pixels of the screen
MOST_STROKES = 5
GRID = 8  # places are multiples of 1 / 8 pixel


@dataclass(frozen=True)
class Stroke:
    """One straight stroke of the brush or the eraser; ``radius`` in image pixels."""

    tool: Literal["brush", "erase"]
    radius: float
    start: Place
    end: Place


def iou(left: Mask, right: Mask) -> float:
    """Compare two masks; two empty ones are 0 alike."""
    return float((left & right).sum() / max(1, (left | right).sum()))


def polygon_mask(points: Sequence[Place], size: tuple[int, int]) -> Mask:
    """Fill a polygon: pixels whose centres lie inside, by the even-odd rule."""
    height, width = size
    corners = np.asarray(points, np.float64)
    filled = np.zeros(size, bool)
    low = max(0, int(np.floor(corners[:, 1].min() - 0.5)))
    high = min(height, int(np.ceil(corners[:, 1].max() + 0.5)))
    columns = np.arange(width) + 0.5
    for row in range(low, high):
        y = row + 0.5
        crossings = [
            x1 + (y - y1) * (x2 - x1) / (y2 - y1)
            for (x1, y1), (x2, y2) in pairwise([*corners, corners[0]])
            if (y1 <= y) != (y2 <= y)
        ]
        for left, right in zip(*[iter(sorted(crossings))] * 2, strict=True):
            filled[row] |= (columns >= left) & (columns < right)
    return filled


def stroke_mask(stroke: Stroke, size: tuple[int, int]) -> Mask:
    """Sweep a disc along a stroke: pixels whose centres it touches."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    (x1, y1), (x2, y2) = stroke.start, stroke.end
    length = (x2 - x1) ** 2 + (y2 - y1) ** 2
    along = np.clip(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / max(length, 1e-12), 0, 1)
    touched: Mask = (
        np.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1)) <= stroke.radius
    )
    return touched


def drawn_over(mask: Mask, stroke: Stroke) -> Mask:
    """Say what a stroke makes of a mask."""
    there = stroke_mask(stroke, _size(mask))
    return mask | there if stroke.tool == "brush" else mask & ~there


def polygon(truth: Mask) -> list[Place]:
    """Find the corners that a person would click: on the outline, as few as are enough.

    They are those that Douglas and Peucker's simplification leaves at the largest tolerance whose
    polygon is still right.
    """
    cut, (top, left) = _crop(truth, 6)
    outline = _outline(cut)
    best = outline
    for tolerance in np.arange(0.25, 12, 0.125):
        kept = cv2.approxPolyDP(outline[:, None].astype(np.float32), float(tolerance), True)
        points = _snapped(kept[:, 0].astype(np.float64))
        if (
            3 <= len(points) < len(best)
            and iou(polygon_mask(_places(points), _size(cut)), cut) > AIM
        ):
            best = points
    return [(x + left, y + top) for x, y in _places(best)]


def strokes(mask: Mask, truth: Mask, radii: Sequence[float]) -> list[Stroke] | None:
    """Find straight strokes that bring a mask to the truth; None where a few are not enough.

    The radii that cost the least come first.
    """
    (top, bottom, left, right) = _bounds(mask | truth, 10)
    now, goal = mask[top:bottom, left:right], truth[top:bottom, left:right]
    plan: list[Stroke] = []
    while iou(now, goal) < AIM:
        if len(plan) == MOST_STROKES:
            return None
        tried = [(iou(drawn_over(now, one), goal), one) for one in _candidates(now, goal, radii)]
        if not tried:
            return None
        value, best = max(tried, key=lambda pair: pair[0])
        if value <= iou(now, goal) + 1e-6:
            return None
        now = drawn_over(now, best)
        plan.append(best)
    return [_moved(one, left, top) for one in plan]


def grown(mask: Mask, by: int) -> Mask:
    """Make a mask larger or smaller by some pixels, up, down, left and right."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    turn = cv2.dilate if by > 0 else cv2.erode
    return turn(mask.astype(np.uint8), cross, iterations=abs(by)).astype(bool)


# -- how ------------------------------------------------------------------------------------------


def _outline(truth: Mask) -> NDArray[np.float64]:
    """Follow the outer edge of the largest part, in pixel corners."""
    large = cv2.resize(truth.astype(np.uint8), None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    found, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    longest = max(found, key=cv2.contourArea)
    return (longest[:, 0, :].astype(np.float64) + 0.5) / 4


def _candidates(now: Mask, goal: Mask, radii: Sequence[float]) -> Iterator[Stroke]:
    tools: tuple[tuple[Literal["brush", "erase"], Mask], ...] = (
        ("brush", goal & ~now),
        ("erase", now & ~goal),
    )
    for tool, wrong in tools:
        count, labels = cv2.connectedComponents(wrong.astype(np.uint8))
        sizes = [(int((labels == k).sum()), k) for k in range(1, count)]
        for _, k in sorted(sizes, reverse=True)[:3]:
            y, x = np.nonzero(labels == k)
            places = np.stack([x, y], axis=1) + 0.5
            ends = _spread(places)
            for radius in radii:
                for start in ends:
                    for end in ends:
                        if (start <= end).all():
                            yield Stroke(tool, radius, _place(start), _place(end))
                for start, end in _beside(places, radius, tool, goal):
                    yield Stroke(tool, radius, _place(start), _place(end))


def _spread(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pick a few places that lie far from each other."""
    chosen = [places.mean(axis=0)]
    for _ in range(4):
        far = np.min([np.hypot(*(places - one).T) for one in chosen], axis=0)
        chosen.append(places[int(far.argmax())])
    return _snapped(np.array(chosen))


def _beside(
    places: NDArray[np.float64], radius: float, tool: str, goal: Mask
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Move the ends of a stroke so that the disc's edge, and not its middle, follows the edge."""
    y, x = np.nonzero(goal)
    centre = np.array([x.mean() + 0.5, y.mean() + 0.5])
    ends = _spread(places)[1:]
    away = ends - centre
    away /= np.maximum(np.hypot(*away.T), 1e-6)[:, None]
    moved = _snapped(ends + away * (radius - 0.5) * (1 if tool == "erase" else -1))
    for first in range(len(moved)):
        for second in range(first, len(moved)):
            yield moved[first], moved[second]


def _crop(mask: Mask, margin: int) -> tuple[Mask, tuple[int, int]]:
    top, bottom, left, right = _bounds(mask, margin)
    return mask[top:bottom, left:right], (top, left)


def _bounds(mask: Mask, margin: int) -> tuple[int, int, int, int]:
    y, x = np.nonzero(mask)
    return (
        max(0, int(y.min()) - margin),
        min(mask.shape[0], int(y.max()) + 1 + margin),
        max(0, int(x.min()) - margin),
        min(mask.shape[1], int(x.max()) + 1 + margin),
    )


def _snapped(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.round(points * GRID) / GRID


def _size(mask: Mask) -> tuple[int, int]:
    return mask.shape[0], mask.shape[1]


def _places(points: NDArray[np.float64]) -> list[Place]:
    return [_place(point) for point in points]


def _place(point: NDArray[np.float64]) -> Place:
    return float(point[0]), float(point[1])


def _moved(stroke: Stroke, x: int, y: int) -> Stroke:
    start, end = ((one[0] + x, one[1] + y) for one in (stroke.start, stroke.end))
    return Stroke(stroke.tool, stroke.radius, start, end)
