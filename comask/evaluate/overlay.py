"""Predictions drawn over their image, for looking through a folder of them."""

import io
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from comask.annotation import rle
from comask.annotation.records import Rle
from comask.predict import Prediction

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB

# Okabe and Ito's colours without black: told apart by nearly all eyes
PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
OPACITY = 0.45
_JPEG_SIDE = 65_500  # what a JPEG can hold


def draw(pixels: Pixels, prediction: Prediction) -> Pixels:
    """Draw masks, boxes and labels: (H, W, 3) -> (H, W, 3); the best instance lies on top."""
    drawn = pixels.copy()
    width = max(1, round(max(prediction.size) / 700))
    for row in reversed(range(len(prediction))):
        _draw_mask(drawn, prediction.masks[row], PALETTE[row % len(PALETTE)], width)
    canvas = Image.fromarray(drawn)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(max(8, round(max(prediction.size) / 65)))
    for row in reversed(range(len(prediction))):
        _draw_box(pen, font, prediction, row, width)
    return np.asarray(canvas)


def encode(pixels: Pixels) -> tuple[bytes, str]:
    """Compress a picture: its bytes, and the file ending that goes with them."""
    kind, ending = ("JPEG", ".jpg") if max(pixels.shape) <= _JPEG_SIDE else ("PNG", ".png")
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, quality=90, subsampling=0)
    return stream.getvalue(), ending


def write(folder: Path, name: str, pixels: Pixels, prediction: Prediction) -> Path:
    """Draw an image into a folder, below the subfolders of its name; returns the file."""
    content, ending = encode(draw(pixels, prediction))
    inside = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    path = folder.joinpath(*inside)
    path = path.with_name(path.name + ending)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _draw_mask(drawn: Pixels, mask: Rle, colour: tuple[int, int, int], width: int) -> None:
    crop, x, y = rle.decode_crop(mask)
    if not crop.size:
        return
    crop = np.ascontiguousarray(crop)
    region = drawn[y : y + crop.shape[0], x : x + crop.shape[1]]
    tints = np.arange(256)[:, None] * (1 - OPACITY) + np.array(colour) * OPACITY  # (256, 3)
    tinted = cv2.LUT(region, tints.round().astype(np.uint8)[None])
    np.copyto(region, tinted, where=crop[..., None] != 0)
    outlines, _ = cv2.findContours(crop, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, outlines, -1, colour, width, offset=(x, y))


def _draw_box(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    prediction: Prediction,
    row: int,
    width: int,
) -> None:
    colour = PALETTE[row % len(PALETTE)]
    height, length = prediction.size
    x1, y1, x2, y2 = prediction.boxes[row].tolist()
    x1, x2 = (min(max(x, 0), length - 1) for x in (x1, x2 - 1))
    y1, y2 = (min(max(y, 0), height - 1) for y in (y1, y2 - 1))
    pen.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=colour, width=width)
    text = f"{prediction.class_scores[row]:.2f}"
    if len(prediction.categories) > 1:  # else there is nothing to tell apart
        text = f"{prediction.categories[prediction.labels[row]].name} {text}"
    x1 = max(0, min(x1, length - pen.textlength(text, font) - 2))
    left, top, right, bottom = pen.textbbox((x1, y1), text, font=font)
    lift = min(bottom - y1 + 2, y1)  # above the box where there is room
    pen.rectangle((left, top - lift, right + 2, bottom - lift + 1), fill=colour)
    pen.text((x1 + 1, y1 - lift), text, fill=(0, 0, 0), font=font)
