"""Plotly figures of receptive fields: one field, tables of their sizes, and objects beside them."""

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from comask.analysis.activation import branch_names
from comask.analysis.field_fit import Fit
from comask.analysis.field_marks import FieldMarks, marks_of
from comask.analysis.field_table import FieldRow
from comask.analysis.field_values import BranchField
from comask.analysis.figure_parts import (
    DASHES,
    GREY,
    GRID,
    SYMBOLS,
    Pixels,
    colour_of,
    lay_photo,
    outlined,
    over_image,
    places,
    plain,
    pooled,
    titled,
)
from comask.analysis.meanings import meaning_of
from comask.analysis.scales import LAST, colour_table
from comask.errors import InputError

ImageBox = tuple[float, float, float, float]  # x1, y1, x2, y2 in image pixels

LINES = ("#ffffff", "#f0e442", "#e69f00")  # of the contours, the smallest first
REACH, OBJECT = "#56b4e9", "#cc79a7"
FINE = 220  # numbers along a field's longer side
MARGIN = 0.12  # around what is shown
_PATHS = {
    "own": "own path (deeper branches are constants)",
    "cascade": "through the cascade (deeper branches move too)",
}
_NORMS = {
    "frozen": "norm statistics frozen, so it is local",
    "live": "norm statistics live, so every pixel counts a little",
}

__all__ = ["area_ratio_figure", "field_figure", "fit_figure"]


def field_figure(
    field: BranchField, image: Pixels | None = None, *, box: ImageBox | None = None
) -> go.Figure:
    """Draw a receptive field in image pixels: heat, contours, and what convolutions can reach.

    Raises InputError for another image than the field's.

    Args:
        field: of a place, of an object, or an average over many, which has no image of its own.
        image: (H, W, 3) RGB, drawn below the field.
        box: of the object that was asked for, whose size is told beside the field's.
    """
    size = getattr(field, "size", None)
    if image is not None and (size is None or image.shape != (*size, 3)):
        raise InputError(f"the field is of an image of size {size}, got {image.shape}")
    marks = marks_of(field)
    figure = go.Figure(_heat(field, marks, see_through=image is not None))
    if image is not None:
        lay_photo(figure, image)
    for one, colour in zip(reversed(marks.contours), reversed(LINES), strict=True):
        name = f"holds {100 * one.share:g} %: side {field.side(one.share):.0f} px"
        figure.add_trace(outlined(one.polygons, name, colour))
    reach = f"theory: {marks.box[2] - marks.box[0]:.0f} x {marks.box[3] - marks.box[1]:.0f} px"
    figure.add_trace(outlined([_corners(marks.box)], reach, REACH, "dash"))
    if box is not None:
        side = math.sqrt(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]))
        figure.add_trace(outlined([_corners(box)], f"the object: side {side:.0f} px", OBJECT))
    figure.add_trace(_middle(marks))
    moved = "pixels" if field.question.frame == "image" else "cells of the level"
    words = (
        f"Which {moved} decide what {meaning_of(field.branch)} gives there; bright ones move it "
        f"most. {_PATHS[field.question.path].capitalize()}; {_NORMS[field.question.norm]}. Sides "
        "are of squares as large."
    )
    if field.mass == 0:
        words = f"Nothing moves what {meaning_of(field.branch)} gives there."
    title = f"P{field.level} · {field.branch} · receptive field"
    return over_image(figure, title, words, _window(field, marks, box))


