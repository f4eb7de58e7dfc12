"""The page Browse: the canvas with what is open, and the controls on top of its left rail."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import gradio as gr
from gradio.components import Component

from app.actions import browse, checkpoints, judge, predict
from app.canvas import payload
from app.canvas.component import mask_canvas
from app.canvas.payload import Busy, CanvasProgress, CanvasValue, StripImage
from app.services import CheckpointFile, Services
from app.session import Session
from app.views import figures
from app.views.parts import from_file, sentence
from comask.errors import ComaskError

TICK = 0.5  # seconds between two looks at what goes on

# Picking an image is the browser's own business. Events that must know which one is open ask the
# canvas: its key takes the place of the last input.
WITH_IMAGE = "(...given) => [...given.slice(0, -1), window.studio?.state().document ?? null]"
# The window's address names what to open; it takes that place too.
WITH_ADDRESS = (
    "(...given) => [...given.slice(0, -1),"
    " Object.fromEntries(new URLSearchParams(window.location.search))]"
)

Changes = dict[Any, Any]  # component -> its update


class AboutFiles(TypedDict):
    """What the upload panel knows, its property ``about``.

    export       address of the whole list's COCO file, "" while there is none
    images       how many are in the list
    samples      how many samples there are
    image_bytes  the largest file that is taken
    """

    export: str
    images: int
    samples: int
    image_bytes: int


class TakenFiles(TypedDict):
    """What the upload panel says, its value, which only the browser writes.

    keys   of the images that were taken
    first  the key to open, once
    """

    keys: list[str]
    first: str | None


class BrowseView(NamedTuple):
    """The page's components."""

    canvas: gr.HTML
    source: gr.Radio
    files: gr.HTML
    run: gr.Button
    stop: gr.Button
    remove: gr.Button
    checkpoint: gr.Dropdown
    checkpoint_upload: gr.UploadButton
    hint: gr.HTML
    complaint: gr.HTML
    curves: gr.Plot


def build() -> BrowseView:
    """Lay the page out."""
    with mask_canvas(upload="upload", controls=True) as canvas:
        with gr.Column(elem_id="controls"):
            controls = _controls()
        curves = gr.Plot(visible=False, show_label=False, container=False, elem_id="curves")
    return BrowseView(canvas=canvas, curves=curves, **controls)


def _controls() -> dict[str, Any]:
    source = gr.Radio(
        [("Samples", "samples"), ("Uploads", "uploads"), ("Dataset", "dataset")],
        value="samples",
        label="Which images",
        show_label=False,
        container=False,
        elem_id="source",
    )
    files = from_file("files", elem_id="upload", about=None)
    with gr.Row(elem_id="checkpoint_row"):
        checkpoint = gr.Dropdown(
            [], label="Checkpoint", container=False, min_width=0, elem_id="checkpoint"
        )
        checkpoint_upload = gr.UploadButton(
            "Add", scale=0, min_width=0, size="sm", elem_id="checkpoint_upload"
        )
    hint = sentence("hint")
    complaint = sentence("complaint")
    with gr.Row(elem_id="run_row"):
        run = gr.Button("Run all", visible=False, min_width=0, size="sm", elem_id="run")
        stop = gr.Button("Stop", visible=False, min_width=0, size="sm", elem_id="stop")
        remove = gr.Button("Remove image", visible=False, min_width=0, size="sm", elem_id="remove")
    return {
        "source": source,
        "files": files,
        "run": run,
        "stop": stop,
        "remove": remove,
        "checkpoint": checkpoint,
        "checkpoint_upload": checkpoint_upload,
        "hint": hint,
        "complaint": complaint,
    }


