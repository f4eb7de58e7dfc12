"""A report as one HTML file: no script, no address, light and dark; names go in as text only."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from comask.evaluate.findings import Content
from comask.evaluate.report import MEANINGS

STYLE = Path(__file__).with_name("report_page.css")
MOST_CELLS = 16  # categories of a confusion matrix that is drawn; above, its largest cells

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_KINDS = {
    "class": "well placed, on an object of another category",
    "localisation": "on an object of its category, not well enough placed",
    "both": "on an object of another category, and not well placed",
    "duplicate": "on an object that a better ranked instance took",
    "background": "on nothing",
    "missed": "an object that no instance is about",
}
_PLOT = (640, 300, 44, 30)  # width, height, left and lower margin of the curves


def render(content: Content) -> str:
    """Write the report."""
    title = escape(f"{content['checkpoint']} on {content['dataset']}")
    body = "".join(
        [
            _head(content),
            _twelve(content),
            _curves(content["curves"]),
            _at(content["at"]),
            _errors(content["at"]),
            _sizes(content["at"]),
            _confusion(content["at"]),
            _categories(content),
            _paper(content),
            f"<footer>Made by {escape(content['made_by'])} from stored results; AP by "
            "pycocotools' definitions.</footer>",
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{STYLE.read_text('utf-8')}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _head(content: Content) -> str:
    seen, planned = content["images"], content["images_of_the_dataset"]
    images = f"{seen:,} images" if seen == planned else f"{seen:,} of {planned:,} images"
    part = "" if seen == planned else '<p class="warning">The run has not seen all images.</p>'
    return (
        f"<header><p>Report</p><h1>{escape(content['checkpoint'])}</h1>"
        f"<p>on {escape(content['dataset'])}: {images}, {content['objects']:,} objects, "
        f"{content['instances']:,} found instances; checkpoint "
        f"<code>{escape(content['checkpoint_identity'])}</code></p>{part}</header>"
    )


def _twelve(content: Content) -> str:
    numbers = content["numbers"]
    rows = []
    for name in numbers["segm"]:
        meaning = MEANINGS.get(name, f"recall, at most {name[2:]} an image and category")
        cells = "".join(f"<td>{_bar(numbers[kind][name])}</td>" for kind in ("segm", "bbox"))
        rows.append(f"<tr><th>{name}</th>{cells}<td>{escape(meaning)}</td></tr>")
    return _section(
        "COCO's twelve numbers",
        "Measured here, over all scores.",
        _table(("", "masks", "boxes", ""), rows),
    )


def _curves(curves: Content) -> str:
    width, height, left, lower = _PLOT
    right, upper = width - 20, 8
    lines, names = [], []
    for number, one in enumerate(curves["mean"]):
        points = " ".join(
            f"{left + recall * (right - left):.1f},"
            f"{height - lower - value * (height - lower - upper):.1f}"
            for recall, value in zip(curves["recall"], one["precision"], strict=False)
        )
        lines.append(f'<polyline class="line line-{number}" points="{points}"/>')
        names.append(
            f'<li><svg width="28" height="8" aria-hidden="true"><line class="line line-{number}" '
            f'x1="0" y1="4" x2="28" y2="4"/></svg> IoU {one["iou"]:.2f}: '
            f"AP {_number(one['ap'])}</li>"
        )
    grid = "".join(
        f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>'
        f'<text x="{x:.1f}" y="{height - lower + 16}" text-anchor="middle">{value:.2f}</text>'
        for value in (0.0, 0.25, 0.5, 0.75, 1.0)
        for x, y in [
            (left + value * (right - left), height - lower - value * (height - lower - upper))
        ]
    )
    plot = (
        f'<svg class="plot" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Precision over recall">{grid}{"".join(lines)}</svg>'
    )
    what = "masks" if curves["kind"] == "mask" else "boxes"
    return _section(
        "Precision over recall",
        f"Mean over the categories, {what}. Across: recall; up: precision.",
        f'{plot}<ul class="legend">{"".join(names)}</ul>',
    )


def _at(at: Content) -> str:
    facts = [
        ("Precision", _number(at["precision"])),
        ("Recall", _number(at["recall"])),
        ("F1", _number(at["f1"])),
        ("Right", f"{at['tp']:,}"),
        ("Wrong", f"{at['fp']:,}"),
        ("Missed", f"{at['fn']:,}"),
    ]
    cards = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return _section("At one threshold", _setting(at), f'<dl class="cards">{cards}</dl>')


def _errors(at: Content) -> str:
    most = max(1, *at["errors"].values())
    rows = [
        f"<tr><th>{name}</th><td>{_bar(count / most, f'{count:,}')}</td>"
        f"<td>{escape(_KINDS[name])}</td></tr>"
        for name, count in at["errors"].items()
    ]
    return _section("Errors by kind", _setting(at), _table(("", "count", ""), rows))


def _sizes(at: Content) -> str:
    names = {"small": "below 32 x 32 px", "medium": "up to 96 x 96 px", "large": "above"}
    rows = [
        f"<tr><th>{name}</th><td>{one['tp'] + one['fn']:,}</td>"
        f"<td>{_bar(one['precision'])}</td><td>{_bar(one['recall'])}</td>"
        f"<td>{names[name]}</td></tr>"
        for name, one in at["by_size"].items()
    ]
    head = ("", "objects", "precision", "recall", "")
    return _section("By size", _setting(at), _table(head, rows))


def _confusion(at: Content) -> str:
    names = [escape(one["name"]) for one in at["confusion"]["labels"]] + ["<i>none</i>"]
    cells = at["confusion"]["cells"]
    table = _largest(names, cells) if len(names) - 1 > MOST_CELLS else _matrix(names, cells)
    note = f"{_setting(at)} Down: what is true; across: what was found."
    return _section("Confusion matrix", note, f'<div class="wide">{table}</div>')


def _matrix(names: Sequence[str], cells: Sequence[Sequence[int]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = []
    for row, (name, counts) in enumerate(zip(names, cells, strict=True)):
        most = max(1, sum(counts))
        tds = "".join(
            f'<td class="{"right" if row == column else "wrong"}" '
            f'style="--share:{count / most:.3f}">{count or ""}</td>'
            for column, count in enumerate(counts)
        )
        rows.append(f"<tr><th>{name}</th>{tds}</tr>")
    return f'<table class="matrix"><tr><th></th>{head}</tr>{"".join(rows)}</table>'


def _largest(names: Sequence[str], cells: Sequence[Sequence[int]], count: int = 25) -> str:
    """List the largest cells off the diagonal: a matrix of many categories is no picture."""
    found = [
        (number, row, column)
        for row, counts in enumerate(cells)
        for column, number in enumerate(counts)
        if number and row != column
    ]
    found.sort(key=lambda one: (-one[0], one[1], one[2]))
    rows = [
        f"<tr><td>{names[row]}</td><td>{names[column]}</td><td>{number:,}</td></tr>"
        for number, row, column in found[:count]
    ]
    return _table(("true", "found", "count"), rows)


def _categories(content: Content) -> str:
    ranked = sorted(content["by_category"], key=lambda one: -one["segm"])
    rows = [
        f"<tr><th>{escape(one['name'])}</th><td>{one['truth']:,}</td>"
        f"<td>{_bar(one['segm'])}</td><td>{_bar(one['bbox'])}</td></tr>"
        for one in ranked
    ]
    head = ("", "objects", "AP of masks", "AP of boxes")
    return _section("AP by category", "Measured here, the best first.", _table(head, rows))


def _paper(content: Content) -> str:
    """Set the paper's own tables apart from what was measured, which stands below in a row."""
    paper = content["paper"]
    tables = []
    for table in paper["tables"]:
        if table["rows"]:
            body = _beside_the_paper(content, table)
        else:
            body = "<p>This copy of CoMask does not hold the numbers of this table.</p>"
        tables.append(f"<h3>{escape(table['title'])}</h3>{body}")
    return (
        '<section class="paper"><h2>For comparison: what the paper reports</h2>'
        f"<p>{escape(paper['source'])}. Published numbers of other models on other images, "
        "<strong>not measured here</strong>; this checkpoint's own stand below a heavy line.</p>"
        f"{''.join(tables)}<p>A dash stands for a number that is not known here.</p>"
        "</section>"
    )


