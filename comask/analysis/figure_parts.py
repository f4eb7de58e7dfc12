"""What figures for notebooks are made of: a page, a photograph, maps of a bounded size.

Places are image pixels, y downwards. Only attributes that Plotly has had for years are used, so
that older viewers draw the figures too.
"""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from comask.analysis.scales import ENDS, Kind
from comask.structures import Size

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

MOST = 160  # numbers along a map's longer side
WIDE = 660  # pixels: a picture with axes
PHOTO = 640  # pixels along a photograph's longer side
INK, QUIET, GRID = "#18181b", "#686870", "rgba(128,128,136,0.25)"
DARK = "#2c2c32"  # behind lines and maps
FONT = "system-ui, Segoe UI, sans-serif"
# Okabe and Ito's, one a branch as on the page; the bias and "fused" are grey
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#F0E442")
GREY = "#8a8a92"
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up")


def titled(
    figure: go.Figure, title: str, meaning: str, width: int, height: int, key: str = ""
) -> go.Figure:
    """Give a figure its size, its title and sentences below it; returns it.

    ``key`` is one more line, which may have colours of its own.
    """
    lines = [*_lines(meaning, width - 80), *([key] if key else [])]
    small = f'<br><span style="font-size:12px;color:{QUIET}">{"<br>".join(lines)}</span>'
    figure.update_layout(
        template="none",
        width=width,
        height=height,
        paper_bgcolor="white",
        plot_bgcolor="white",
        font={"color": INK, "size": 12, "family": FONT},
        title={
            "text": f"{title}{small}",
            "x": 0.0,
            "xref": "paper",
            "y": 1 - 24 / height,
            "yanchor": "top",
            "font": {"size": 17},
        },
        margin={"l": 56, "r": 24, "t": 68 + 16 * len(lines), "b": 44},
    )
    return figure


def footnote(figure: go.Figure, words: str) -> None:
    """Write small words below a figure that has its title, which grows by as much."""
    width, below = figure.layout.width, figure.layout.margin.b
    lines = _lines(words, width - figure.layout.margin.l)
    room = 16 * len(lines) + 12
    figure.add_annotation(
        text="<br>".join(lines),
        xref="paper",
        yref="paper",
        x=0,
        y=0,
        xanchor="left",
        yanchor="top",
        yshift=-below,
        align="left",
        showarrow=False,
        font={"size": 11, "color": QUIET},
    )
    figure.update_layout(height=figure.layout.height + room, margin={"b": below + room})


def colour_key(names: Sequence[str]) -> str:
    """Write branches' names with their colours, for a title."""
    told = (
        f'<span style="color:{COLOURS[at % len(COLOURS)]}">\u25a0</span> {name}'
        for at, name in enumerate(names)
    )
    return "   ".join(told)


def colours_of(kind: Kind) -> str | list[list[Any]]:
    """Give a kind of scale its colours in Plotly's words; a root is not among them."""
    if kind != "signed":
        return "Viridis"
    places = ((0.0, ENDS[0]), (0.5, ENDS[1]), (1.0, ENDS[2]))
    return [[place, f"rgb({red},{green},{blue})"] for place, (red, green, blue) in places]


def pooled(values: Floats, most: int = MOST) -> tuple[Floats, int]:
    """Average a map down until neither side has more than ``most``: (h, w, ...), numbers a side."""
    factor = max(1, math.ceil(max(values.shape[:2]) / most))
    if factor == 1:
        return values, 1
    height, width = (math.ceil(length / factor) for length in values.shape[:2])
    sums = np.zeros((height, width, *values.shape[2:]), np.float64)
    counts = np.zeros((height, width, *(1 for _ in values.shape[2:])))
    for row in range(factor):
        for column in range(factor):
            part = values[row::factor, column::factor]
            sums[: part.shape[0], : part.shape[1]] += part
            counts[: part.shape[0], : part.shape[1]] += 1
    return np.asarray(sums / counts, np.float32), factor


def places(first: float, step: float, factor: int) -> tuple[float, float]:
    """Say where the first of pooled numbers has its centre, and how far the next one is."""
    return first + step * factor / 2, step * factor