def wire(view: BrowseView, session: gr.State, page: gr.Blocks, services: Services) -> None:
    """Connect controls to actions."""
    quiet: dict[str, Any] = {
        "show_progress": "hidden",
        "concurrency_limit": None,
        "api_visibility": "private",
    }

    # what follows is pushed: the page asks for nothing while a run goes on
    followers = [view.canvas, view.run, view.stop, view.complaint]

    def on(
        listen: Callable[..., Any],
        action: Callable[..., Session],
        *inputs: Any,
        trigger_mode: str = "once",
        again: bool = False,
    ) -> None:
        """Run an action, with the image that is open, and show what became of it.

        ``again`` has the canvas fetch its document anew even if it is the same one.
        """

        def handle(held: Session, *given: Any) -> Changes:
            *values, shown = given
            held = browse.picked(held, services, shown)
            after = browse.led(held, action(held, *values), None if again else shown)
            chosen = dict(zip(inputs, values, strict=True))
            return {session: after, **render(view, after, services, chosen)}

        event = listen(
            handle,
            inputs=[session, *inputs, view.canvas],
            outputs=[session, *view],
            js=WITH_IMAGE,
            trigger_mode=trigger_mode,
            **quiet,
        )
        event.then(follow, session, followers, trigger_mode="multiple", **quiet)

    async def follow(held: Session) -> AsyncIterator[Changes]:
        async for changes in news(view, held, services):
            yield changes

    def taken(held: Session, value: TakenFiles) -> Session:
        held = browse.uploaded(held, services, value["first"])
        return predict.started_over_uploads(held, services, value["keys"])

    def onto(listen: Callable[..., Any], action: Callable[[Session, object], Session]) -> None:
        """Go where the window's address says."""

        def handle(held: Session, address: object) -> Changes:
            after = browse.led(held, action(held, address), None)
            return {session: after, **render(view, after, services)}

        event = listen(
            handle,
            inputs=[session, view.canvas],
            outputs=[session, *view],
            js=WITH_ADDRESS,
            trigger_mode="always_last",
            **quiet,
        )
        event.then(follow, session, followers, trigger_mode="multiple", **quiet)

    onto(page.load, lambda _, address: browse.opened(Session(), services, address))
    onto(view.canvas.go_to, lambda held, address: browse.went(held, services, address))
    view.canvas.show_curves(
        lambda asked: _curves(asked, services),
        view.canvas,
        view.curves,
        js="(canvas) => window.studio.curves()",
        trigger_mode="always_last",
        **quiet,
    )
    on(
        view.source.input,
        lambda s, name: browse.switched(s, services, name),
        view.source,
        trigger_mode="always_last",
    )
    on(view.canvas.open_sample, lambda s: browse.switched(s, services, "samples"))
    on(view.files.uploaded, taken, view.files, trigger_mode="always_last")
    on(
        view.checkpoint.input,
        lambda s, name: checkpoints.chosen(s, services, name),
        view.checkpoint,
        trigger_mode="always_last",
    )
    on(
        view.checkpoint_upload.upload,
        lambda s, path: checkpoints.uploaded(s, services, Path(path)),
        view.checkpoint_upload,
    )
    on(view.run.click, lambda s: predict.started(s, services), again=True)
    on(view.stop.click, lambda s: predict.stopped(s, services))
    on(view.remove.click, lambda s: browse.removed(s, services, s.image))


async def news(view: BrowseView, session: Session, services: Services) -> AsyncIterator[Changes]:
    """Tell what goes on until nothing more will happen by itself."""
    told: predict.Progress | None = None
    while not _is_stopped(session, services):  # whoever stopped it has shown that, or what is next
        progress = await asyncio.to_thread(predict.progress, session, services)
        if progress != told:
            told = progress
            yield {view.canvas: gr.HTML(progress=_said(progress)), **_buttons(view, progress)}
        if progress.settled:
            break
        await asyncio.sleep(TICK)
    # Gradio sends the last word again when a generator ends, which may be late: say nothing
    yield {view.canvas: gr.skip()}


