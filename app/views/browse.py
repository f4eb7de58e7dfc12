"""The page Browse: the canvas with what is open, and the controls on top of its left rail."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import gradio as gr

from app.actions import browse, checkpoints, predict
from app.canvas.component import mask_canvas
from app.canvas.payload import Busy, CanvasValue, StripImage
from app.services import CheckpointFile, Services
from app.session import Session
from app.views.parts import from_file, sentence

TICK = 0.7  # seconds between two looks at a run that goes on

# Picking an image is the browser's own business. Events that must know which one is open ask the
# canvas: its key takes the place of the last input.
WITH_IMAGE = "(...given) => [...given.slice(0, -1), window.studio?.state().document ?? null]"

Changes = dict[Any, Any]  # component -> its update


class FilesValue(TypedDict):
    """What the upload panel knows.

    export       address of the whole list's COCO file, "" while there is none
    images       how many are in the list
    samples      how many samples there are
    image_bytes  the largest file that is taken
    first        comes back with the key of the first image that was taken
    """

    export: str
    images: int
    samples: int
    image_bytes: int
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
    timer: gr.Timer


def build() -> BrowseView:
    """Lay the page out."""
    with mask_canvas(upload="upload", controls=True) as canvas, gr.Column(elem_id="controls"):
        source = gr.Radio(
            [("Samples", "samples"), ("Uploads", "uploads")],
            value="samples",
            show_label=False,
            container=False,
            elem_id="source",
        )
        files = from_file("files", elem_id="upload")
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
            run = gr.Button("Run", visible=False, min_width=0, size="sm", elem_id="run")
            stop = gr.Button("Stop", visible=False, min_width=0, size="sm", elem_id="stop")
            remove = gr.Button(
                "Remove image", visible=False, min_width=0, size="sm", elem_id="remove"
            )
    timer = gr.Timer(TICK, active=False)
    return BrowseView(
        canvas=canvas,
        source=source,
        files=files,
        run=run,
        stop=stop,
        remove=remove,
        checkpoint=checkpoint,
        checkpoint_upload=checkpoint_upload,
        hint=hint,
        complaint=complaint,
        timer=timer,
    )


def wire(view: BrowseView, session: gr.State, page: gr.Blocks, services: Services) -> None:
    """Connect controls to actions."""

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
            return {session: after, **render(view, after, services)}

        listen(
            handle,
            inputs=[session, *inputs, view.canvas],
            outputs=[session, *view],
            js=WITH_IMAGE,
            show_progress="hidden",
            trigger_mode=trigger_mode,
            concurrency_limit=None,
            api_visibility="private",
        )

    def run_over(held: Session) -> Session:
        return predict.started(held, services)

    def run_unless_refused(held: Session) -> Session:
        return held if held.complaint else run_over(held)

    on(page.load, lambda _: run_over(browse.opened(Session(), services)))
    on(view.source.input, lambda s, name: run_over(browse.switched(s, services, name)), view.source)
    on(view.canvas.open_sample, lambda s: run_over(browse.switched(s, services, "samples")))
    on(
        view.files.uploaded,
        lambda s, value: run_over(browse.uploaded(s, services, value.get("first"))),
        view.files,
        trigger_mode="always_last",
    )
    on(
        view.checkpoint.input,
        lambda s, name: run_unless_refused(checkpoints.chosen(s, services, name)),
        view.checkpoint,
    )
    on(
        view.checkpoint_upload.upload,
        lambda s, path: run_unless_refused(checkpoints.uploaded(s, services, Path(path))),
        view.checkpoint_upload,
    )
    on(view.run.click, run_over, again=True)
    on(view.stop.click, lambda s: predict.stopped(s, services))
    on(view.remove.click, lambda s: browse.removed(s, services, s.image))
    view.timer.tick(
        lambda held: tick(view, held, services),
        inputs=session,
        outputs=list(view),
        show_progress="hidden",
        concurrency_limit=None,
        api_visibility="private",
    )


def render(view: BrowseView, session: Session, services: Services) -> Changes:
    """Show a session: every component of the page."""
    file = services.checkpoints.find(session.checkpoint)
    names = checkpoints.names(services)
    images = browse.list_open(session, services)
    uploads = len(services.images.listed("uploads"))
    choices = [("Samples", "samples"), (f"Uploads ({uploads})", "uploads")]
    return {
        view.canvas: gr.HTML(value=canvas_value(session, file, services)),
        view.source: gr.Radio(choices=choices, value=session.source),
        view.files: gr.HTML(value=files_value(session, file, services)),
        view.remove: gr.Button(visible=session.source == "uploads" and bool(images)),
        view.checkpoint: gr.Dropdown(choices=names, value=file.name if file else None),
        view.checkpoint_upload: gr.UploadButton(value=None),
        **_run_controls(view, session, file, services),
    }


def tick(view: BrowseView, session: Session, services: Services) -> Changes:
    """Show how far the run is; at its end, everything."""
    progress = predict.progress(session, services)
    if not progress.running:
        return render(view, session, services)
    return {view.canvas: gr.HTML(progress={"status": _status(progress), "busy": _busy(progress)})}


def canvas_value(session: Session, file: CheckpointFile | None, services: Services) -> CanvasValue:
    """Describe what is open to the canvas."""
    shelf = browse.shelf(session, services)
    progress = predict.progress(session, services)
    rows: list[StripImage] = []
    for image in shelf.images:
        row: StripImage = {
            "key": image.key,
            "file_name": image.file_name,
            "url": browse.document_url(image.key, file),
            "thumb": f"/api/thumbnails/{image.key}",
        }
        if image.key in shelf.sentences:
            row["note"] = shelf.sentences[image.key]
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
    }


def files_value(session: Session, file: CheckpointFile | None, services: Services) -> FilesValue:
    """Describe the list to the upload panel."""
    return {
        "export": "" if file is None else browse.list_export_url(session, file),
        "images": len(browse.list_open(session, services)),
        "samples": len(services.images.listed("samples")),
        "image_bytes": services.settings.limits.image_bytes,
        "first": None,
    }


def _run_controls(
    view: BrowseView, session: Session, file: CheckpointFile | None, services: Services
) -> Changes:
    progress = predict.progress(session, services)
    return {
        view.hint: checkpoints.none_yet(services) if file is None else "",
        view.complaint: session.complaint or predict.failure(session, services),
        view.run: gr.Button(visible=progress.can_run),
        view.stop: gr.Button(visible=progress.running),
        view.timer: gr.Timer(active=progress.running),
    }


def _status(progress: predict.Progress) -> list[str]:
    return [progress.checkpoint, progress.device, progress.text]


def _busy(progress: predict.Progress) -> Busy | None:
    if not progress.running:
        return None
    return {"text": progress.text, "done": progress.done, "total": progress.total}
