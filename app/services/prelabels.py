"""Labels from a model over many images, beside the server: progress, a way to stop, another try.

A task goes by the key that the page made for it: whoever asks the same again, after a reload or a
lost answer, gets the task that goes on. What it does to one image it does only once, so a task that
was stopped, or that ended with the server, is begun again and leaves out what is done.
"""

import itertools
import logging
import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from app.services.runner import Failure, Stage
from comask.errors import CheckpointError, ComaskError, InputError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.run import Labelled

KEPT_TASKS = 200  # older ones that have ended are forgotten
MOST = 4  # tasks at once; the model serves one image at a time anyway
GLANCE = 0.05  # seconds between two looks whether the model has seen an image

_LOG = logging.getLogger(__name__)


class Job(Protocol):
    """What a task does; called by one thread at a time."""

    def begin(self, keys: Sequence[str]) -> None:
        """See to it that the model looks at images."""

    def label(self, key: str) -> "Labelled | None":
        """Label an image; None while the model is still to come to it.

        Raises CheckpointError where nothing more can be done, ComaskError for this image alone.
        """

    def seconds_left(self) -> float | None:
        """Say how long the model still takes, if somebody knows."""

    def end(self) -> None:
        """Let the model stop; called once for each ``begin``."""


@dataclass(frozen=True)
class PrelabelState:
    """How far a task is.

    done      images that are labelled, those included where there was nothing to add
    added     labels that came, on so many ``images``
    left_out  instances of classes that have none in the project
    failures  images of which nothing became; the others went on
    sentence  why a failed task ended
    """

    total: int
    stage: Stage = "running"
    done: int = 0
    added: int = 0
    images: int = 0
    left_out: int = 0
    failures: tuple[Failure, ...] = ()
    seconds_left: float | None = None
    sentence: str = ""


@dataclass
class _Task:
    id: str
    project: str
    job: Job
    pending: dict[str, None]  # keys in order
    state: PrelabelState
    stopped: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class Prelabels:
    """Start, watch and stop tasks; several threads may ask at once."""

    def __init__(self) -> None:
        self._tasks: dict[str, _Task] = {}
        self._known: dict[Hashable, str] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def start(self, project: str, key: str, keys: Sequence[str], job: Job) -> str:
        """Label images, or join the task of this key; raises InputError while too much goes on."""
        with self._lock:
            known = self._tasks.get(self._known.get((project, key), ""))
            if known is not None and known.state.stage in ("running", "finished"):
                return known.id
            self._refuse_too_many()
            number = f"prelabel-{next(self._numbers)}"
            pending = dict.fromkeys(keys)
            task = _Task(number, project, job, pending, PrelabelState(len(pending)))
            self._tasks[number] = task
            self._known[project, key] = number
            self._forget_old()
            self._go(task)
        return number

    def state(self, number: str) -> PrelabelState | None:
        """Say how far a task is; None for one that is not known any more."""
        with self._lock:
            task = self._tasks.get(number)
            return None if task is None else task.state

    def latest(self, project: str) -> str | None:
        """Find the task that goes on in a project, or else the latest one."""
        with self._lock:
            own = [task for task in self._tasks.values() if task.project == project]
            going = [task for task in own if task.state.stage == "running"]
            return (going or own)[-1].id if own else None

    def stop(self, number: str) -> None:
        """End a task after the image that it is at."""
        with self._lock:
            task = self._tasks.get(number)
            if task is not None and task.state.stage == "running":
                task.stopped.set()
                task.state = replace(task.state, stage="stopped", seconds_left=None)

    def retry(self, number: str) -> bool:
        """Try images again that failed, and those that a stopped task left; False for unknown."""
        with self._lock:
            task = self._tasks.get(number)
            if task is None:
                return False
            if task.state.stage == "running":
                return True
            again = dict.fromkeys(failure.key for failure in task.state.failures)
            again |= task.pending
            if not again:
                return True
            self._refuse_too_many()
            task.pending = again
            task.state = replace(task.state, stage="running", failures=(), sentence="")
            former, task.stopped = task.thread, threading.Event()
            self._go(task, former)
        return True

    def close(self, timeout: float = 10.0) -> None:
        """Stop all tasks and wait for them."""
        with self._lock:
            threads = [task.thread for task in self._tasks.values()]
            for task in self._tasks.values():
                task.stopped.set()
        for thread in threads:
            if thread is not None:
                thread.join(timeout)

    def _go(self, task: _Task, former: threading.Thread | None = None) -> None:
        task.thread = threading.Thread(
            target=self._run, args=(task, task.stopped, former), name=task.id, daemon=True
        )
        task.thread.start()

    def _run(self, task: _Task, stopped: threading.Event, former: threading.Thread | None) -> None:
        if former is not None:
            former.join()  # it is at its last image
        try:
            task.job.begin(list(task.pending))
            try:
                self._work(task, stopped)
            finally:
                task.job.end()
        except (ComaskError, OSError) as error:
            self._end(task, stopped, "failed", f"{str(error).rstrip('.')}.")
        except Exception as error:
            _LOG.exception("Pre-labelling failed")
            words = " ".join(f"{type(error).__name__}: {error}".split())
            self._end(task, stopped, "failed", f"This can't go on ({words:.240}).")
        else:
            self._end(task, stopped, "finished")

    def _work(self, task: _Task, stopped: threading.Event) -> None:
        start = time.monotonic()
        for count, key in enumerate(list(task.pending), start=1):
            made: Labelled | None = None
            failure = ""
            try:
                while made is None and not stopped.is_set():
                    made = task.job.label(key)
                    if made is None:
                        self._estimate(task, stopped, task.job.seconds_left())
                        stopped.wait(GLANCE)
            except CheckpointError:
                raise
            except ComaskError as error:
                failure = str(error)
            if made is None and not failure:
                return
            self._account(task, key, made, failure)
            own = (time.monotonic() - start) / count * len(task.pending)
            model = task.job.seconds_left()
            self._estimate(task, stopped, own if model is None else max(own, model))

    def _account(self, task: _Task, key: str, made: "Labelled | None", failure: str) -> None:
        with self._lock:
            state = task.state
            task.pending.pop(key, None)
            if made is None or made.failure:
                sentence = failure or (made.failure if made else "")
                task.state = replace(state, failures=(*state.failures, Failure(key, sentence)))
                return
            task.state = replace(
                state,
                done=state.done + 1,
                added=state.added + made.added,
                images=state.images + bool(made.added),
                left_out=state.left_out + sum(made.left_out.values()),
            )

    def _estimate(self, task: _Task, stopped: threading.Event, seconds: float | None) -> None:
        with self._lock:
            if not stopped.is_set() and task.state.stage == "running":
                task.state = replace(task.state, seconds_left=seconds)

    def _end(self, task: _Task, stopped: threading.Event, stage: Stage, sentence: str = "") -> None:
        with self._lock:
            if not stopped.is_set() and task.state.stage == "running":
                task.state = replace(task.state, stage=stage, sentence=sentence, seconds_left=None)

    def _refuse_too_many(self) -> None:
        going = [task for task in self._tasks.values() if task.state.stage == "running"]
        if len(going) >= MOST:
            raise InputError("Other pre-labelling goes on; wait for it, or stop it.")

    def _forget_old(self) -> None:
        ended = [number for number, task in self._tasks.items() if task.state.stage != "running"]
        for number in ended[: max(0, len(self._tasks) - KEPT_TASKS)]:
            del self._tasks[number]
        self._known = {key: number for key, number in self._known.items() if number in self._tasks}