def render(
    view: BrowseView,
    session: Session,
    services: Services,
    chosen: Mapping[Component, object] | None = None,
) -> Changes:
    """Show a session: every component of the page.

    ``chosen`` is what controls had when this was asked for; one that already shows what it should
    is left alone, so that a choice made meanwhile stays.
    """
    file = services.checkpoints.find(session.checkpoint)
    images = browse.list_open(session, services)
    uploads = len(services.images.listed("uploads"))
    choices = [
        ("Samples", "samples"),
        (f"Uploads ({uploads})" if uploads else "Uploads", "uploads"),
        ("Dataset", "dataset"),
    ]
    progress = predict.progress(session, services)

    def told(control: Component, value: object) -> dict[str, Any]:
        return {} if chosen and control in chosen and chosen[control] == value else {"value": value}

    return {
        view.canvas: gr.HTML(value=canvas_value(session, file, progress, services)),
        view.source: gr.Radio(choices=choices, **told(view.source, session.source)),
        view.files: gr.HTML(about=about_files(session, file, services)),
        view.remove: gr.Button(visible=session.source == "uploads" and bool(images)),
        view.checkpoint: gr.Dropdown(
            choices=checkpoints.choices(services),
            **told(view.checkpoint, file.name if file else None),
        ),
        view.checkpoint_upload: gr.UploadButton(value=None),
        view.hint: "" if file else checkpoints.none_yet(services),
        **_buttons(view, progress),
        view.complaint: session.complaint or progress.complaint,
        view.curves: gr.skip(),
    }


def canvas_value(
    session: Session,
    file: CheckpointFile | None,
    progress: predict.Progress,
    services: Services,
) -> CanvasValue:
    """Describe what is open to the canvas."""
    rows: list[StripImage] = []
    for image in browse.list_open(session, services):
        row: StripImage = {
            "key": image.key,
            "file_name": image.file_name,
            "url": browse.document_url(image.key, file),
            "thumb": f"/api/thumbnails/{image.key}",
        }
        if image.key in progress.notes:
            row["note"] = progress.notes[image.key]
        if file is not None:
            row["export"] = browse.export_url(image.key, file)
        rows.append(row)
    return {
        "url": None if session.sent is None else browse.document_url(session.sent, file),
        "revision": session.revision,
        "images": rows,
        "status": _status(progress),
        "busy": _busy(progress),
        "empty": browse.empty_sentence(session, services),
        "source": session.source,
        "checkpoint": None if file is None else file.name,
        "checkpoints": checkpoints.names(services),
    }


def about_files(session: Session, file: CheckpointFile | None, services: Services) -> AboutFiles:
    """Describe the list to the upload panel."""
    return {
        "export": "" if file is None else browse.list_export_url(session, file),
        "images": len(browse.list_open(session, services)),
        "samples": len(services.images.listed("samples")),
        "image_bytes": services.settings.limits.image_bytes,
    }


def _curves(data: object, services: Services) -> Any:
    """Draw what the numbers of a dataset ask for; nothing where there is nothing to draw."""
    try:
        asked = payload.curves_asked(data)
        found = None if asked is None else services.datasets.get(asked.dataset)
        file = None if asked is None else services.checkpoints.find(asked.checkpoint)
        if asked is None or found is None or file is None:
            return gr.Plot(visible=False)
        kept = judge.open_set(services, asked.dataset, found, file)
        drawn = judge.curves(services.pairs, kept, asked.iou, asked.kind)
    except (ComaskError, OSError):  # the numbers beside it say why
        return gr.Plot(visible=False)
    if not drawn["categories"]:
        return gr.Plot(visible=False)
    return gr.Plot(figures.curves(drawn["categories"], asked.category), visible=True)


def _is_stopped(session: Session, services: Services) -> bool:
    state = services.runner.state(session.run)
    return state is not None and state.stage == "stopped"


def _buttons(view: BrowseView, progress: predict.Progress) -> Changes:
    changes: Changes = {
        view.run: gr.Button(visible=progress.can_run),
        view.stop: gr.Button(visible=progress.running),
    }
    if progress.complaint:
        changes[view.complaint] = progress.complaint
    return changes


def _said(progress: predict.Progress) -> CanvasProgress:
    return {
        "status": _status(progress),
        "busy": _busy(progress),
        "notes": dict(progress.notes),
    }


def _status(progress: predict.Progress) -> list[str]:
    return [progress.checkpoint, progress.device, progress.text]


def _busy(progress: predict.Progress) -> Busy | None:
    if not progress.running:
        return None
    return {"text": progress.text, "done": progress.done, "total": progress.total}
