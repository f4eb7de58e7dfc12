"""What the page Inspect shows, as pictures that explain themselves: (H, W, 3) in, (h, w, 3) out.

Each says in words what it means, and what its colours are; see ``comask.analysis.drawing``.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from comask.analysis.captions import Caption
from comask.analysis.contribution import Contribution
from comask.analysis.difference import Difference
from comask.analysis.drawing import (
    SheetRow,
    draw,
    draw_branches,
    draw_colours,
    draw_field,
    draw_lines,
    draw_sheet,
)
from comask.analysis.effective_field import EffectiveField
from comask.analysis.field_marks import FieldMarks
from comask.analysis.meanings import meaning_of, sentence
from comask.analysis.outlines import after_lines, before_lines, change_key
from comask.analysis.panels import Panel, PanelRow, Range, wins_of
from comask.analysis.registration import Map, over_image
from comask.analysis.scales import Scale
from comask.predict import Prediction

Pixels = NDArray[np.uint8]
Key = tuple[int, str]  # level and name of a map

_PATHS = {
    "own": "Own path: what deeper branches gave counts as constant.",
    "cascade": "Through the cascade: deeper branches move too.",
}
_NORMS = {
    "frozen": "Norm statistics count as constant, so the field is local.",
    "live": "Norm statistics move too, so every pixel counts a little.",
}
_RANGES: dict[Range, str] = {
    "map": "The scale spans this map alone.",
    "level": "One scale for all such maps of the level.",
    "all": "One scale for all such maps of all levels.",
}

__all__ = [
    "branches_picture",
    "change_picture",
    "field_over_image",
    "field_picture",
    "field_sheet",
    "panel_picture",
    "panel_sheet",
]


def panel_picture(
    pixels: Pixels, row: PanelRow, panel: Panel, scale: Scale | None, shared: Range = "level"
) -> Pixels:
    """Draw one map of a level over its image; ``scale`` is None where it is colours itself."""
    laid = over_image(panel.values, row.stride, row.scale, row.size)
    title = f"P{row.level} · {panel.name} · {panel.topic}"
    words = sentence(panel.meaning)
    height, width = panel.values.shape[:2]
    if scale is None:
        caption = Caption(title, "", f"{words} {sentence(panel.unit)}", panel.fact)
        return draw_colours(pixels, laid, caption)
    fact = f"Numbers: {panel.unit}, at {width} x {height} cells. {_RANGES[shared]} {panel.fact}"
    return draw(pixels, laid, scale, Caption(title, "", f"{words} {_colours(scale)}", fact))


def branches_picture(pixels: Pixels, one: Contribution) -> Pixels:
    """Draw which branch has the strongest part at each place."""
    chosen = np.eye(len(one.branches), dtype=np.float32)[one.winner]  # (h, w, K)
    laid = over_image(chosen, one.stride, one.scale, one.size).reshape(*one.size, -1)
    counts = ", ".join(f"{name} at {100 * won:.0f} %" for name, won in wins_of(one).items())
    caption = Caption(
        f"P{one.level} · who wins where",
        "",
        "Each place has the colour of the branch with the strongest part in the fused map there.",
        f"Of {one.winner.shape[1]} x {one.winner.shape[0]} cells: {counts}.",
    )
    return draw_branches(pixels, laid.argmax(axis=2), one.branches, caption)


def panel_sheet(
    rows: Sequence[PanelRow], chosen: Mapping[Key, Scale], title: str, shared: Range = "level"
) -> Pixels:
    """Draw the maps of all levels at a glance: a level a line, a map a column."""
    lines = []
    for row in rows:
        panels = [
            (
                panel.name,
                over_image(panel.values, row.stride, row.scale, row.size),
                chosen.get((row.level, panel.name)),
            )
            for panel in row.panels
        ]
        lines.append(SheetRow(f"P{row.level}", panels))
    signed = any(scale.kind == "signed" for scale in chosen.values())
    words = _SIGNED if signed else "Each small picture is one map over the whole image. " + _PLAIN
    names = dict.fromkeys(panel.name for row in rows for panel in row.panels)
    told = "; ".join(f"{name}: {meaning_of(name)}" for name in names)
    return draw_sheet(lines, Caption(title, "", f"{words} {_RANGES[shared]}", sentence(told)))


def field_over_image(field: EffectiveField) -> Map:
    """Lay a field over its image: (H, W); each cell a square where it counts cells."""
    if field.question.frame == "image":
        return over_image(field.map, 1, field.scale, field.size)
    rows, columns = (
        _cell_under(length, field, count)
        for length, count in zip(field.size, field.map.shape, strict=True)
    )
    return np.ascontiguousarray(field.map[rows[:, None], columns])


def field_picture(
    pixels: Pixels,
    field: EffectiveField,
    marks: FieldMarks,
    outlines: Sequence[NDArray[np.floating]] = (),
    side: float | None = None,
) -> Pixels:
    """Draw one receptive field over its image, with contours and what it can reach at all.

    Args:
        pixels: the image.
        field: its field.
        marks: of the field.
        outlines: of the object that was asked for, (n, 2) x, y in image pixels.
        side: of that object, image pixels.
    """
    what = meaning_of(field.branch)
    where = "inside the object" if outlines else "at the cross"
    moved = "pixels" if field.question.frame == "image" else "cells of the level"
    words = (
        f"Which {moved} decide what {what} gives {where}: bright ones move it most. Lines hold "
        "50, 90 and 99 % of all influence."
    )
    if field.mass == 0:
        words = f"Nothing moves what {what} gives {where}: it is the same whatever the image."
    lengths = [f"{100 * share:g} % in {field.side(share):.0f}" for share in (0.5, 0.9, 0.99)]
    reach = f"theory {marks.box[2] - marks.box[0]:.0f} x {marks.box[3] - marks.box[1]:.0f}"
    fact = f"Sides of squares as large, in image pixels: {', '.join(lengths)}; {reach}."
    if side is not None:
        fact += f" The object's own side: {side:.0f}."
    fact += f" {_PATHS[field.question.path]} {_NORMS[field.question.norm]}"
    caption = Caption(f"P{field.level} · {field.branch} · receptive field", "", words, fact)
    return draw_field(pixels, field_over_image(field), marks, caption, outlines)


def field_sheet(fields: Sequence[EffectiveField], title: str) -> Pixels:
    """Draw the receptive fields of all levels and branches at a glance, each in its own scale."""
    lines: dict[int, list[tuple[str, Map, Scale | None]]] = {}
    for one in fields:
        scale = Scale(0.0, float(one.map.max()), "root")
        name = one.branch if one.mass > 0 else f"{one.branch}: no pixel"
        lines.setdefault(one.level, []).append((name, field_over_image(one), scale))
    names = dict.fromkeys(one.branch for one in fields)
    told = "; ".join(f"{name}: {meaning_of(name)}" for name in names)
    words = (
        "Each small picture is the whole image: bright pixels decide what that branch gives. Each "
        "has a scale of its own, so sizes compare and brightness does not."
    )
    rows = [SheetRow(f"P{level}", panels) for level, panels in lines.items()]
    return draw_sheet(rows, Caption(title, "", words, sentence(told)), bars=False)


def change_picture(
    pixels: Pixels, before: Prediction, after: Prediction, told: Difference, off: str
) -> Pixels:
    """Draw what became of the instances of an image; ``off`` says what is switched off."""
    counts = told.count()
    caption = Caption(
        "Ablation · what changes",
        "",
        f"Switched off: {off}. Each line is the outline of an instance.",
        f"{len(before)} instances became {len(after)}: {counts['lost']} lost, "
        f"{counts['gained']} gained, {counts['moved']} moved, {counts['kept']} kept.",
    )
    panels = [
        ("as the checkpoint has it", before_lines(before, told)),
        ("with the switches", after_lines(before, after, told)),
    ]
    return draw_lines(pixels, panels, caption, change_key(told))


_PLAIN = "Bright is much, dark is little."
_SIGNED = (
    "Orange: it works along with the sum of all branches; blue: against it; white: it adds nothing."
)


def _colours(scale: Scale) -> str:
    return _SIGNED if scale.kind == "signed" else _PLAIN


def _cell_under(length: int, field: EffectiveField, count: int) -> NDArray[np.int64]:
    """Find the cell whose square each pixel's centre lies in: (length,)."""
    centres = (np.arange(length) + 0.5) * field.scale - 0.5  # network pixels
    return np.floor(centres / field.stride + 0.5).astype(np.int64).clip(0, count - 1)
