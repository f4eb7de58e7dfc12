"""The drawing surface as a Gradio component: ``mask_canvas()`` makes it.

It is a function and not a subclass, because Gradio writes a ``.pyi`` beside every subclass. What
it shows comes as a small value (``payload.CanvasValue``); the browser fetches the document itself.
The templates have no slots: names of files and classes come from strangers and never reach markup.
"""

import hashlib
import json
from functools import cache
from pathlib import Path

import gradio as gr

from app.canvas.payload import CanvasValue

STATIC = Path(__file__).parent / "static"
ADDRESS = "/static/canvas"  # where the app serves that folder

STYLES = (
    "canvas.css",
    "compare.css",
    "browse.css",
    "inspect.css",
    "film.css",
    "maps.css",
    "label.css",
    "dialogs.css",
)
# in the order in which they need each other
SCRIPTS = (
    "dom.js",
    "levels.js",
    "rle.js",
    "palette.js",
    "raster.js",
    "verdicts.js",
    "view.js",
    "hit.js",
    "matching.js",
    "judge.js",
    "panes.js",
    "state.js",
    "document.js",
    "photo.js",
    "marks.js",
    "halo.js",
    "viewer.js",
    "comparer.js",
    "keys.js",
    "fingers.js",
    "pointer.js",
    "histogram.js",
    "panel.js",
    "list.js",
    "strip.js",
    "figures.js",
    "sheet.js",
    "layout.js",
    "api.js",
    "place.js",
    "address.js",
    "autopsy.js",
    "filming.js",
    "film.js",
    "filmbar.js",
    "inspector.js",
    "tile.js",
    "desktop.js",
    "grid.js",
    "rows.js",
    "dataset.js",
    "runs.js",
    "filters.js",
    "confusion.js",
    "metrics.js",
    "diff.js",
    "report.js",
    "colours.js",
    "packet.js",
    "heat.js",
    "scale.js",
    "matrix.js",
    "maps.js",
    "field.js",
    "ablation.js",
    "fit.js",
    "inspection.js",
    "masks.js",
    "outlines.js",
    "regions.js",
    "cutting.js",
    "sweep.js",
    "sketch.js",
    "brushes.js",
    "vertices.js",
    "shapes.js",
    "lines.js",
    "cleaning.js",
    "tools.js",
    "labels.js",
    "gestures.js",
    "outbox.js",
    "review.js",
    "labelkeys.js",
    "labelnotes.js",
    "labelchoice.js",
    "labelclasses.js",
    "labelpanel.js",
    "labelpages.js",
    "labelbar.js",
    "forms.js",
    "mapping.js",
    "region.js",
    "picker.js",
    "prelabeltask.js",
    "prelabel.js",
    "piles.js",
    "certificate.js",
    "importing.js",
    "exporting.js",
    "ledger.js",
    "windowing.js",
    "labelling.js",
    "browse.js",
    "opener.js",
    "probe.js",
    "studio.js",
)


def mask_canvas(
    value: CanvasValue | None = None,
    *,
    threshold: float = 0.5,
    opacity: float = 0.45,
    upload: str | None = None,
    controls: bool = False,
    elem_id: str = "canvas",
) -> gr.HTML:
    """Make the drawing surface with its rails, list and status line.

    Args:
        value: what is open; ``payload.canvas_value`` builds it. None shows the first step.
        threshold: class scores above it are shown until somebody moves the slider, 0 .. 1.
        opacity: of the masks' fill, 0 .. 1.
        upload: ``elem_id`` of the page's upload component; the empty page then offers it.
        controls: whether ``with mask_canvas(...):`` puts one Gradio column on top of the left rail.
        elem_id: of the component.

    A handler that returns ``gr.HTML(progress=...)`` shows a ``payload.CanvasProgress`` and leaves
    the value alone.

    Its events, all optional: ``open_image``, ``select_instance`` and ``open_sample``; the first two
    carry what ``payload.opened_image`` and ``payload.selected_instance`` read. ``go_to`` says that
    the window's address names another list or checkpoint, ``show_curves`` asks for a figure of
    ``payload.curves_asked``.
    """
    template = _template()
    made: gr.HTML = gr.HTML(
        value,
        html_template=f"@children{template}" if controls else template,
        js_on_load=_loader(),
        apply_default_css=False,
        elem_id=elem_id,
        defaults={"threshold": threshold, "opacity": opacity},
        upload=upload,
        progress=None,
    )
    return made


@cache
def _template() -> str:
    return (STATIC / "canvas.html").read_text(encoding="utf-8")


@cache
def _loader() -> str:
    files = {
        "styles": [_address(name) for name in STYLES],
        "scripts": [_address(name) for name in SCRIPTS],
    }
    text = (STATIC / "loader.js").read_text(encoding="utf-8")
    return text.replace("const files = FILES;", f"const files = {json.dumps(files)};")


def _address(name: str) -> str:
    """Name a file with a hash of its content, so that a browser never keeps an old one."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"{ADDRESS}/{name}?v={digest}"
