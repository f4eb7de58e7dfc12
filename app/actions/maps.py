"""What the branches of an image's levels gave and contributed: maps as packets, files, tables."""

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.canvas.packet import Packer
from app.services import CheckpointFile, Services, StoredImage
from comask.errors import InputError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.analysis import Look
    from comask.analysis.panels import PanelRow

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


def rows(seen: "Look", asked: Asked) -> "tuple[PanelRow, ...]":
    """Draw the maps of every level; raises InputError for an unknown way."""
    from comask.analysis.contribution import contributions_of  # brings torch
    from comask.analysis.panels import activation_panels, contribution_panels

    if asked.what == "activation":
        return activation_panels(seen, asked.how, asked.channel)  # type: ignore[arg-type]
    return contribution_panels(contributions_of(seen), asked.how)  # type: ignore[arg-type]


def packet(services: Services, file: CheckpointFile, image: StoredImage, asked: Asked) -> bytes:
    """Pack all maps of P2 .. P5, with what belongs to them."""
    from comask.analysis.contribution import contributions_of  # brings torch
    from comask.analysis.panels import contribution_panels, wins_of

    seen = services.inspections.look(file, image)
    parts = contributions_of(seen) if asked.what == "contribution" else ()
    drawn = contribution_panels(parts, asked.how) if parts else rows(seen, asked)  # type: ignore[arg-type]
    packer = Packer()
    levels: list[dict[str, Any]] = [
        {
            "level": level.level,
            "stride": level.stride,
            "cells": list(level.cells),
            "channels": level.channels,
            "gate": packer.array(level.gate),
            "branches": list(level.branches),
            "panels": [
                {
                    "name": one.name,
                    "note": one.fact if asked.how == "pca" else "",
                    "values": packer.array(one.values),
                }
                for one in row.panels
            ],
        }
        for level, row in zip(seen.levels, drawn, strict=True)
    ]
    for level, made in zip(levels, parts, strict=False):  # none for activations
        level |= {
            "shares": made.shares(),
            "unexplained": made.unexplained,
            "wins": wins_of(made),
            "winner": packer.array(made.winner),
        }
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
    found = [
        one for row in rows(seen, asked) for one in row.panels if (row.level, one.name) == place
    ]
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