def _beside_the_paper(content: Content, table: Content) -> str:
    rows = [
        "<tr>" + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row) + "</tr>"
        for row in table["rows"]
    ]
    name = f"{content['checkpoint']} on {content['dataset']}, measured here"
    cells = [f"<td>{escape(name)}</td>"]
    for column in table["columns"][1:]:
        value = content["numbers"]["segm"].get(column, -1.0)
        cells.append(f"<td>{'–' if value < 0 else f'{100 * value:.1f}'}</td>")
    own = f'<tr class="own">{"".join(cells)}</tr>'
    return _table([escape(column) for column in table["columns"]], [*rows, own])


def _section(title: str, note: str, body: str) -> str:
    return f"<section><h2>{title}</h2><p>{note}</p>{body}</section>"


def _table(head: Iterable[str], rows: Iterable[str]) -> str:
    cells = "".join(f"<th>{name}</th>" for name in head)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _bar(share: float | None, text: str | None = None) -> str:
    """Draw a number of 0 .. 1 as a bar with the number beside it."""
    if share is None or share < 0:
        return '<span class="bar"><b></b>–</span>'
    shown = f"{share:.3f}" if text is None else text
    return f'<span class="bar"><b><i style="width:{100 * share:.1f}%"></i></b>{shown}</span>'


def _setting(at: Mapping[str, Any]) -> str:
    what = "mask" if at["kind"] == "mask" else "box"
    return f"Class score above {at['score']:.2f}, {what} IoU of {at['iou']:.2f} or more."


def _number(value: float | None) -> str:
    return "–" if value is None or value < 0 else f"{value:.3f}"


def _text(cell: object) -> str:
    return "–" if cell is None else str(cell)
