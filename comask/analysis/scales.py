"""Numbers as colours, the same ones as on the Studio's page: a map, and the scale beside it.

A scale has 256 colours. The kinds:
- "plain": from the smallest value, dark, to the largest, bright;
- "root": the same, with more colours for small values: they follow the square root;
- "signed": blue below zero, white at zero, orange above; both ends are equally far from zero.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

Kind = Literal["plain", "root", "signed"]
Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]  # (h, w, 3) RGB

KINDS: tuple[Kind, ...] = get_args(Kind)
LAST = 255  # the number of the last colour
ENDS = ((33, 102, 172), (247, 247, 247), (179, 88, 6))  # below zero, zero, above
# Okabe and Ito's, one a branch: told apart by nearly all eyes
BRANCHES = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66))

__all__ = ["BRANCHES", "KINDS", "Kind", "Pixels", "Scale", "colour_table"]


@dataclass(frozen=True)
class Scale:
    """The values of the first and the last colour, and how those between are spread."""

    low: float
    high: float
    kind: Kind = "plain"

    @classmethod
    def over(cls, maps: Iterable[NDArray[np.float32]], kind: Kind = "plain") -> "Scale":
        """Span all values of some maps, which then share their colours."""
        ends = [(float(one.min()), float(one.max())) for one in maps if one.size]
        low = min((one for one, _ in ends), default=0.0)
        high = max((one for _, one in ends), default=1.0)
        if kind == "signed":
            most = max(abs(low), abs(high))
            return cls(-most, most, kind)
        return cls(low, high, kind)

    @property
    def limits(self) -> list[float]:
        """Give both ends."""
        return [self.low, self.high]

    def shares(self, values: Floats) -> Floats:
        """Place values along the colours: any shape -> 0 .. 1; all are 0 where both ends meet."""
        if not self.high > self.low:
            return np.zeros(values.shape, np.float32)
        share = ((values - self.low) / (self.high - self.low)).clip(0, 1)
        return np.asarray(np.sqrt(share) if self.kind == "root" else share, np.float32)

    def paint(self, values: Floats) -> Pixels:
        """Colour a map: (h, w) -> (h, w, 3)."""
        steps = (self.shares(values) * LAST).round().astype(np.uint8)
        painted: Pixels = colour_table(self.kind)[steps]
        return painted

    def value(self, share: float) -> float:
        """Say which value lies at a place along the colours, 0 .. 1."""
        place = share**2 if self.kind == "root" else share
        return self.low + place * (self.high - self.low)


def colour_table(kind: Kind) -> Pixels:
    """List the colours of a kind of scale, no two alike: (256, 3)."""
    if kind != "signed":
        steps = np.arange(LAST + 1, dtype=np.uint8)[:, None]
        painted = cv2.applyColorMap(steps, cv2.COLORMAP_VIRIDIS)[:, 0, ::-1].copy()
        twins = (painted[1:] == painted[:-1]).all(axis=1)  # two pairs: nobody could read them back
        painted[1:][twins, 0] += 1
        return np.asarray(painted, np.uint8)
    places = np.linspace(0, 2, LAST + 1)
    channels = [np.interp(places, (0, 1, 2), part) for part in zip(*ENDS, strict=True)]
    return np.stack(channels, axis=1).round().astype(np.uint8)
