"""Plotly figures of what the page Inspect shows, for notebooks.

They are of a bounded size, whatever the image's, and can be written as JSON or HTML as they are.
Hovering tells values and the place in image pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from comask.analysis.activation import Look, Reduction
from comask.analysis.contribution import Contribution, contributions_of
from comask.analysis.field_figures import area_ratio_figure, field_figure, fit_figure
from comask.analysis.figure_change import difference_figure
from comask.analysis.figure_parts import (
    COLOURS,
    GRID,
    as_source,
    colour_key,
    colour_of,
    colours_of,
    footnote,
    places,
    pooled,
    sides,
    titled,
)
from comask.analysis.meanings import meaning_of, sentence
from comask.analysis.panels import (
    Measure,
    Panel,
    PanelRow,
    Range,
    activation_panels,
    contribution_panels,
    scales,
)
from comask.analysis.scales import Scale

__all__ = [
    "activation_matrix",
    "area_ratio_figure",
    "contribution_matrix",
    "difference_figure",
    "field_figure",
    "fit_figure",
    "shares_figure",
]

CELL = 150  # pixels: the longer side of a map in a matrix
GAPS = (10, 14)  # pixels between columns and between lines
BAR = 84  # pixels: a scale with its numbers
WINNER = "who wins"
_Scales = dict[tuple[int, str], Scale]


def activation_matrix(
    seen: Look, how: Reduction = "norm", *, channel: int = 0, shared: Range = "level"
) -> go.Figure:
    """Draw every map of every level: a level a line, a map a column.

    Raises InputError for an unknown reduction, channel or range.

    Args:
        seen: of ``look``.
        how: how many channels become one number, see ``reduced``.
        channel: which one, where ``how`` is "channel".
        shared: which maps share a scale: none ("map"), those of a "level", or "all".
    """
    rows = activation_panels(seen, how, channel)
    unit = rows[0].panels[0].unit
    words = f"Bright is much, dark is little. Numbers: {unit}."
    if how == "pca":
        words = f"{sentence(unit)} Colours do not compare between maps."
    figure = _matrix(rows, scales(rows, shared), shared)
    return _framed(figure, rows, "Activation: how strong each map is", words)


def contribution_matrix(
    parts: Look | Sequence[Contribution], measure: Measure = "share", *, shared: Range = "level"
) -> go.Figure:
    """Draw what each branch makes up of every level, and who has the strongest part where.

    Raises InputError for an unknown measure or range.

    Args:
        parts: a look, or its contributions.
        measure: "share", negative where a branch works against the others, or "strength".
        shared: which maps share a scale: none ("map"), those of a "level", or "all".
    """
    known = contributions_of(parts) if isinstance(parts, Look) else tuple(parts)
    rows = contribution_panels(known, measure)
    figure = _matrix(rows, scales(rows, shared), shared, known)
    words = "Bright is a long part, dark a short one."
    if measure == "share":
        words = "Orange: it works along with the sum of all branches; blue: against it; white: it "
        words += "adds nothing. All parts and the bias add up to the fused map."
    most = max(one.unexplained for one in known)
    words += f" Unexplained: at most {100 * most:.5f} %."
    title = "Contribution: how much of each fused map each branch makes up"
    key = f"{WINNER}, the strongest part at each cell:   {colour_key(known[0].branches)}"
    return _framed(figure, rows, title, words, key)


def shares_figure(parts: Look | Sequence[Contribution]) -> go.Figure:
    """Draw which part of each level every branch makes up, as bars that add up to 100 %."""
    known = contributions_of(parts) if isinstance(parts, Look) else tuple(parts)
    levels = [f"P{one.level}" for one in known]
    told = [one.shares() for one in known]
    figure = go.Figure()
    for name in dict.fromkeys(name for shares in told for name in shares):
        values = [100 * shares.get(name, 0.0) for shares in told]
        figure.add_bar(
            x=values,
            y=levels,
            name=name,
            orientation="h",
            marker={"color": colour_of(name, known[0].branches)},
            text=[f"{name} {value:.0f} %" if abs(value) >= 4 else "" for value in values],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            hovertemplate=f"<b>%{{y}} {name}</b> %{{x:.2f}} %<br>{meaning_of(name)}<extra></extra>",
        )
    figure.update_xaxes(
        title_text="part of the fused map, %", ticksuffix=" %", gridcolor=GRID, zeroline=True
    )
    figure.update_yaxes(autorange="reversed", title_text="level")
    figure.update_layout(barmode="relative", legend={"traceorder": "normal"})
    most = max(one.unexplained for one in known)
    words = (
        "The fusing convolution is linear, so a level is an exact sum of one part a branch and a "
        "bias; below zero, a branch works against the others. Unexplained: at most "
        f"{100 * most:.5f} %."
    )
    title = "Which part of each level every branch makes up"
    return titled(figure, title, words, 820, 180 + 56 * len(known))


def _matrix(
    rows: Sequence[PanelRow],
    chosen: _Scales,
    shared: Range,
    parts: Sequence[Contribution] = (),
) -> go.Figure:
    """Lay maps out: axes count image pixels and move together."""
    names = list(dict.fromkeys(panel.name for row in rows for panel in row.panels))
    columns = [*names, WINNER] if parts else names
    wide, high = sides(rows[0].size, CELL)
    across, down = len(columns) * (wide + GAPS[0]), len(rows) * (high + GAPS[1])
    figure = make_subplots(
        rows=len(rows),
        cols=len(columns),
        column_titles=columns,
        row_titles=[f"P{row.level}" for row in rows],
        horizontal_spacing=GAPS[0] / across,
        vertical_spacing=GAPS[1] / down,
    )
    axes: dict[Any, str] = {}
    for line, row in enumerate(rows, start=1):
        for panel in row.panels:
            scale = chosen.get((row.level, panel.name))
            axis = None
            if scale is not None:
                stamp = _stamp(row, panel, shared)
                axis = axes.setdefault(stamp, f"coloraxis{len(axes) + 1}")
            place = {"row": line, "col": 1 + columns.index(panel.name)}
            figure.add_trace(_map(row, panel, axis), **place)
    for line, one in enumerate(parts, start=1):
        figure.add_trace(_winner(rows[line - 1], one), row=line, col=len(columns))
    _move_together(figure, rows)
    _add_scales(figure, rows, chosen, shared, axes)
    return figure


def _stamp(row: PanelRow, panel: Panel, shared: Range) -> tuple[Any, ...]:
    """Name the scale of a panel: what shares it has the same name."""
    return {
        "map": (row.level, panel.name, panel.kind),
        "level": (row.level, panel.kind),
        "all": (panel.kind,),
    }[shared]


def _map(row: PanelRow, panel: Panel, axis: str | None) -> go.Heatmap | go.Image:
    values, factor = pooled(panel.values)
    start, step = places(row.first, row.step, factor)
    where = {"x0": start, "dx": step, "y0": start, "dy": step}
    head = f"<b>P{row.level} {panel.name}</b>, x %{{x:.0f}}, y %{{y:.0f}} px"
    if factor > 1:
        head += f"<br>mean of {factor} x {factor} cells"
    if axis is None:
        painted = (values * 255).round().astype(np.uint8)
        return go.Image(source=as_source(painted), hovertemplate=f"{head}<extra></extra>", **where)
    return go.Heatmap(
        z=values, coloraxis=axis, hovertemplate=f"{head}<br>%{{z:.4g}}<extra></extra>", **where
    )


def _winner(row: PanelRow, one: Contribution) -> go.Heatmap:
    """Draw which branch has the strongest part, at every so many cells."""
    factor = pooled(one.fused)[1]
    numbers = one.winner[factor // 2 :: factor, factor // 2 :: factor]
    start, step = places(row.first, row.step, factor)
    count = len(one.branches)
    colours = [COLOURS[at % len(COLOURS)] for at in range(count)]
    steps = [[(at + end) / count, colour] for at, colour in enumerate(colours) for end in (0, 1)]
    return go.Heatmap(
        z=numbers.astype(np.uint8),
        x0=start,
        dx=step,
        y0=start,
        dy=step,
        zmin=-0.5,
        zmax=count - 0.5,
        colorscale=steps,
        showscale=False,
        text=np.array(one.branches)[numbers].tolist(),
        hovertemplate=f"<b>P{row.level}</b>, x %{{x:.0f}}, y %{{y:.0f}} px<br>%{{text}} wins"
        "<extra></extra>",
    )


def _move_together(figure: go.Figure, rows: Sequence[PanelRow]) -> None:
    height, width = rows[0].size
    common = {"showticklabels": False, "ticks": "", "showgrid": False, "zeroline": False}
    figure.update_xaxes(range=[0, width], matches="x", **common)
    figure.update_yaxes(range=[height, 0], matches="y", **common)


def _add_scales(
    figure: go.Figure,
    rows: Sequence[PanelRow],
    chosen: _Scales,
    shared: Range,
    axes: dict[Any, str],
) -> None:
    """Give every scale its colours; those that several maps share stand at the right."""
    kinds = list(dict.fromkeys(scale.kind for scale in chosen.values()))
    lines = {row.level: line for line, row in enumerate(rows)}
    for row in rows:
        for panel in row.panels:
            scale = chosen.get((row.level, panel.name))
            if scale is None:
                continue
            low, high = figure.get_subplot(1 + lines[row.level], 1).yaxis.domain
            bar: dict[str, Any] = {
                "x": 1.0 + 0.07 * kinds.index(scale.kind),
                "thickness": 12,
                "y": (low + high) / 2 if shared == "level" else 0.5,
                "len": high - low if shared == "level" else 1.0,
                "yanchor": "middle",
                "tickfont": {"size": 10},
                "nticks": 5,
            }
            if len(kinds) > 1:
                word = "parts" if scale.kind == "signed" else "fused"
                bar["title"] = {"text": word, "font": {"size": 10}}
            figure.layout[axes[_stamp(row, panel, shared)]] = {
                "cmin": scale.low,
                "cmax": scale.high if scale.high > scale.low else scale.low + 1,
                "colorscale": colours_of(scale.kind),
                "showscale": shared != "map",
                "colorbar": bar,
            }


def _framed(
    figure: go.Figure, rows: Sequence[PanelRow], title: str, words: str, key: str = ""
) -> go.Figure:
    """Give a matrix its size, its title, and its lines and columns their meaning."""
    wide, high = sides(rows[0].size, CELL)
    axes = [figure.layout[name] for name in figure.layout if name.startswith("coloraxis")]
    bars = {axis.colorbar.x for axis in axes if axis.showscale}
    room = BAR * len(bars) or 16
    width = len(figure.data) // len(rows) * (wide + GAPS[0]) + room + 40
    height = len(rows) * (high + GAPS[1]) + 150
    figure = titled(figure, title, words, width, height + 16 * bool(key), key)
    for note in figure.layout.annotations:
        note.font.size = 12
        if note.text in {f"P{row.level}" for row in rows}:  # at the left, upright
            note.update(x=-0.005, xanchor="right", textangle=0)
    figure.update_layout(margin={"l": 40, "r": room, "b": 16})
    names = dict.fromkeys(panel.name for row in rows for panel in row.panels)
    footnote(figure, sentence("; ".join(f"{name}: {meaning_of(name)}" for name in names)))
    return figure
