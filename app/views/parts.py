"""Small pieces of pages whose markup never contains what strangers wrote."""

from pathlib import Path
from typing import Any

import gradio as gr

STATIC = Path(__file__).parent / "static"


def from_file(name: str, *, elem_id: str, **properties: Any) -> gr.HTML:
    """Make a component of ``static/<name>.html`` and ``static/<name>.js``.

    The markup has no slots: what changes comes as ``value`` or another property, and is put in as
    text by the script.
    """
    return gr.HTML(
        **properties,
        html_template=(STATIC / f"{name}.html").read_text(encoding="utf-8"),
        js_on_load=(STATIC / f"{name}.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id=elem_id,
    )


def sentence(elem_id: str) -> gr.HTML:
    """Make a place for one sentence; it takes no room while there is nothing to say."""
    return from_file("sentence", elem_id=elem_id)
