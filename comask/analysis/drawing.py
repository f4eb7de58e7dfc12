"""Maps drawn over their image, with the colours' scale beside it."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from comask.analysis.registration import Map

Pixels = NDArray[np.uint8]  # (H, W, 3) RGB

OPACITY = 0.6  # of the colours over the image
BAR, MARGIN, FONT = 14, 8, 11  # pixels
LABELS = 64  # pixels that the scale's numbers may take


def draw(pixels: Pixels, laid: Map, limits: tuple[float, float]) -> Pixels:
    """Colour an image by a map: (H, W, 3), (H, W) -> (H, W + bar, 3).

    ``limits`` are the values of the darkest and the brightest colour; maps that are to be compared
    are drawn with the same ones.
    """
    coloured = np.asarray(_colours(laid, limits), np.float32)
    mixed = (1 - OPACITY) * pixels.astype(np.float32) + OPACITY * coloured
    bar = _bar(pixels.shape[0], limits)
    return np.concatenate([mixed.round().astype(np.uint8), bar], axis=1)


def _colours(values: Map, limits: tuple[float, float]) -> Pixels:
    low, high = limits
    share = (values - low) / max(high - low, 1e-12)
    steps = (share.clip(0, 1) * 255).round().astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(steps, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _bar(height: int, limits: tuple[float, float]) -> Pixels:
    """Draw the scale: the largest value on top."""
    low, high = limits
    room = Image.new("RGB", (2 * MARGIN + BAR + LABELS, height), "white")
    ramp = np.linspace(high, low, height, dtype=np.float32)[:, None].repeat(BAR, axis=1)
    room.paste(Image.fromarray(_colours(ramp, limits)), (MARGIN, 0))
    pen, font = ImageDraw.Draw(room), ImageFont.load_default(FONT)
    left = 2 * MARGIN + BAR
    pen.text((left, 0), f"{high:.3g}", "black", font)
    pen.text((left, max(0, height - FONT - 3)), f"{low:.3g}", "black", font)
    return np.asarray(room)
