"""One moment of a film, drawn: a window of the image with masks, votes and boxes over it.

Places are in image pixels until ``Place`` carries them to the picture, each of whose pixels shows
the image pixel under its centre. Letters: N instances, h x w the picture.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from comask.analysis.stages import RGB, Moment, weight_colour
from comask.analysis.trace import VOTES, Making, cell_centres
from comask.annotation import rle
from comask.annotation.records import Rle
from comask.structures import Size

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)
Corners = tuple[float, float, float, float]  # x1, y1, x2, y2 in the picture

VOTED = 40  # instances: the votes of more are a thicket, so only their boxes move
NARROWEST = 2 / 3  # shorter by longer side of the window around one instance
MARGIN = 0.2  # of that window's longer side, around what is shown
BEYOND = (112, 112, 116)  # grey of what lies outside the image
FILLED = 0.5  # opacity of a mask's inside; its edge is opaque
DASH, GAP = 7, 5  # pixels of the picture
WHITE: RGB = (255, 255, 255)

# Okabe and Ito's hues, lighter ones and five darker, in the order of the Studio's canvas
_HUES: tuple[RGB, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
)


def _toward(colours: Sequence[RGB], target: int, share: float) -> tuple[RGB, ...]:
    mixed = [[round(part + (target - part) * share) for part in colour] for colour in colours]
    return tuple((red, green, blue) for red, green, blue in mixed)


PALETTE = (*_HUES, *_toward(_HUES, 255, 0.45), *_toward(_HUES[:5], 0, 0.25))


@dataclass(frozen=True)
class Place:
    """A window of the image, which may reach beyond it, and how large its picture is.

    x, y     image pixels, its upper left corner
    size     (rows, columns) of image pixels
    factor   pixels of the picture an image pixel
    """

    x: int
    y: int
    size: Size
    factor: float

    @property
    def picture(self) -> Size:
        """Say how large the picture is: (h, w)."""
        height, width = (max(1, round(length * self.factor)) for length in self.size)
        return height, width

    def corners(self, box: NDArray[np.floating]) -> Corners:
        """Carry a box over; the corners are put in order, since votes may turn a box inside out."""
        x1, y1, x2, y2 = (box - np.array([self.x, self.y] * 2)) * self.factor
        return float(min(x1, x2)), float(min(y1, y2)), float(max(x1, x2)), float(max(y1, y2))

    def enlarge(self, values: NDArray[Number]) -> NDArray[Number]:
        """Give each pixel of the picture the value under its centre: (rows, columns) -> (h, w)."""
        rows, columns = (
            np.minimum((np.arange(count) + 0.5) / self.factor, length - 1).astype(np.int64)
            for count, length in zip(self.picture, self.size, strict=True)
        )
        enlarged: NDArray[Number] = values[rows[:, None], columns]
        return enlarged


def place_of_all(size: Size, side: int) -> Place:
    """Show an image as a whole, as large as a longer side of ``side`` pixels allows."""
    return Place(0, 0, size, _factor(size, side))


def place_around(one: Making, size: Size, side: int) -> Place:
    """Show the boxes and masks of an instance with a margin, and little of what is no image."""
    tight = [_half_open(mask) for mask in (one.first, one.mask) if rle.area(mask)]
    boxes = np.stack([one.proposal, one.box, *tight]).astype(np.float64)
    limits = np.array([size[1], size[0]], np.float64)
    low = boxes[:, :2].min(axis=0).clip(0, limits - 1)
    high = np.maximum(boxes[:, 2:].max(axis=0).clip(0, limits), low + 1)
    least = max(float((high - low).max()) * (1 + 2 * MARGIN), 8.0)
    half = np.maximum((high - low) * (1 + 2 * MARGIN), least * NARROWEST) / 2
    centre = (low + high) / 2
    x1, y1 = np.floor(centre - half).astype(int).tolist()
    x2, y2 = np.ceil(centre + half).astype(int).tolist()
    return Place(x1, y1, (y2 - y1, x2 - x1), _factor((y2 - y1, x2 - x1), side))


class Scene:
    """Instances over a window of their image; ``draw`` shows a moment of how they are made."""

    def __init__(
        self,
        pixels: Pixels,
        found: Sequence[Making],
        colours: Sequence[RGB],
        place: Place,
        *,
        near: bool,
    ) -> None:
        """Prepare what all moments share.

        Args:
            pixels: (H, W, 3) RGB.
            found: The instances, any number of them.
            colours: One for each.
            place: The window.
            near: Whether it is the film of one instance, with all that belongs to it.
        """
        self.found, self.colours, self.place, self.near = found, colours, place, near
        self.voted = near or len(found) <= VOTED  # whether votes are drawn
        # whether the colours of votes mean anything
        self.weighted = self.voted and all(one.weighted for one in found)
        self._base = _window(pixels, place)
        self._first = _Layer([one.first for one in found], colours, place)
        self._second = _Layer([one.mask for one in found], colours, place)

    def draw(self, moment: Moment) -> Pixels:
        """Draw a moment: (h, w, 3) uint8 RGB."""
        mixed = self._first.over(self._base, moment.first)
        mixed = self._second.over(mixed, moment.second)
        picture = Image.fromarray(mixed.round().astype(np.uint8)).convert("RGBA")
        overlay = Image.new("RGBA", picture.size)
        pen = ImageDraw.Draw(overlay)
        if self.voted and moment.votes > 0 and moment.tint > 0:
            for one in self.found:
                self._draw_votes(pen, one, moment)
        for one, colour in zip(self.found, self.colours, strict=True):
            self._draw_boxes(pen, one, colour, moment)
        if moment.iou > 0:
            self._draw_ious(pen, moment.iou)
        return np.asarray(Image.alpha_composite(picture, overlay).convert("RGB"))

    def _draw_votes(self, pen: ImageDraw.ImageDraw, one: Making, moment: Moment) -> None:
        """Draw the votes that have come, the surest on top, then the cells that they come from."""
        radius = min(5.0, self._cell(one) * 0.2)
        centres = cell_centres(one.proposal)
        order = [cell for cell in one.weights.argsort(kind="stable").tolist()]
        inks = {}
        for cell in order:
            weight = float(one.weights[cell])
            seen = min(1.0, max(0.0, moment.votes * VOTES - cell)) * moment.tint
            inks[cell] = (*weight_colour(weight), round(255 * seen * (0.3 + 0.7 * weight)))
            if seen > 0:
                _outline(pen, self.place.corners(one.votes[cell]), inks[cell], 1)
        for cell in order if radius >= 1 else ():
            x, y, _, _ = self.place.corners(np.tile(centres[cell], 2))
            *colour, alpha = inks[cell]
            spot = (x - radius, y - radius, x + radius, y + radius)
            pen.ellipse(spot, (*colour, min(255, 2 * alpha)), (0, 0, 0, alpha))

    def _draw_boxes(
        self, pen: ImageDraw.ImageDraw, one: Making, colour: RGB, moment: Moment
    ) -> None:
        line = WHITE if self.near else colour
        cased = self.near or len(self.found) <= VOTED
        if moment.proposal > 0:
            ink = round(255 * moment.proposal)
            _dashed(pen, self._in_sight(one.proposal), (*line, ink), cased)
        if moment.travel > 0:
            way = one.proposal + (one.box - one.proposal) * np.float32(moment.travel)
            ink = round(255 * min(1.0, 6 * moment.travel))
            corners = self._in_sight(way)
            if cased:
                _outline(pen, _grown(corners, 1), (0, 0, 0, ink * 6 // 10), 4)
            _outline(pen, corners, (*line, ink), 2)

    def _draw_ious(self, pen: ImageDraw.ImageDraw, share: float) -> None:
        """Write the predicted IoU at each box, where no better instance's stands yet."""
        font = ImageFont.load_default(17 if self.near else 11)
        ink = round(255 * min(1.0, share))
        height, width = self.place.picture
        taken: list[Corners] = []
        for one in self.found:
            text = f"IoU {one.mask_iou:.2f}" if self.near else f"{one.mask_iou:.2f}"
            x, y, _, bottom = self.place.corners(one.box)
            across, down = pen.textlength(text, font) + 8, font.size + 6  # type: ignore[union-attr]
            x = min(max(x, 0.0), max(0.0, width - across))
            y = y - down - 2 if y - down >= 2 else min(bottom + 2, height - down)
            room = (x, y, x + across, y + down)
            if self.near or not any(_overlap(room, other) for other in taken):
                taken.append(room)
                pen.rounded_rectangle(room, 3, (0, 0, 0, ink * 8 // 10))
                pen.text((x + 4, y + 2), text, (*WHITE, ink), font)

    def _cell(self, one: Making) -> float:
        """Measure the shorter side of a voting cell, in the picture."""
        return float((one.proposal[2:] - one.proposal[:2]).min()) / 7 * self.place.factor

    def _in_sight(self, box: Floats) -> Corners:
        """Cut a box off where nobody sees it, so that its dashes can be counted."""
        height, width = self.place.picture
        x1, y1, x2, y2 = self.place.corners(box)
        across = (min(max(x, -20.0), width + 20.0) for x in (x1, x2))
        down = (min(max(y, -20.0), height + 20.0) for y in (y1, y2))
        (x1, x2), (y1, y2) = across, down
        return x1, y1, x2, y2


class _Layer:
    """Masks of one pass in the picture: a colour and an opacity for each of its pixels."""

    def __init__(self, masks: Sequence[Rle], colours: Sequence[RGB], place: Place) -> None:
        labels = np.zeros(place.size, np.int32)
        for at in sorted(range(len(masks)), key=lambda at: -rle.area(masks[at])):  # small on top
            _mark(labels, masks[at], place, at + 1)
        seen = place.enlarge(labels)
        table = np.array([(0, 0, 0), *colours], np.float32)
        self.colour = table[seen]
        edge = _edges(seen, 2 if place.factor >= 1.5 else 1)
        self.alpha = np.where(edge, 1.0, FILLED).astype(np.float32) * (seen > 0)

    def over(self, below: Floats, share: float) -> Floats:
        """Lay it over a picture: (h, w, 3) -> (h, w, 3)."""
        if share <= 0:
            return below
        mixed: Floats = below + (self.colour - below) * (self.alpha * np.float32(share))[..., None]
        return mixed


def _factor(size: Size, side: int) -> float:
    """Choose an enlargement; from 3 on a whole number, so that pixels stay squares of one size."""
    factor = side / max(size)
    return float(int(factor)) if factor >= 3 else factor


def _half_open(mask: Rle) -> NDArray[np.float64]:
    x, y, width, height = rle.bbox(mask)
    return np.array([x, y, x + width, y + height], np.float64)


def _window(pixels: Pixels, place: Place) -> Floats:
    """Cut the window out and size it: (H, W, 3) -> (h, w, 3)."""
    rows, columns = place.size
    shown = np.empty((rows, columns, 3), np.uint8)
    shown[:] = BEYOND
    top, left = max(0, -place.y), max(0, -place.x)
    part = pixels[max(0, place.y) : place.y + rows, max(0, place.x) : place.x + columns]
    shown[top : top + part.shape[0], left : left + part.shape[1]] = part
    height, width = place.picture
    if place.factor >= 2:
        return np.asarray(place.enlarge(shown), np.float32)
    kind = cv2.INTER_AREA if place.factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(shown, (width, height), interpolation=kind), np.float32)


def _mark(labels: NDArray[np.int32], mask: Rle, place: Place, label: int) -> None:
    """Write a label where a mask lies within the window."""
    crop, x, y = rle.decode_crop(mask)
    x, y = x - place.x, y - place.y
    left, top = max(0, -x), max(0, -y)
    inside = labels[max(0, y) : max(0, y + crop.shape[0]), max(0, x) : max(0, x + crop.shape[1])]
    part = crop[top : top + inside.shape[0], left : left + inside.shape[1]]
    inside[part > 0] = label


def _edges(labels: NDArray[np.int32], depth: int) -> NDArray[np.bool_]:
    """Find what lies within ``depth`` pixels of another label: (h, w) -> (h, w)."""
    values = labels.astype(np.float32)
    kernel = np.ones((2 * depth + 1, 2 * depth + 1), np.uint8)
    highest, lowest = cv2.dilate(values, kernel), cv2.erode(values, kernel)
    return np.asarray((highest != values) | (lowest != values))


def _outline(pen: ImageDraw.ImageDraw, corners: Corners, ink: tuple[int, ...], width: int) -> None:
    x1, y1, x2, y2 = (round(corner) for corner in corners)
    out = width // 2
    right, bottom = max(x2 + out - 1, x1 - out), max(y2 + out - 1, y1 - out)
    pen.rectangle((x1 - out, y1 - out, right, bottom), outline=ink, width=width)


def _dashed(pen: ImageDraw.ImageDraw, corners: Corners, ink: tuple[int, ...], cased: bool) -> None:
    """Draw a box in dashes; ``cased`` lays a dark line below them."""
    if cased:
        _outline(pen, _grown(corners, 1), (0, 0, 0, ink[-1] // 2), 4)
    for dash in _dashes(*(round(corner) for corner in corners)):
        pen.rectangle(dash, ink)


def _dashes(x1: int, y1: int, x2: int, y2: int) -> Iterator[tuple[int, int, int, int]]:
    """List the dashes of a box as rectangles, two pixels thick around its edge."""
    for x in range(x1, x2, DASH + GAP):
        end = min(x + DASH, x2) - 1
        yield from ((x, y1 - 1, end, y1), (x, y2 - 1, end, y2))
    for y in range(y1, y2, DASH + GAP):
        end = min(y + DASH, y2) - 1
        yield from ((x1 - 1, y, x1, end), (x2 - 1, y, x2, end))


def _grown(corners: Corners, by: float) -> Corners:
    x1, y1, x2, y2 = corners
    return x1 - by, y1 - by, x2 + by, y2 + by


def _overlap(left: Corners, right: Corners) -> bool:
    across = left[0] < right[2] and right[0] < left[2]
    return across and left[1] < right[3] and right[1] < left[3]
