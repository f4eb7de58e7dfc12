"""The maps of a look side by side: level by level, each with what it is, for pictures and figures.

Letters: h x w cells of a level without its padding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from comask.analysis.activation import LevelLook, Look, Reduction, components, reduced
from comask.analysis.contribution import Contribution
from comask.analysis.meanings import meaning_of, percent, unit_of
from comask.analysis.scales import Kind, Scale
from comask.errors import InputError
from comask.structures import Size

Floats = NDArray[np.float32]
Measure = Literal["share", "strength"]
Range = Literal["map", "level", "all"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
RANGES: tuple[Range, ...] = get_args(Range)

__all__ = [
    "MEASURES",
    "RANGES",
    "Measure",
    "Panel",
    "PanelRow",
    "Range",
    "activation_panels",
    "contribution_panels",
    "scales",
    "wins_of",
]


@dataclass(frozen=True, eq=False)
class Panel:
    """One map of a level.

    name     "8x", "fused", ...
    values   (h, w), or (h, w, 3) in 0 .. 1 where it is colours itself
    kind     of its scale; None where it is colours itself
    meaning  what it is, without a full stop
    unit     what its numbers are
    topic    a word for its title
    fact     a number that belongs to it, or ""
    """

    name: str
    values: Floats
    kind: Kind | None
    meaning: str
    unit: str
    topic: str
    fact: str = ""


@dataclass(frozen=True, eq=False)
class PanelRow:
    """The maps of one level.

    level   2 .. 5, of P2 .. P5
    stride  network pixels between two cells
    scale   network pixels an image pixel
    size    (H, W) of the image
    """

    level: int
    stride: int
    scale: float
    size: Size
    panels: tuple[Panel, ...]

    @property
    def first(self) -> float:
        """Say where cell 0 begins, in image pixels: cell i looks at network pixel stride x i."""
        return (0.5 - self.stride / 2) / self.scale

    @property
    def step(self) -> float:
        """Say how wide a cell is, in image pixels."""
        return self.stride / self.scale


def activation_panels(
    seen: Look, how: Reduction = "norm", channel: int = 0
) -> tuple[PanelRow, ...]:
    """Draw every map of every level as one number a cell, P2 first; see ``reduced``.

    Raises InputError for an unknown way or channel.
    """
    return tuple(
        PanelRow(
            level=one.level,
            stride=one.stride,
            scale=seen.scale,
            size=seen.size,
            panels=tuple(_activation(one, name, how, channel) for name in one.names),
        )
        for one in seen.levels
    )


def contribution_panels(
    parts: Sequence[Contribution], measure: Measure = "share"
) -> tuple[PanelRow, ...]:
    """Draw what each branch makes up at every level: "share", with a sign, or "strength".

    The bias follows the branches where shares are drawn, the fused map is the last. Raises
    InputError for another measure.
    """
    if measure not in MEASURES:
        raise InputError(f"a contribution is drawn as {' or '.join(MEASURES)}, got {measure!r:.40}")
    return tuple(
        PanelRow(
            level=one.level,
            stride=one.stride,
            scale=one.scale,
            size=one.size,
            panels=tuple(_contribution(one, measure)),
        )
        for one in parts
    )


def scales(rows: Sequence[PanelRow], shared: Range = "level") -> dict[tuple[int, str], Scale]:
    """Choose the scale of each panel, by level and name; those that are colours have none.

    Panels of one kind share their scale over the "level" or over "all" levels; the scale of a "map"
    spans that map alone. Raises InputError for another range.
    """
    if shared not in RANGES:
        raise InputError(f"a scale spans a map, a level or all, got {shared!r:.40}")
    groups: dict[tuple[object, ...], list[tuple[int, Panel]]] = {}
    for row in rows:
        for panel in row.panels:
            stamps = {"map": (row.level, panel.name), "level": (row.level,), "all": ()}
            if panel.kind is not None:
                key = (*stamps[shared], panel.kind)
                groups.setdefault(key, []).append((row.level, panel))
    found = {}
    for group in groups.values():
        kind = group[0][1].kind
        assert kind is not None
        scale = Scale.over([panel.values for _, panel in group], kind)
        found.update({(level, panel.name): scale for level, panel in group})
    return found


def _activation(one: LevelLook, name: str, how: Reduction, channel: int) -> Panel:
    channels, unit = one.map(name), unit_of(how, one.channels, channel)
    if how == "pca":
        colours, shares = components(channels)
        held = ", ".join(percent(share, 0) for share in shares)
        fact = f"Red, green and blue hold {held} of the variance."
        return Panel(name, colours, None, meaning_of(name), unit, "activation", fact)
    values = reduced(channels, how, channel)
    return Panel(name, values, "plain", meaning_of(name), unit, "activation")


def _contribution(one: Contribution, measure: Measure) -> Iterator[Panel]:
    shares, wins = one.shares(), wins_of(one)
    signed = measure == "share"
    kind: Kind = "signed" if signed else "plain"
    unit = "the part along the fused map" if signed else "length of the branch's part"
    topic = "contribution" if signed else "strength of its contribution"
    for name, part in zip(one.branches, one.share if signed else one.strength, strict=True):
        fact = (
            f"It makes up {percent(shares[name])} of P{one.level}, and has the strongest part at "
            f"{percent(wins[name], 0)} of the cells."
        )
        yield Panel(name, part, kind, meaning_of(name), unit, topic, fact)
    if signed:
        fact = f"It makes up {percent(shares['bias'])} of P{one.level}."
        yield Panel("bias", one.bias, kind, meaning_of("bias"), unit, topic, fact)
    fact = f"Unexplained by the sum of all parts: {100 * one.unexplained:.5f} %."
    # plain beside signed parts, so that its scale is its own and does not pale them
    unit = "length of the fused map"
    yield Panel("fused", one.fused, "plain", meaning_of("fused"), unit, "the whole", fact)


def wins_of(one: Contribution) -> dict[str, float]:
    """Say at which share of a level's cells each branch has the strongest part: 0 .. 1."""
    counts = np.bincount(one.winner.ravel(), minlength=len(one.branches)) / one.winner.size
    return dict(zip(one.branches, counts.tolist(), strict=True))
