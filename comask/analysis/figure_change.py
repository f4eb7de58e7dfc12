"""A Plotly figure of what became of the instances of an image."""

import plotly.graph_objects as go

from comask.analysis.difference import Change, Difference, Kind
from comask.analysis.figure_parts import Pixels, lay_photo, outlined, over_image, plain
from comask.analysis.outlines import LOOKS, outline
from comask.annotation.records import Rle
from comask.errors import InputError
from comask.predict import Prediction

POINTS = 20_000  # of all outlines of one kind, about
_DASHES = {"solid": "solid", "dashed": "dash", "dotted": "dot"}

__all__ = ["difference_figure"]


def difference_figure(
    image: Pixels, before: Prediction, after: Prediction, told: Difference, off: str = ""
) -> go.Figure:
    """Draw the instances of both predictions over their image: (H, W, 3) RGB.

    Each kind is an entry of the legend that can be switched off. Raises InputError for another
    image than the predictions'.

    Args:
        image: of both predictions.
        before: as the checkpoint has it.
        after: with something switched off, or by another checkpoint.
        told: of ``difference(before, after)``.
        off: what was switched off, for people.
    """
    if image.shape != (*before.size, 3) or before.size != after.size:
        raise InputError(
            f"the predictions are of images of size {before.size} and {after.size}, "
            f"got {image.shape}"
        )
    figure = go.Figure()
    lay_photo(figure, image, opacity=0.85)
    kinds: tuple[Kind, ...] = ("kept", "moved", "lost", "gained")
    for kind in kinds:
        changes = told.of(kind)
        _add(figure, kind, changes, before, after)
    counts = told.count()
    words = (
        f"{len(before)} instances became {len(after)}: {counts['lost']} lost, "
        f"{counts['gained']} gained, {counts['moved']} moved, {counts['kept']} kept. Each line is "
        "the outline of an instance; point at its middle for its numbers."
    )
    if off:
        words = f"Switched off: {plain(off)}. {words}"
    height, width = before.size
    return over_image(figure, "What became of the instances", words, (0, 0, width, height))


def _add(
    figure: go.Figure,
    kind: Kind,
    changes: tuple[Change, ...],
    before: Prediction,
    after: Prediction,
) -> None:
    """Draw one kind: where instances are now, and for those that moved or went where they were."""
    (red, green, blue), line, meaning = LOOKS[kind]
    colour, name = f"rgb({red},{green},{blue})", f"{len(changes)} {kind}: {meaning}"
    now = [after.masks[one.after] for one in changes if one.after is not None]
    was = [before.masks[one.before] for one in changes if one.before is not None]
    drawn = was if kind == "lost" else now
    traces = [_lines(drawn, name, colour, _DASHES[line])]
    if kind == "moved":
        traces.append(_lines(was, name, colour, "dot").update(showlegend=False))
    traces.append(_middles(changes, colour, before, after))
    figure.add_traces([one.update(legendgroup=kind) for one in traces])


def _lines(masks: list[Rle], name: str, colour: str, dash: str) -> go.Scatter:
    polygons = [points for mask in masks for points in outline(mask)]
    return outlined(polygons, name, colour, dash, most=POINTS)


def _middles(
    changes: tuple[Change, ...], colour: str, before: Prediction, after: Prediction
) -> go.Scatter:
    """Draw a dot in the middle of each instance's box, which tells its numbers."""
    boxes = [
        before.boxes[one.before] if one.after is None else after.boxes[one.after] for one in changes
    ]
    return go.Scatter(
        x=[round(float(x1 + x2) / 2, 1) for x1, _, x2, _ in boxes],
        y=[round(float(y1 + y2) / 2, 1) for _, y1, _, y2 in boxes],
        text=[_words(one, before, after) for one in changes],
        mode="markers",
        marker={"color": colour, "size": 5},
        showlegend=False,
        hovertemplate="%{text}<extra></extra>",
    )


def _words(one: Change, before: Prediction, after: Prediction) -> str:
    """Say of one instance what became of it."""
    found, row = (before, one.before) if one.after is None else (after, one.after)
    assert row is not None
    category = plain(found.categories[found.labels[row]].name)
    score = f"class score {found.class_scores[row]:.2f}"
    if one.kind in ("lost", "gained"):
        return f"<b>{one.kind}</b> {category}, {score}"
    return (
        f"<b>{one.kind}</b> {category}, {score} ({one.class_score:+.2f})<br>"
        f"mask IoU with before {one.mask_iou:.2f}, farthest edge {one.travel:.1f} px"
    )
