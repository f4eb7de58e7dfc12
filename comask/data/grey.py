"""Grey deeper than 8 bits: what values an image holds, and which of them are shown."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[Any]  # (H, W) of the file's own depth
Levels = NDArray[np.uint8]  # (H, W) grey as it is shown

PERCENTILES = (0.1, 99.9)  # of an image: what becomes 0 and 255

_STRIP_ROWS = 256  # rows converted at a time, so that a large image is never held three times
_SAMPLED = 4_000_000  # pixels that percentiles are taken from, evenly spread


@dataclass(frozen=True)
class GreyRange:
    """The values of a deep grey image.

    bits   of a pixel in memory: 16 or 32
    low    its smallest finite value; high its largest
    shown  what becomes black and white as long as nobody asks for another window
    """

    bits: int
    low: float
    high: float
    shown: tuple[float, float]


def measure(grey: Grey) -> GreyRange:
    """Measure what an image holds and what is shown of it."""
    finite = grey[np.isfinite(grey)] if grey.dtype.kind == "f" else grey
    low, high = (finite.min(), finite.max()) if finite.size else (0, 0)
    return GreyRange(8 * grey.dtype.itemsize, float(low), float(high), limits(grey))


def window(grey: Grey, low: float, high: float) -> Levels:
    """Spread the values between two limits over 8 bits: (H, W) -> (H, W).

    What lies beyond a limit is shown as the limit is. Where both are the same, all is black.
    """
    levels = np.empty(grey.shape, np.uint8)
    factor = 255.0 / (high - low) if high > low else 0.0
    for top in range(0, grey.shape[0], _STRIP_ROWS):
        strip = grey[top : top + _STRIP_ROWS].astype(np.float64)
        strip = np.nan_to_num(strip, nan=low, posinf=high, neginf=low)
        shares = (strip.clip(low, high) - low) * factor
        levels[top : top + _STRIP_ROWS] = np.rint(shares).astype(np.uint8)
    return levels


def spread(grey: Grey) -> NDArray[np.uint8]:
    """Spread grey over 8 bits by its percentiles: (H, W) -> (H, W, 3)."""
    return np.repeat(window(grey, *limits(grey))[:, :, None], 3, axis=2)


def limits(grey: Grey) -> tuple[float, float]:
    """Find the values that become 0 and 255; a few bright pixels alone still count."""
    sample = grey.reshape(-1)[:: -(-grey.size // _SAMPLED)]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 0.0
    low, high = np.percentile(sample, PERCENTILES)
    if high <= low:
        low, high = sample.min(), sample.max()
    return float(low), float(high)
