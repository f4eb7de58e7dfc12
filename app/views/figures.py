"""Figures that Plotly draws on the page: built from plain numbers, in greys and few colours."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

MOST = 8  # classes in one figure; of more, the ones with the most truth come first in the list
# Okabe and Ito's, which people of every colour vision tell apart, with kinds of line beside them
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#8a8a92", "#F0E442")
DASHES = ("solid", "dash", "dot", "dashdot")
GREY = "#8a8a92"  # of text and lines: legible on light and on dark


def curves(classes: Sequence[Mapping[str, Any]], category: int | None = None) -> go.Figure:
    """Draw precision over recall: the mean of all classes in bold, then classes one by one.

    Args:
        classes: Of ``/api/curves``: id, name, recall (101), precision (101), ap.
        category: The one class to draw beside the mean; None for the first few.
    """
    known = [one for one in classes if one["ap"] is not None]
    figure = go.Figure()
    chosen = [one for one in known if category is None or one["id"] == category][:MOST]
    if len(known) > 1:
        recall = known[0]["recall"]
        mean = [
            sum(column) / len(known)
            for column in zip(*(k["precision"] for k in known), strict=True)
        ]
        figure.add_trace(_line("all classes", recall, mean, GREY, "solid", 3.5))
    for at, one in enumerate(chosen):
        colour, dash = COLOURS[at % len(COLOURS)], DASHES[at % len(DASHES)]
        name = f"{one['name']} ({one['ap']:.2f})"
        figure.add_trace(_line(name, one["recall"], one["precision"], colour, dash, 1.8))
    axis = {"range": [0, 1.02], "gridcolor": "rgba(128,128,136,0.25)", "zeroline": False}
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 12, "family": "system-ui, Segoe UI, sans-serif"},
        margin={"l": 44, "r": 8, "t": 6, "b": 36},
        xaxis={**axis, "title": {"text": "recall"}},
        yaxis={**axis, "title": {"text": "precision"}},
        legend={"x": 0.03, "xanchor": "left", "y": 0.03, "yanchor": "bottom", "font": {"size": 11}},
        showlegend=True,
        autosize=True,
    )
    return figure


def _line(
    name: str,
    recall: Sequence[float],
    precision: Sequence[float],
    colour: str,
    dash: str,
    wide: float,
) -> go.Scatter:
    # names come from strangers: Plotly reads a little markup, so its brackets are written out
    return go.Scatter(
        x=list(recall),
        y=list(precision),
        name=name.replace("&", "&amp;").replace("<", "&lt;"),
        mode="lines",
        line={"color": colour, "dash": dash, "width": wide},
        hovertemplate="recall %{x:.2f}, precision %{y:.2f}<extra></extra>",
    )