def area_ratio_figure(rows: Sequence[FieldRow]) -> go.Figure:
    """Draw how much of an image the fields cover: a level a part, a branch and checkpoint a line.

    Raises InputError where there are no rows.
    """
    if not rows:
        raise InputError("there are no rows to draw")
    levels = sorted({row.level for row in rows})
    checkpoints = list(dict.fromkeys(row.checkpoint for row in rows))
    figure = make_subplots(
        rows=1,
        cols=len(levels),
        shared_yaxes=True,
        horizontal_spacing=0.02,
        subplot_titles=[f"P{level}" for level in levels],
    )
    known: set[str] = set()
    for row in rows:
        if not any(row.ratios.values()):  # no pixel moves it
            continue
        at = checkpoints.index(row.checkpoint)
        name = row.branch if len(checkpoints) == 1 else f"{row.branch}, {plain(row.checkpoint)}"
        trace = go.Scatter(
            x=[f"{100 * share:g} %" for share in row.ratios],
            y=[100 * ratio for ratio in row.ratios.values()],
            name=name,
            legendgroup=name,
            showlegend=name not in known,
            mode="lines+markers",
            line={
                "color": colour_of(row.branch, branch_names(row.branches)),
                "dash": DASHES[at % len(DASHES)],
            },
            marker={"symbol": SYMBOLS[at % len(SYMBOLS)], "size": 7},
            hovertemplate=f"<b>P{row.level} {name}</b><br>%{{x}} of the influence in %{{y:.2f}} % "
            f"of the image<br>90 % in a side of {_side(row)} px, theory {row.theoretical:.0f} px"
            "<extra></extra>",
        )
        known.add(name)
        figure.add_trace(trace, row=1, col=1 + levels.index(row.level))
    figure.update_yaxes(type="log", dtick=1, gridcolor=GRID, ticksuffix=" %")
    figure.update_yaxes(title_text="share of the image", col=1)
    figure.update_xaxes(gridcolor=GRID, type="category", tickangle=0, title_text="influence")
    words = (
        "The smallest centred square that holds so much of all influence, as a share of the image "
        "(high-contribution area ratio): low means that few pixels near the middle decide."
    )
    if len({row.question for row in rows}) == 1:
        asked = rows[0].question
        words += f" {_PATHS[asked.path].capitalize()}; {_NORMS[asked.norm]}."
    figure = titled(figure, "How much of an image each branch looks at", words, 980, 500)
    figure.update_layout(margin={"t": figure.layout.margin.t + 24})
    return figure


def fit_figure(
    fits: Sequence[Fit],
    found: Sequence[bool] | None = None,
    *,
    branches: Sequence[str] = branch_names(4),
) -> go.Figure:
    """Draw objects' sizes beside the fields of the branches that speak for them.

    Objects without a field are left out, which the title says. Raises InputError unless ``found``
    has one entry an object.

    Args:
        fits: of ``comask.analysis.field_fit.fits``, of one image or of many.
        found: whether each object was found; missed ones are drawn as crosses.
        branches: of the checkpoint, which gives each its colour.
    """
    if found is not None and len(found) != len(fits):
        raise InputError(f"{len(fits)} objects need as many answers, got {len(found)}")
    seen = [True] * len(fits) if found is None else list(found)
    figure = go.Figure()
    shown = [(one, was) for one, was in zip(fits, seen, strict=True) if one.field > 0]
    ends = [side for one, _ in shown for side in (one.field, one.size)] or [1.0]
    low, high = min(ends) / 1.3, max(ends) * 1.3
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line={"color": GREY, "dash": "dash", "width": 1},
        name="as large as the field",
        hoverinfo="skip",
    )
    for branch in dict.fromkeys([*branches, *(one.branch for one in fits)]):
        colour = colour_of(branch, branches)
        for was in (True, False):
            some = [one for one, kept in shown if one.branch == branch and kept == was]
            name = branch if found is None else f"{branch}, {'found' if was else 'missed'}"
            if some:
                figure.add_trace(_objects(some, name, colour, "circle" if was else "x"))
    for axis in (figure.update_xaxes, figure.update_yaxes):
        axis(type="log", dtick="D2", gridcolor=GRID, range=[math.log10(low), math.log10(high)])
    figure.update_xaxes(title_text="side of the field that holds 90 %, image pixels")
    figure.update_yaxes(title_text="side of the object, image pixels")
    words = (
        "Each point is an object: its size, and the receptive field of the branch that makes up "
        "most of the feature map under it. Above the line, the object is larger than what that "
        "branch looks at."
    )
    if len(shown) < len(fits):
        words += f" Objects without a field, not drawn: {len(fits) - len(shown)}."
    return titled(figure, "Do objects fit what the network looks at?", words, 720, 640)