def as_source(pixels: Pixels, kind: str = "PNG") -> str:
    """Write a picture as an address that holds it."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **({"quality": 85} if kind == "JPEG" else {}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


def lay_photo(figure: go.Figure, pixels: Pixels, opacity: float = 1.0) -> None:
    """Put an image below everything else, made smaller where it is large."""
    height, width = pixels.shape[:2]
    factor = PHOTO / max(height, width)
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    figure.add_layout_image(
        source=as_source(pixels, "JPEG"),
        xref="x",
        yref="y",
        x=0,
        y=0,
        sizex=width,
        sizey=height,
        sizing="stretch",
        layer="below",
        opacity=opacity,
    )


def over_image(
    figure: go.Figure, title: str, meaning: str, window: tuple[float, float, float, float]
) -> go.Figure:
    """Frame a figure whose axes are image pixels, alike, y downwards; the legend is below.

    ``window`` is what is seen at first: x1, y1, x2, y2.
    """
    x1, y1, x2, y2 = window
    common = {"showgrid": False, "zeroline": False, "ticks": "outside", "constrain": "domain"}
    figure.update_xaxes(title_text="x, image pixels", range=[x1, x2], **common)
    figure.update_yaxes(
        title_text="y, image pixels", range=[y2, y1], scaleanchor="x", scaleratio=1, **common
    )
    seen = min(max(WIDE * (y2 - y1) / (x2 - x1), 200), 760)
    figure = titled(figure, title, meaning, WIDE + 190, 100)
    margin = figure.layout.margin
    # two entries or more in a line
    legend = 24 * math.ceil(sum(one.showlegend is not False for one in figure.data) / 2)
    height = round(seen + margin.t + 76 + legend)
    figure.update_layout(
        plot_bgcolor=DARK,
        height=height,
        title_y=1 - 24 / height,
        margin={"b": 76 + legend, "r": 24},
        legend={
            "orientation": "h",
            "x": 0,
            "y": -66 / seen,
            "yanchor": "top",
            "bgcolor": DARK,
            "font": {"color": "#fafafa"},
        },
    )
    return figure


def joined(
    polygons: Sequence[NDArray[np.floating]], most: int = 4000
) -> tuple[list[float | None], list[float | None]]:
    """Write closed paths as one line with gaps, with fewer points where there are many."""
    total = sum(len(points) for points in polygons)
    if total > most:
        polygons = [_simpler(points, total / most) for points in polygons]
    x: list[float | None] = []
    y: list[float | None] = []
    for points in polygons:
        closed = np.concatenate([points, points[:1]]).round(1)
        x += [*closed[:, 0].tolist(), None]
        y += [*closed[:, 1].tolist(), None]
    return x, y


def outlined(
    polygons: Sequence[NDArray[np.floating]],
    name: str,
    colour: str,
    dash: str = "solid",
    *,
    most: int = 4000,
) -> go.Scatter:
    """Draw closed paths as one entry of the legend, of about ``most`` points at most."""
    x, y = joined(polygons, most)
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        name=name,
        line={"color": colour, "width": 1.6, "dash": dash},
        hoverinfo="skip",
    )


def _simpler(points: NDArray[np.floating], tolerance: float) -> NDArray[np.float64]:
    path = np.asarray(points, np.float32)[:, None]
    return np.asarray(cv2.approxPolyDP(path, tolerance, True)[:, 0], np.float64)


def plain(text: str) -> str:
    """Write out the brackets of a stranger's text, which Plotly would read as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def colour_of(branch: str, names: Sequence[str]) -> str:
    """Give a branch its colour among the branches of its model."""
    if branch not in names:
        return GREY
    return COLOURS[names.index(branch) % len(COLOURS)]


def sides(size: Size, longest: int) -> tuple[int, int]:
    """Choose how wide and high an image of (H, W) is drawn: (width, height)."""
    height, width = size
    factor = longest / max(height, width)
    return max(40, round(width * factor)), max(40, round(height * factor))


def _lines(words: str, width: int) -> list[str]:
    """Break a sentence into lines of about as many letters as fit."""
    room, lines = max(30, int(width / 6.3)), [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
