"""What the branches of an image's levels gave and contributed: maps as packets, files, tables."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.canvas.packet import Packer
from app.services import CheckpointFile, Services, StoredImage
from comask.errors import InputError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.analysis import Contribution, Look
    from comask.analysis.activation import LevelLook

What = Literal["activation", "contribution"]
Measure = Literal["share", "strength"]

SCHEMA = 1
MEASURES: tuple[Measure, ...] = ("share", "strength")


@dataclass(frozen=True)
class Asked:
    """Which maps are meant.

    how      "activation": how channels become one number; "contribution": share or strength
    channel  where ``how`` is "channel"
    """

    what: What
    how: str
    channel: int = 0

    @property
    def token(self) -> str:
        """Name the question."""
        return f"{self.what}-{self.how}" + (f"-{self.channel}" if self.how == "channel" else "")


@dataclass(frozen=True)
class Panel:
    """One map: (h, w), or (h, w, 3) in 0 .. 1 for colours; ``note`` says more of it."""

    name: str
    values: NDArray[np.float32]
    note: str = ""


def panels(seen: "Look", number: int, asked: Asked) -> tuple[Panel, ...]:
    """Draw the maps of one level; raises InputError for an unknown way."""
    from comask.analysis import contribution  # brings torch

    level = seen.level(number)
    if asked.what == "activation":
        return tuple(_activation(level, name, asked) for name in level.names)
    if asked.how not in MEASURES:
        raise InputError(f"a contribution is drawn as {' or '.join(MEASURES)}")
    return _contribution(contribution.of_level(level, seen.scale, seen.size), asked)


def packet(services: Services, file: CheckpointFile, image: StoredImage, asked: Asked) -> bytes:
    """Pack all maps of P2 .. P5, with what belongs to them."""
    from comask.analysis import contribution  # brings torch

    seen = services.inspections.look(file, image)
    packer = Packer()
    levels = []
    for level in seen.levels:
        head: dict[str, Any] = {
            "level": level.level,
            "stride": level.stride,
            "cells": list(level.cells),
            "channels": level.channels,
            "gate": packer.array(level.gate),
        }
        if asked.what == "contribution":
            made = contribution.of_level(level, seen.scale, seen.size)
            shown: Sequence[Panel] = _contribution(made, asked)
            head |= {
                "shares": made.shares(),
                "unexplained": made.unexplained,
                "wins": _wins(made),
                "winner": packer.array(made.winner),
            }
        else:
            shown = panels(seen, level.level, asked)
        head["panels"] = [
            {"name": one.name, "note": one.note, "values": packer.array(one.values)}
            for one in shown
        ]
        head["branches"] = list(level.branches)
        levels.append(head)
    return packer.pack({**_about(seen, asked), "levels": levels})


def download(
    services: Services,
    file: CheckpointFile,
    image: StoredImage,
    asked: Asked,
    place: tuple[int, str],
    kind: Literal["npy", "csv"],
) -> bytes:
    """Write one map as a file: of level and name ``place``; cells, padding left out."""
    seen = services.inspections.look(file, image)
    found = [one for one in panels(seen, place[0], asked) if one.name == place[1]]
    if not found:
        raise InputError(f"P{place[0]} has no map of this name")
    return as_file(found[0].values, kind)


def as_file(values: NDArray[np.float32], kind: Literal["npy", "csv"]) -> bytes:
    """Write a map, (h, w) or (h, w, 3): as NumPy does, or a line a row."""
    if kind == "npy":
        stream = io.BytesIO()
        np.save(stream, values)
        return stream.getvalue()
    text = io.StringIO()
    flat = values.reshape(values.shape[0], -1)
    csv.writer(text).writerows([[f"{value:.9g}" for value in row] for row in flat.tolist()])
    return text.getvalue().encode()


def _about(seen: "Look", asked: Asked) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "what": asked.what,
        "how": asked.how,
        "channel": asked.channel,
        "scale": seen.scale,
        "size": list(seen.size),
    }


def _activation(level: "LevelLook", name: str, asked: Asked) -> Panel:
    from comask.analysis import components, reduced  # brings torch

    channels = level.map(name)
    if asked.how == "pca":
        values, shares = components(channels)
        held = ", ".join(f"{100 * share:.0f} %" for share in shares)
        return Panel(name, values, f"red, green and blue hold {held} of the variance")
    return Panel(name, reduced(channels, asked.how, asked.channel))  # type: ignore[arg-type]


def _contribution(made: "Contribution", asked: Asked) -> tuple[Panel, ...]:
    parts = made.share if asked.how == "share" else made.strength
    drawn = [Panel(name, part) for name, part in zip(made.branches, parts, strict=True)]
    if asked.how == "share":
        drawn.append(Panel("bias", made.bias))
    return (*drawn, Panel("fused", made.fused))


def _wins(made: "Contribution") -> dict[str, float]:
    counts = np.bincount(made.winner.ravel(), minlength=len(made.branches)) / made.winner.size
    return dict(zip(made.branches, counts.tolist(), strict=True))