def _heat(field: BranchField, marks: FieldMarks, *, see_through: bool) -> go.Heatmap:
    """Draw the part of a field that is not zero; colours follow the square root."""
    rows, columns = (np.flatnonzero(field.map.any(axis=axis)) for axis in (1, 0))
    top, left = (int(one[0]) if len(one) else 0 for one in (rows, columns))
    bottom, right = (int(one[-1]) + 1 if len(one) else 1 for one in (rows, columns))
    values, factor = pooled(field.map[top:bottom, left:right], FINE)
    most = float(values.max()) or 1.0
    x0, step = places(marks.first[0] + left * marks.step, marks.step, factor)
    y0, _ = places(marks.first[1] + top * marks.step, marks.step, factor)
    stops = range(0, LAST + 1, 17)
    table = colour_table("root")
    colours = [
        [
            at / LAST,
            f"rgba({','.join(str(part) for part in table[at])},"
            f"{0.85 * math.sqrt(at / LAST) if see_through else 1:.3f})",
        ]
        for at in stops
    ]
    quarters = (0, 0.25, 0.5, 0.75, 1)
    return go.Heatmap(
        z=np.sqrt(values / most),
        customdata=values,
        x0=x0,
        dx=step,
        y0=y0,
        dy=step,
        zmin=0,
        zmax=1,
        colorscale=colours,
        colorbar={
            "title": {"text": "influence: sum of |gradient|", "side": "right"},
            "tickvals": list(quarters),
            "ticktext": [f"{most * place**2:.3g}" for place in quarters],
            "thickness": 14,
        },
        hovertemplate="x %{x:.0f}, y %{y:.0f} px<br>%{customdata:.3g}<extra></extra>",
    )


def _middle(marks: FieldMarks) -> go.Scatter:
    return go.Scatter(
        x=[marks.middle[0]],
        y=[marks.middle[1]],
        mode="markers",
        name="asked here",
        marker={"symbol": "cross-thin", "size": 13, "line": {"color": "#ffffff", "width": 2}},
        hoverinfo="skip",
    )


def _corners(box: ImageBox) -> NDArray[np.float64]:
    x1, y1, x2, y2 = box
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64)


def _window(field: BranchField, marks: FieldMarks, box: ImageBox | None) -> ImageBox:
    """Choose what is shown at first: what is reached, and the object, with a margin."""
    size = getattr(field, "size", None)
    if size is not None and field.is_global:
        return 0.0, 0.0, float(size[1]), float(size[0])
    shown = np.array([marks.box, box or marks.box])
    low, high = shown[:, :2].min(axis=0), shown[:, 2:].max(axis=0)
    margin = max(4.0, MARGIN * float((high - low).max()))
    low, high = low - margin, high + margin
    if size is not None:  # no more than the image
        limit = np.array([size[1], size[0]], np.float64)
        low, high = np.maximum(low, 0), np.minimum(high, limit)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _objects(some: Sequence[Fit], name: str, colour: str, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=[one.field for one in some],
        y=[one.size for one in some],
        mode="markers",
        name=name,
        marker={"color": colour, "symbol": symbol, "size": 7, "opacity": 0.75},
        text=[
            f"P{one.level}, {one.branch} makes up {100 * one.share:.0f} % under it" for one in some
        ],
        hovertemplate="object %{y:.0f} px, field %{x:.0f} px<br>%{text}<extra></extra>",
    )


def _side(row: FieldRow) -> str:
    return f"{row.sides[0.9]:.0f}" if 0.9 in row.sides else "?"
