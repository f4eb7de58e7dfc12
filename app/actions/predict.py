"""Runs over the open list: start, stop, and how far they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from app.actions.browse import list_open
from app.services import CheckpointFile, RunState, Services, StoredImage
from app.session import Session


@dataclass(frozen=True)
class Progress:
    """What the machine is doing for a tab.

    checkpoint   name, or "" when there is none
    device       where the model runs, or "" until it is open
    text         the run in words
    done, total  images of the run
    running      whether there is something to wait for, or to stop
    can_run      whether images are left that a run would take
    complaint    why the checkpoint can't be used
    notes        key of an image -> what went wrong with it in this run
    """

    checkpoint: str = ""
    device: str = ""
    text: str = ""
    done: int = 0
    total: int = 0
    running: bool = False
    can_run: bool = False
    complaint: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Say whether nothing will change by itself."""
        known = not self.checkpoint or self.device or self.complaint
        return not self.running and bool(known)


def started(
    session: Session, services: Services, images: tuple[StoredImage, ...] | None = None
) -> Session:
    """Run the model over some images, or the open list; those with a result are done already."""
    file = services.checkpoints.find(session.checkpoint)
    images = list_open(session, services) if images is None else images
    if file is None or not images:
        return stopped(session, services)
    try:
        run = services.start_run(session.id, file, images)
    except OSError as error:
        return replace(session, run=None, complaint=f"{file.name} can't be read: {error.strerror}.")
    return replace(session, run=run)


def started_over_uploads(session: Session, services: Services, keys: object) -> Session:
    """Run the model over uploads that just came, by their keys; unknown ones are passed over."""
    given = keys if isinstance(keys, list) else []
    found = [services.images.find(key) for key in given if isinstance(key, str)]
    images = tuple(image for image in found if image is not None and image.source == "uploads")
    return started(session, services, images) if images else session


def stopped(session: Session, services: Services) -> Session:
    """Stop the tab's run; what it found stays."""
    services.runner.stop(session.run)
    return session


def progress(session: Session, services: Services) -> Progress:
    """Say what the machine is doing for this tab."""
    file = services.checkpoints.find(session.checkpoint)
    if file is None:
        return Progress(text="No checkpoint")
    here = Progress(
        checkpoint=file.name,
        device=device_word(services.device(file)),
        complaint=services.refusal(file),
        can_run=_is_work_left(session, services, file),
    )
    state = services.runner.state(session.run)
    if state is None:
        return here
    running = state.stage == "running"
    return replace(
        here,
        text=_in_words(state, services.models.opening),
        done=state.done + len(state.failures),
        total=state.total,
        running=running,
        can_run=here.can_run and not running,
        complaint=here.complaint or state.sentence,
        notes={failure.key: failure.sentence for failure in state.failures},
    )


def _is_work_left(session: Session, services: Services, file: CheckpointFile) -> bool:
    """Say whether a run is worth offering: one image alone is looked at when it is opened."""
    images = list_open(session, services)
    return len(images) > 1 and len(services.ready(file, images)) < len(images)


def _in_words(state: RunState, opening: str | None) -> str:
    failed = len(state.failures)
    count = f"{state.done + failed} of {_images(state.total)}"
    bad = f", {failed} failed" if failed else ""
    if state.stage == "failed":
        return "The checkpoint can't be used"
    if state.stage == "finished":
        return f"{_images(state.total)} done{bad}"
    if state.stage == "stopped":
        return f"Stopped at {count}{bad}"
    if opening is not None:
        return f"{count}{bad}, opening {opening}"
    if state.seconds_left is None:
        return f"{count}{bad}"
    return f"{count}{bad}, {duration(state.seconds_left)} left"


def device_word(device: str | None) -> str:
    """Say where the model runs as people say it: "cuda:0" is the GPU."""
    if device is None:
        return ""
    return {"cpu": "CPU", "cuda": "GPU", "cuda:0": "GPU", "mps": "Apple GPU"}.get(device, device)


def duration(seconds: float) -> str:
    """Say a time in words that people use."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 90:
        return f"{round(seconds / 5) * 5} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
