"""Runs of the model over many images: one thread, in order, with progress and a way to stop."""

import itertools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.services.checkpoints import CheckpointFile
from comask.errors import CheckpointError, ComaskError

Stage = Literal["running", "finished", "stopped", "failed"]

KEPT_RUNS = 200  # older ones that have ended are forgotten
PAUSE = 0.2  # seconds until an image is asked for again that another process is at

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """An image of which the model made nothing, and why, in one sentence."""

    key: str
    sentence: str


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    done            images with a result, those of earlier runs included
    failures        images without one; the others went on
    seconds_left    None until an image was measured
    sentence        why a failed run ended
    """

    total: int
    done: int
    failures: tuple[Failure, ...] = ()
    stage: Stage = "running"
    seconds_left: float | None = None
    sentence: str = ""


class ElsewhereError(Exception):
    """Another process is at this image; it comes up again after the others."""


Work = Callable[[CheckpointFile, str], float | None]  # seconds; None: nothing was to be done


@dataclass
class _Run:
    owner: str
    checkpoint: CheckpointFile
    keys: frozenset[str]
    pending: OrderedDict[str, None]  # keys; a plain dict looks for its first past all that went
    state: RunState
    ran: int = 0  # images, and the seconds that they took
    seconds: float = 0.0


class Runner:
    """Work through runs one image at a time; images that somebody looks at come first."""

    def __init__(self, work: Work, ended: Callable[[], None] = lambda: None) -> None:
        """Take what is done with an image, and what is told, quickly, that a run's last is done."""
        self._work, self._ended = work, ended
        self._runs: dict[str, _Run] = {}
        self._wanted: list[tuple[str, str]] = []  # (run, key), the latest last
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._at: tuple[_Run, str] | None = None
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(
        self, owner: str, checkpoint: CheckpointFile, pending: Sequence[str], *, done: int = 0
    ) -> str:
        """Queue images; a run of the same owner that still goes on is stopped."""
        with self._changed:
            for run_id, run in self._runs.items():
                if run.owner == owner:
                    self._stop(run_id)
            state = RunState(len(pending) + done, done, stage="running" if pending else "finished")
            run_id = f"run-{next(self._numbers)}"
            self._runs[run_id] = _Run(
                owner, checkpoint, frozenset(pending), OrderedDict.fromkeys(pending), state
            )
            self._forget_old()
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._loop, name="runner", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return run_id

    def state(self, run_id: str | None) -> RunState | None:
        """Say how far a run is."""
        with self._changed:
            run = self._runs.get(run_id or "")
            return None if run is None else run.state

    def latest(self, owner: str) -> str | None:
        """Find the latest run of an owner."""
        with self._changed:
            found = [run_id for run_id, run in self._runs.items() if run.owner == owner]
            return found[-1] if found else None

    def task(self, run_id: str) -> tuple[str, CheckpointFile] | None:
        """Say whose run it is and what it runs."""
        with self._changed:
            run = self._runs.get(run_id)
            return None if run is None else (run.owner, run.checkpoint)

    def again(self, run_id: str) -> None:
        """Queue those images of a run that goes on which failed, after all others."""
        with self._changed:
            run = self._runs.get(run_id)
            if run is not None and run.state.stage == "running":
                run.pending |= dict.fromkeys(failure.key for failure in run.state.failures)
                run.state = replace(run.state, failures=())

    def complaint(self, checkpoint: CheckpointFile, key: str) -> str:
        """Say why an image has no result with a checkpoint, by the latest run that had it."""
        with self._changed:
            for run in reversed(self._runs.values()):
                if run.checkpoint == checkpoint and key in run.keys:
                    found = [f.sentence for f in run.state.failures if f.key == key]
                    return (*found, run.state.sentence)[0]
        return ""

    def awaits(self, checkpoint: CheckpointFile, key: str) -> bool:
        """Say whether a run is still to come to an image."""
        with self._changed:
            runs = [run for run in self._runs.values() if run.checkpoint == checkpoint]
            return any(key in run.pending for run in runs)

    def following(self) -> str | None:
        """Name the image that the model probably comes to after the one that it is at."""
        with self._changed:
            if self._at is None:
                return None
            run, key = self._at
            return next((other for other in run.pending if other != key), None)

    def prefer(self, run_id: str | None, key: str) -> None:
        """Put an image of a run before all others."""
        with self._changed:
            run = self._runs.get(run_id or "")
            if run is not None and run_id is not None and key in run.pending:
                self._wanted.append((run_id, key))

    def stop(self, run_id: str | None) -> None:
        """End a run after the image that it is at."""
        with self._changed:
            if run_id in self._runs:
                self._stop(run_id)

    def leave_out(self, key: str) -> None:
        """Take an image out of every run that has not come to it."""
        with self._changed:
            for run in self._runs.values():
                if key in run.pending:
                    del run.pending[key]
                    run.state = replace(run.state, total=run.state.total - 1)
                    self._end_if_empty(run)

    def close(self, timeout: float = 10.0) -> None:
        """End all runs and wait for the thread."""
        with self._changed:
            self._closing = True
            for run_id in self._runs:
                self._stop(run_id)
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    def _forget_old(self) -> None:
        ended = [run_id for run_id, run in self._runs.items() if run.state.stage != "running"]
        for run_id in ended[: max(0, len(self._runs) - KEPT_RUNS)]:
            del self._runs[run_id]

    def _stop(self, run_id: str) -> None:
        run = self._runs[run_id]
        run.pending.clear()
        if run.state.stage == "running":
            run.state = replace(run.state, stage="stopped", seconds_left=None)

    def _loop(self) -> None:
        while True:
            with self._changed:
                while (task := self._next()) is None:
                    if self._closing:
                        return
                    self._changed.wait()
                self._at = task
            self._do(*task)

    def _next(self) -> tuple[_Run, str] | None:
        while self._wanted:
            run_id, key = self._wanted.pop()
            run = self._runs.get(run_id)
            if run is not None and key in run.pending:
                return run, key
        for run in self._runs.values():
            if run.pending:
                return run, next(iter(run.pending))
        return None

    def _do(self, run: _Run, key: str) -> None:
        failure: Failure | None = None
        seconds: float | None = None
        try:
            seconds = self._work(run.checkpoint, key)
        except ElsewhereError:
            with self._changed:
                if key in run.pending:
                    run.pending[key] = run.pending.pop(key)
                self._changed.wait(PAUSE)
            return
        except CheckpointError as error:
            with self._changed:
                run.pending.clear()
                self._ended()
                run.state = replace(run.state, stage="failed", sentence=str(error))
            return
        except ComaskError as error:
            failure = Failure(key, str(error))
        except Exception as error:  # a fault of ours must not take the other images with it
            _LOG.exception("The model failed on image %s", key)
            kind = type(error).__name__
            failure = Failure(key, f"The model failed on this image ({kind}: {error})."[:300])
        with self._changed:
            self._account(run, key, seconds, failure)

    def _account(self, run: _Run, key: str, seconds: float | None, failure: Failure | None) -> None:
        run.pending.pop(key, None)
        state = run.state
        if seconds is not None:
            run.ran, run.seconds = run.ran + 1, run.seconds + seconds
        if failure is None:
            state = replace(state, done=state.done + 1)
        else:
            state = replace(state, failures=(*state.failures, failure))
        if state.stage == "running" and run.pending and run.ran:
            state = replace(state, seconds_left=run.seconds / run.ran * len(run.pending))
        run.state = state
        self._end_if_empty(run)

    def _end_if_empty(self, run: _Run) -> None:
        if run.pending:
            return
        self._ended()
        if run.state.stage == "running":
            run.state = replace(run.state, stage="finished", seconds_left=None)
