"""Maps as pictures: over their image, alone beside it, with the colours' scale and what they mean.

Colours over an image are mixed with it; those of the map alone are the scale's own, so that values
can be read back. Pictures of small images are enlarged by a whole number, those of large ones are
made smaller, each pixel then showing the map at its centre. Letters: h x w the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from comask.analysis import captions
from comask.analysis.captions import INK, PAPER, QUIET, Caption
from comask.analysis.field_marks import FieldMarks
from comask.analysis.registration import Map
from comask.analysis.scales import BRANCHES, LAST, Scale, colour_table
from comask.analysis.scene import Place
from comask.structures import Size

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB
Colour = tuple[int, int, int]

OPACITY = 0.65  # of the colours over the image
SMALL, LARGE = 400, 720  # pixels: the longer side of a panel
BAR, GAP, FONT, LABELS = 16, 10, 13, 70  # pixels; labels: the scale's numbers
STRIP = 22  # pixels: a line of text above or below panels
LEAST_BAR = 110  # pixels
THUMB = 170  # pixels: the longer side of a map among many
OVER, ALONE = "over the image", "alone, in the scale's colours"
# of the contours, the smallest first, and of the theoretical box; as on the page
LINES: tuple[Colour, ...] = ((255, 255, 255), (240, 228, 66), (230, 159, 0))
REACH: Colour = (86, 180, 233)
OBJECT: Colour = (204, 121, 167)
DARK: Colour = (44, 44, 50)  # behind a key of lines

__all__ = [
    "KeyLine",
    "Line",
    "SheetRow",
    "draw",
    "draw_branches",
    "draw_colours",
    "draw_field",
    "draw_lines",
    "draw_sheet",
    "place_of",
    "trace",
]


@dataclass(frozen=True)
class KeyLine:
    """One entry of a key: how a line looks and what it stands for."""

    word: str
    colour: Colour
    line: str = "solid"  # or "dashed", "dotted"


@dataclass(frozen=True, eq=False)
class Line:
    """A path over the image: (n, 2) x, y in image pixels."""

    points: NDArray[np.floating]
    colour: Colour
    line: str = "solid"
    closed: bool = True


@dataclass(frozen=True, eq=False)
class SheetRow:
    """A line of a sheet: a word, and the maps of it, (H, W) or (H, W, 3) in 0 .. 1, with names."""

    word: str
    panels: Sequence[tuple[str, Map, Scale | None]]


def place_of(size: Size) -> Place:
    """Choose how large an image is shown: (H, W)."""
    longest = max(size)
    factor = float(max(1, SMALL // longest)) if longest <= LARGE else LARGE / longest
    return Place(0, 0, size, factor)


def draw(pixels: Pixels, laid: Map, scale: Scale, caption: Caption) -> Pixels:
    """Draw a map: the image (H, W, 3) and the map laid over it (H, W) -> (h, w, 3).

    From left to right: over the image, alone, the scale; the caption is below.
    """
    place = place_of(laid.shape)
    values = place.enlarge(laid)
    painted = scale.paint(values)
    mixed = _mix(_photo(pixels, place), painted, _opacity(values, scale))
    return _sheet([(mixed, OVER), (painted, ALONE)], _bar(place.picture[0], scale), caption)


def draw_colours(pixels: Pixels, laid: Map, caption: Caption) -> Pixels:
    """Draw a map that is colours itself, (H, W, 3) in 0 .. 1, such as main components."""
    place = place_of(laid.shape[:2])
    painted = (place.enlarge(laid) * LAST).round().astype(np.uint8)
    return _sheet([(_photo(pixels, place), "the image"), (painted, "alone")], None, caption)


def draw_branches(
    pixels: Pixels, laid: NDArray[np.int64], names: Sequence[str], caption: Caption
) -> Pixels:
    """Draw which branch is chosen at each pixel: (H, W) numbers of ``names``."""
    place = place_of(laid.shape)
    painted = np.array(BRANCHES, np.uint8)[place.enlarge(laid)]
    mixed = _mix(_photo(pixels, place), painted, np.float32(OPACITY))
    side = _names(place.picture[0], names)
    return _sheet([(mixed, OVER), (painted, "alone")], side, caption)


def draw_field(
    pixels: Pixels,
    laid: Map,
    marks: FieldMarks,
    caption: Caption,
    outlines: Sequence[NDArray[np.floating]] = (),
) -> Pixels:
    """Draw a receptive field with its contours, its theoretical box and its middle.

    The outlines of an object take the place of the cross at the middle.
    """
    place, scale = place_of(laid.shape), Scale(0.0, float(laid.max()), "root")
    values = place.enlarge(laid)
    painted = scale.paint(values)
    mixed = _mix(_photo(pixels, place), painted, _opacity(values, scale))
    lines = [
        Line(points, colour)
        for one, colour in reversed(list(zip(marks.contours, LINES, strict=False)))
        for points in one.polygons
    ]
    x1, y1, x2, y2 = marks.box
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
    lines = [Line(corners, REACH, "dashed"), *lines]
    key = [
        KeyLine(f"holds {100 * one.share:g} %", colour)
        for one, colour in zip(marks.contours, LINES, strict=False)
    ]
    key.append(KeyLine("theory: no convolution reaches beyond", REACH, "dashed"))
    if outlines:
        lines += [Line(points, OBJECT) for points in outlines]
        key.append(KeyLine("the object", OBJECT))
    else:
        lines += _cross(marks, place)
    panels = [(trace(mixed, lines, place), OVER), (painted, ALONE)]
    return _sheet(panels, _bar(place.picture[0], scale), caption, key)


def draw_lines(
    pixels: Pixels,
    panels: Sequence[tuple[str, Sequence[Line]]],
    caption: Caption,
    key: Sequence[KeyLine],
) -> Pixels:
    """Draw an image several times, each with its word and its lines, and a key of all lines."""
    height, width = pixels.shape[:2]
    place = place_of((height, width))
    photo = _photo(pixels, place)
    return _sheet(
        [(trace(photo, lines, place), word) for word, lines in panels], None, caption, key
    )


def draw_sheet(rows: Sequence[SheetRow], caption: Caption, *, bars: bool = True) -> Pixels:
    """Draw many maps at a glance, small; with ``bars``, the scales of a line are at its end.

    Where no two maps of a line share a scale, there are none.
    """
    lines = [_sheet_line(row, bars) for row in rows]
    width = max(line.shape[1] for line in lines)
    whole = np.concatenate([_padded(line, line.shape[0] + GAP, width) for line in lines])
    return captions.below(whole, caption, captions.room([caption], width))


def trace(picture: Pixels, lines: Sequence[Line], place: Place) -> Pixels:
    """Draw lines over a picture of an image: (h, w, 3) -> (h, w, 3); dark below, colour above."""
    drawn = picture.copy()
    for one in lines:
        points = one.points * place.factor
        for part in _dashes(points, one):
            path = [(8 * part).round().astype(np.int32)]  # in eighths of a pixel
            for colour, width in (((0, 0, 0), 3), (one.colour, 1)):
                cv2.polylines(drawn, path, False, colour, width, cv2.LINE_AA, 3)
    return drawn


def _photo(pixels: Pixels, place: Place) -> Pixels:
    """Show an image as large as a picture: (H, W, 3) -> (h, w, 3)."""
    if place.factor >= 1:
        return np.stack([place.enlarge(pixels[..., channel]) for channel in range(3)], axis=2)
    height, width = place.picture
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _mix(below: Pixels, above: Pixels, opacity: NDArray[np.float32] | np.float32) -> Pixels:
    if isinstance(opacity, np.ndarray):
        opacity = opacity[..., None]
    mixed = below + opacity * (above.astype(np.float32) - below)
    return np.asarray(mixed.round(), np.uint8)


def _opacity(values: Map, scale: Scale) -> NDArray[np.float32] | np.float32:
    """Let the image through where there is little: of a field, and around zero."""
    if scale.kind == "plain":
        return np.float32(OPACITY)
    shares = scale.shares(values)
    strength = shares if scale.kind == "root" else np.abs(2 * shares - 1)
    return np.asarray(0.85 * np.sqrt(strength), np.float32)


def _sheet(
    panels: Sequence[tuple[Pixels, str]],
    side: Pixels | None,
    caption: Caption,
    key: Sequence[KeyLine] = (),
) -> Pixels:
    """Put panels with their words side by side, a scale at the right, words below."""
    parts = [_headed(*panel) for panel in panels]
    if side is not None:
        parts.append(_headed(side, ""))
    height = max(part.shape[0] for part in parts)
    padded = [_padded(part, height, part.shape[1] + GAP) for part in parts]
    whole = np.concatenate(padded, axis=1)
    if key:
        whole = np.concatenate([whole, _key(whole.shape[1], key)])
    return captions.below(whole, caption, captions.room([caption], whole.shape[1]))


def _sheet_line(row: SheetRow, bars: bool) -> Pixels:
    parts = [_headed(_word(row.word), "")]
    shared: dict[Scale, list[str]] = {}
    for name, laid, scale in row.panels:
        small = _small(laid)
        painted = (small * LAST).round().astype(np.uint8) if scale is None else scale.paint(small)
        parts.append(_headed(painted, name))
        if scale is not None:
            shared.setdefault(scale, []).append(name)
    height = parts[-1].shape[0] - STRIP
    if bars and len(shared) < len(row.panels):
        for scale, names in shared.items():
            word = names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]}"
            parts.append(_headed(_bar(height, scale), word))
    height = max(part.shape[0] for part in parts)
    return np.concatenate([_padded(one, height, one.shape[1] + GAP) for one in parts], axis=1)


def _small(laid: Map) -> Map:
    """Average a map down to a small picture: (H, W, ...) -> (h, w, ...)."""
    height, width = laid.shape[:2]
    factor = THUMB / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(laid, size, interpolation=kind), np.float32)


def _word(text: str) -> Pixels:
    room = Image.new("RGB", (44, LEAST_BAR), PAPER)
    ImageDraw.Draw(room).text((10, 0), text, INK, ImageFont.load_default(19))
    return np.asarray(room)


def _headed(picture: Pixels, word: str) -> Pixels:
    """Write a word above a picture."""
    font = ImageFont.load_default(FONT)
    width = max(picture.shape[1], round(font.getlength(word)) + 4)
    head = Image.new("RGB", (width, STRIP), PAPER)
    ImageDraw.Draw(head).text((2, 4), word, QUIET, font)
    below = _padded(picture, picture.shape[0], width)
    return np.concatenate([np.asarray(head), below])


def _padded(picture: Pixels, height: int, width: int) -> Pixels:
    whole = np.full((height, width, 3), PAPER, np.uint8)
    whole[: picture.shape[0], : picture.shape[1]] = picture
    return whole


def _bar(height: int, scale: Scale) -> Pixels:
    """Draw a scale, the largest value on top, with the values at its ends and quarters."""
    height = max(height, LEAST_BAR)
    room = Image.new("RGB", (BAR + GAP + LABELS, height), PAPER)
    steps = np.linspace(LAST, 0, height).round().astype(np.uint8)
    ramp = colour_table(scale.kind)[steps][:, None].repeat(BAR, axis=1)
    room.paste(Image.fromarray(np.ascontiguousarray(ramp)), (0, 0))
    pen, font = ImageDraw.Draw(room), ImageFont.load_default(FONT)
    for quarter in range(5):
        place = quarter / 4
        y = round((1 - place) * (height - 1))
        pen.line((BAR, y, BAR + 4, y), INK)
        at = min(max(0, y - FONT // 2 - 2), height - FONT - 4)
        pen.text((BAR + 8, at), f"{scale.value(place):.3g}", INK, font)
    return np.asarray(room)


def _names(height: int, names: Sequence[str]) -> Pixels:
    """List the branches' colours."""
    room = Image.new("RGB", (BAR + GAP + LABELS, max(height, STRIP * len(names))), PAPER)
    pen, font = ImageDraw.Draw(room), ImageFont.load_default(FONT)
    for row, name in enumerate(names):
        y = STRIP * row
        pen.rectangle((0, y + 2, BAR - 2, y + BAR), BRANCHES[row])
        pen.text((BAR + 6, y + 1), name, INK, font)
    return np.asarray(room)


