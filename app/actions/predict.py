"""Runs over the open list: start, stop, and how far they are."""

from dataclasses import dataclass, replace

from app.actions.browse import list_open
from app.services import RunState, Services
from app.session import Session
from comask.errors import ComaskError


@dataclass(frozen=True)
class Progress:
    """What the status line says.

    checkpoint   name, or "" when there is none
    device       where the model runs, or "" until it is open
    text         the run in words
    done, total  images of the run
    running      whether there is something to wait for, or to stop
    can_run      whether images are left that a new run would take
    """

    checkpoint: str
    device: str
    text: str
    done: int
    total: int
    running: bool
    can_run: bool


def started(session: Session, services: Services) -> Session:
    """Run the model over the images of the open list that have no result yet."""
    file = services.checkpoints.find(session.checkpoint)
    images = list_open(session, services)
    if file is None or not images:
        services.runner.stop(session.run)
        return replace(session, run=None)
    try:
        run = services.start_run(session.id, file, images)
    except (ComaskError, OSError) as error:
        return replace(session, run=None, complaint=str(error))
    if session.image is not None:
        services.runner.prefer(run, session.image)
    return replace(session, run=run)


def stopped(session: Session, services: Services) -> Session:
    """Stop the tab's run; what it found stays."""
    services.runner.stop(session.run)
    return session


def progress(session: Session, services: Services) -> Progress:
    """Say what the machine is doing for this tab."""
    file = services.checkpoints.find(session.checkpoint)
    if file is None:
        return Progress("", "", "No checkpoint", 0, 0, running=False, can_run=False)
    device = device_word(services.device(file))
    state = services.runner.state(session.run)
    if state is None:
        return Progress(file.name, device, "", 0, 0, running=False, can_run=False)
    running = state.stage == "running"
    return Progress(
        checkpoint=file.name,
        device=device,
        text=_in_words(state, services.models.opening),
        done=state.done + len(state.failures),
        total=state.total,
        running=running,
        can_run=not running and state.done < state.total,
    )


def failure(session: Session, services: Services) -> str:
    """Say why the tab's run ended before its time, or nothing."""
    state = services.runner.state(session.run)
    return state.sentence if state is not None and state.stage == "failed" else ""


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
