"""What branches gave and contributed, as files: ``--what activation,contribution``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from comask.cli.shared import say
from comask.cli.subject import Subject

if TYPE_CHECKING:
    from comask.analysis import Contribution
    from comask.analysis.activation import Reduction
    from comask.analysis.panels import Measure, PanelRow, Range
    from comask.analysis.scales import Scale


def write_activation(subject: Subject) -> None:
    """Write every map of every level, and what the attention multiplies channels by."""
    from comask.analysis import panels, pictures

    given, seen = subject.given, subject.look
    how: Reduction = given.reduction or "norm"
    shared: Range = given.scale or "level"
    rows = panels.activation_panels(seen, how, given.channel or 0)
    chosen = panels.scales(rows, shared)
    for row in rows:
        for panel in row.panels:
            name = f"P{row.level}-{panel.name}"
            scale = chosen.get((row.level, panel.name))
            subject.keep(panel.values, "activation", f"{name}.npy")
            drawn = pictures.panel_picture(subject.pixels, row, panel, scale, shared)
            subject.draw(drawn, "activation", f"{name}.png")
    title = "Activation: how strong each map is"
    subject.draw(pictures.panel_sheet(rows, chosen, title, shared), "activation", "all.png")
    levels = [
        _level(row, chosen) | {"channels": one.channels, "gate": _gate(one.gate)}
        for row, one in zip(rows, seen.levels, strict=True)
    ]
    channel = given.channel or 0 if how == "channel" else None
    subject.tell({"reduction": how, "channel": channel, "levels": levels}, "activation.json")
    for row in rows:
        means = "  ".join(f"{panel.name} {panel.values.mean():.3g}" for panel in row.panels)
        say(f"P{row.level}  mean activation  {means}")


def write_contribution(subject: Subject) -> None:
    """Write what each branch makes up of every fused map, and how much is unexplained."""
    from comask.analysis import contributions_of, panels, pictures

    parts = contributions_of(subject.look)
    levels = _write_parts(subject, parts, "share")
    _write_parts(subject, parts, "strength")
    for level, one in zip(levels, parts, strict=True):
        subject.keep(one.winner, f"P{one.level}-winner.npy")
        subject.draw(pictures.branches_picture(subject.pixels, one), f"P{one.level}-winner.png")
        level |= {
            "limits": level["maps"][one.branches[0]]["limits"],
            "shares": one.shares(),
            "wins": panels.wins_of(one),
            "unexplained": one.unexplained,
        }
    subject.tell({"levels": levels}, "contributions.json")
    for one in parts:
        shares = "  ".join(f"{name} {100 * value:6.1f} %" for name, value in one.shares().items())
        say(f"P{one.level}  {shares}  unexplained {100 * one.unexplained:.5f} %")


def _write_parts(
    subject: Subject, parts: "tuple[Contribution, ...]", measure: "Measure"
) -> list[dict[str, Any]]:
    """Write the maps of one measure; gives what each level says of them."""
    from comask.analysis import panels, pictures

    shared: Range = subject.given.scale or "level"
    rows = panels.contribution_panels(parts, measure)
    chosen = panels.scales(rows, shared)
    for row in rows:
        for panel in row.panels:
            if measure == "strength" and panel.name == "fused":
                continue  # the same as beside the shares
            name = f"P{row.level}-{panel.name}" + ("-strength" if measure == "strength" else "")
            subject.keep(panel.values, f"{name}.npy")
            scale = chosen[row.level, panel.name]
            drawn = pictures.panel_picture(subject.pixels, row, panel, scale, shared)
            subject.draw(drawn, f"{name}.png")
    if measure == "share":
        title = "Contribution: how much of each fused map each branch makes up"
        subject.draw(pictures.panel_sheet(rows, chosen, title, shared), "contributions.png")
    return [_level(row, chosen) for row in rows]


def _level(row: "PanelRow", chosen: "Mapping[tuple[int, str], Scale]") -> dict[str, Any]:
    """Write what every level of maps says of itself."""
    maps = {}
    for panel in row.panels:
        scale = chosen.get((row.level, panel.name))
        maps[panel.name] = {
            "smallest": float(panel.values.min()),
            "largest": float(panel.values.max()),
            "mean": float(panel.values.mean(dtype=np.float64)),
            "limits": None if scale is None else scale.limits,
            "unit": panel.unit,
        }
    return {
        "level": f"P{row.level}",
        "stride": row.stride,
        "scale": row.scale,
        "cells": list(row.panels[0].values.shape[:2]),
        "maps": maps,
    }


def _gate(values: NDArray[np.float32]) -> dict[str, Any]:
    """Describe the attention's weights, one a channel."""
    return {
        "lowest": float(values.min()),
        "median": float(np.median(values)),
        "highest": float(values.max()),
        "values": values.tolist(),
    }