def _key(width: int, lines: Sequence[KeyLine]) -> Pixels:
    """Explain lines in one row, as far as there is room: (STRIP, width, 3)."""
    font = ImageFont.load_default(FONT)
    rows: list[list[KeyLine]] = [[]]
    used = 0.0
    for one in lines:
        needed = 40 + font.getlength(one.word) + 2 * GAP
        if rows[-1] and used + needed > width:
            rows.append([])
            used = 0.0
        rows[-1].append(one)
        used += needed
    room = Image.new("RGB", (width, STRIP * len(rows)), DARK)
    pen = ImageDraw.Draw(room)
    for at, row in enumerate(rows):
        x, y = float(GAP), STRIP * at + STRIP // 2
        for one in row:
            path = np.array([(x, y), (x + 30, y)])
            for part in _dashes(path, Line(path, one.colour, one.line, closed=False)):
                pen.line([tuple(point) for point in part.tolist()], one.colour, 2)
            pen.text((x + 36, y), one.word, PAPER, font, anchor="lm")
            x += 40 + font.getlength(one.word) + 2 * GAP
    return np.asarray(room)


def _cross(marks: FieldMarks, place: Place) -> list[Line]:
    x, y = marks.middle
    arm = 7 / place.factor
    return [
        Line(np.array([(x - arm, y), (x + arm, y)]), (255, 255, 255), closed=False),
        Line(np.array([(x, y - arm), (x, y + arm)]), (255, 255, 255), closed=False),
    ]


_RHYTHM = {"dashed": (7.0, 5.0), "dotted": (2.0, 4.0)}  # pixels of the picture: drawn, left out


def _dashes(points: NDArray[np.floating], one: Line) -> list[NDArray[np.float64]]:
    """Cut a path of the picture into the parts that are drawn: (n, 2) -> some (m, 2)."""
    path = np.asarray(points, np.float64)
    if one.closed:
        path = np.concatenate([path, path[:1]])
    if one.line == "solid":
        return [path]
    lengths = np.concatenate([[0.0], np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()])
    drawn, left_out = _RHYTHM[one.line]
    parts = []
    for start in np.arange(0.0, lengths[-1], drawn + left_out):
        stops = [start, min(start + drawn, lengths[-1])]
        between = lengths[(lengths > stops[0]) & (lengths < stops[1])]
        at = np.array([stops[0], *between, stops[1]])
        parts.append(np.stack([np.interp(at, lengths, path[:, axis]) for axis in (0, 1)], axis=1))
    return parts
