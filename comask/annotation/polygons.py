"""Masks as polygons, for files that hold nothing else.

Those who draw polygons disagree on the rim: pycocotools takes a pixel for inside where its centre
is, OpenCV and Pillow also every pixel that the outline runs through. Outlines along the corners of
pixels, moved inwards by a quarter of a pixel, come back as the very mask from all three, whatever
its shape; contours through the centres lose their rim in pycocotools, outlines along the corners
themselves gain one in the others. What polygons can't say is a hole: COCO unites the polygons of
an instance. So every drawing tells its IoU with the mask, by pycocotools' own drawing of it.
Points are x, y in image pixels; pixel i covers [i, i + 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from comask.annotation import rle
from comask.annotation.records import Rle
from comask.errors import InputError

Ring = NDArray[np.float64]  # (n, 2) x, y; closed, the first point is not repeated
Polygon = tuple[float, ...]  # x1, y1, x2, y2, ... as COCO has it

Corners = NDArray[np.int64]  # (n, 2) x, y

INSET = 0.25  # image pixels; anything in 0.2 .. 0.4 would do
MAX_TOLERANCE = 1000.0  # image pixels
_PROBES = 64  # points of a hole from which the way to its part's rim is measured


@dataclass(frozen=True)
class Outline:
    """The border of a mask.

    parts  (outer ring, its holes) each; parts that touch at a corner only are two
    """

    parts: tuple[tuple[Ring, tuple[Ring, ...]], ...]

    @property
    def holes(self) -> int:
        """Count the holes of all parts."""
        return sum(len(holes) for _, holes in self.parts)


@dataclass(frozen=True)
class Drawing:
    """Polygons that stand for a mask.

    polygons  all parts
    mask      what pycocotools draws of them
    iou       of that with the mask that was meant, 0 .. 1
    points    of all polygons
    holes     of the mask that was meant; filled, unless keyholes were asked for
    """

    polygons: tuple[Polygon, ...]
    mask: Rle
    iou: float
    points: int
    holes: int


def draw(mask: Rle, tolerance: float = 0.0, *, keyholes: bool = False) -> Drawing:
    """Outline a mask with polygons; one without pixels has none.

    Args:
        mask: Of any shape.
        tolerance: How far the outline may move, image pixels; 0 keeps every pixel.
        keyholes: Cut holes out, by a slit of no width from the rim of the hole to that of its
            part. Some tools draw the slit.
    """
    if not 0 <= tolerance <= MAX_TOLERANCE:  # nan fails this too
        raise InputError(f"tolerance must be in 0 .. {MAX_TOLERANCE:g} pixels, got {tolerance}")
    found = outline(mask)
    rings = []
    for outer, holes in found.parts:
        cut = holes if keyholes else ()
        drawn_rings = [simplify(_inset(ring), tolerance) for ring in (outer, *cut)]
        rings.append(bridge(drawn_rings))
    polygons = tuple(tuple(ring.ravel().tolist()) for ring in rings)
    drawn = rle.from_polygons(polygons, *mask.size)
    iou = float(rle.iou([drawn], [mask])[0, 0]) if polygons else 1.0
    return Drawing(polygons, drawn, iou, sum(map(len, rings)), found.holes)


def outline(mask: Rle) -> Outline:
    """Follow a mask's border along the corners of its pixels.

    Pixels that share a side belong to one part; the points are where the border turns, with the
    mask to the right hand of whoever walks along them.
    """
    crop, x, y = rle.decode_crop(mask)
    if not crop.size:
        return Outline(())
    corner = np.array([x, y], np.float64)
    outer: list[Corners] = []
    holes: list[Corners] = []
    for ring in _trace(crop):
        column, row = ring[0]
        (outer if crop[row, column] else holes).append(ring)
    owners = _owners(holes, outer, crop) if holes else []
    inner: list[list[Ring]] = [[] for _ in outer]
    for hole, owner in zip(holes, owners, strict=True):
        inner[owner].append(hole[::-1] + corner)
    return Outline(
        tuple((ring + corner, tuple(mine)) for ring, mine in zip(outer, inner, strict=True))
    )


def simplify(ring: Ring, tolerance: float) -> Ring:
    """Leave points out, so that the outline moves by no more than this: (n, 2) -> (m, 2).

    Douglas-Peucker; a ring of which nothing would be left stays as it is.
    """
    if tolerance == 0:
        return ring
    origin = ring.min(axis=0)
    points = (ring - origin).astype(np.float32)[:, None]
    kept = cv2.approxPolyDP(points, tolerance, closed=True)[:, 0]
    found: Ring = kept.astype(np.float64) + origin
    if len(found) < 3 or _signed_area(found) * _signed_area(ring) <= 0:
        return ring
    return found


def bridge(rings: Sequence[Ring]) -> Ring:
    """Join rings into one, by slits of no width between their nearest points: (n, 2).

    Each slit is walked there and back, so that it cancels out where insides are told by crossings.
    """
    joined = rings[0]
    for ring in rings[1:]:
        some = ring[:: -(-len(ring) // _PROBES)]
        gaps = [np.square(joined - point).sum(axis=1) for point in some]
        probe = min(range(len(some)), key=lambda probe: float(gaps[probe].min()))
        here = int(gaps[probe].argmin())
        there = probe * -(-len(ring) // _PROBES)
        around = np.concatenate([ring[there:], ring[: there + 1]])
        joined = np.concatenate([joined[: here + 1], around, joined[here:]])
    return joined


def _inset(ring: Ring) -> Ring:
    """Move an outline into its mask: (n, 2) -> (n, 2)."""
    steps = np.sign(np.roll(ring, -1, axis=0) - ring)  # along one axis each
    right = np.stack([-steps[:, 1], steps[:, 0]], axis=1)
    moved: Ring = ring + INSET * (right + np.roll(right, 1, axis=0))
    return moved


def _trace(crop: NDArray[np.uint8]) -> list[Corners]:
    """Walk along all borders of a mask, each from its upper left corner on to the right.

    The corners of borders lie in pairs on each row and each column of the grid: from the first of
    a row to the second runs a side, from the third to the fourth another. Walking is going along
    the row and along the column in turn. A corner where two pixels touch is there twice.
    """
    height, width = crop.shape
    padded = np.zeros((height + 2, width + 2), np.int8)
    padded[1:-1, 1:-1] = crop
    upper_left, upper_right = padded[:-1, :-1], padded[:-1, 1:]
    lower_left, lower_right = padded[1:, :-1], padded[1:, 1:]
    filled = upper_left + upper_right + lower_left + lower_right
    touching = (filled == 2) & (upper_left == lower_right)
    times = (filled & 1) + 2 * touching  # (h + 1, w + 1)
    rows, columns = np.nonzero(times)
    repeats = times[rows, columns]
    y, x = np.repeat(rows, repeats), np.repeat(columns, repeats)  # row by row
    along_row = np.arange(len(x)) ^ 1
    second = np.zeros(len(x), np.bool_)  # the side to the right begins there
    second[1:] = (x[1:] == x[:-1]) & (y[1:] == y[:-1])
    # the pixel above such a corner lies to the left of its side, or to the right
    above = np.where(touching[y, x] & (upper_right[y, x] == 1), second, ~second)
    by_column = np.lexsort((~above, y, x))
    along_column = np.empty_like(along_row)
    along_column[by_column] = by_column[np.arange(len(x)) ^ 1]
    return _walk(np.stack([x, y], axis=1), along_row.tolist(), along_column.tolist())


def _walk(points: Corners, along_row: list[int], along_column: list[int]) -> list[Corners]:
    seen = bytearray(len(points))
    rings = []
    for start in range(0, len(points), 2):  # the left end of a side
        order: list[int] = []
        here = start
        while not seen[here]:
            there = along_row[here]
            seen[here] = seen[there] = 1
            order += (here, there)
            here = along_column[there]
        if order:
            rings.append(points[order])
    return rings


def _signed_area(ring: Ring) -> float:
    """Find twice the area that a ring encloses; positive where it turns clockwise on the screen."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


def _owners(
    holes: Sequence[Corners], outer: Sequence[Corners], crop: NDArray[np.uint8]
) -> list[int]:
    """Find the part that each hole is in: a hole's first side has a pixel of it above."""
    _, parts = cv2.connectedComponents(np.ascontiguousarray(crop, np.uint8), connectivity=4)
    owner_of = {int(parts[ring[0, 1], ring[0, 0]]): row for row, ring in enumerate(outer)}
    return [owner_of[int(parts[hole[0, 1] - 1, hole[0, 0]])] for hole in holes]
