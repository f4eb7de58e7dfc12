"""The one window: a bar with the pages' names, and below it the page."""

from pathlib import Path

import gradio as gr

from app.services import Services
from app.session import Session
from app.views import browse
from app.views.parts import STATIC, from_file

CSS = (STATIC / "page.css",)
ICON = str(STATIC / "icon.svg")
CACHE_SECONDS = (3_600, 3_600)  # how often Gradio's own uploads are looked through, and their age


def build(services: Services) -> gr.Blocks:
    """Lay out and connect everything."""
    page: gr.Blocks
    with gr.Blocks(
        title="CoMask Studio",
        fill_width=True,
        analytics_enabled=False,
        delete_cache=CACHE_SECONDS,
    ) as page:
        session = gr.State(Session())
        from_file("bar", elem_id="bar")
        view = browse.build()
        browse.wire(view, session, page, services)
    page.queue(default_concurrency_limit=None, max_size=200)
    return page


def theme() -> gr.themes.Base:
    """Quiet greys and the system's own fonts: nothing is fetched from anywhere."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.zinc,
        secondary_hue=gr.themes.colors.zinc,
        neutral_hue=gr.themes.colors.zinc,
        font=["system-ui", "Segoe UI", "Liberation Sans", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
        radius_size=gr.themes.sizes.radius_sm,
        spacing_size=gr.themes.sizes.spacing_sm,
        text_size=gr.themes.sizes.text_sm,
    )


def css_paths() -> list[str | Path]:
    """Name the style sheets of the page."""
    return list(CSS)
