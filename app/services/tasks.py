"""Work that somebody waits for, beside the server: with progress, a way to stop, and a memory.

Work goes by what it answers: whoever asks the same while it goes on waits for the same work, and
who asks again later gets the same bytes.
"""

import itertools
import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Literal

from app.services.recent import Recent
from comask.errors import ComaskError, InputError

Stage = Literal["working", "done", "failed"]
Report = Callable[[int, int], None]
Work = Callable[[Report], bytes]

MOST = 6  # pieces of work at once; the model serves one at a time anyway

_LOG = logging.getLogger(__name__)


class StoppedError(Exception):
    """Nobody wants to know any more."""


@dataclass(frozen=True)
class TaskState:
    """How far some work is.

    id        what ``stop`` takes
    done      of ``total`` steps; 0 of 0 where nobody knows
    content   the answer, once it is done
    sentence  why there is none, if it failed
    """

    id: str
    stage: Stage = "working"
    done: int = 0
    total: int = 0
    content: bytes = b""
    sentence: str = ""


@dataclass
class _Task:
    state: TaskState
    askers: int = 0  # who wait for the end just now
    ended: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)


class Tasks:
    """Answer questions that take a while; several threads may ask at once."""

    def __init__(self, budget: int) -> None:
        """Take the bytes of answers that are held ready."""
        self._answers: Recent[Hashable, bytes] = Recent(budget)
        self._untold: Recent[Hashable, TaskState] = Recent(MOST)  # failures
        self._running: dict[Hashable, _Task] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def ask(self, key: Hashable, work: Work, wait: float) -> TaskState:
        """Answer, or say how far the work is after ``wait`` seconds; a failure is told once.

        Raises InputError while too much else goes on.
        """
        with self._lock:
            known = self._known(key)
            if known is not None:
                return known
            task = self._running.get(key)
            if task is None or task.stopped.is_set():
                task = self._start(key, work)
            task.askers += 1
        task.ended.wait(wait)
        with self._lock:
            task.askers -= 1
            return task.state

    def stop(self, number: str) -> bool:
        """Stop some work; says whether there was any of this id."""
        with self._lock:
            found = [one for one in self._running.values() if one.state.id == number]
            for task in found:
                task.stopped.set()
        return bool(found)

    def close(self, timeout: float = 10.0) -> None:
        """Stop everything and wait for it."""
        with self._lock:
            running = list(self._running.values())
            for task in running:
                task.stopped.set()
        for task in running:
            task.ended.wait(timeout)

    def _known(self, key: Hashable) -> TaskState | None:
        """Find an answer, or a failure that came while nobody waited and is told now."""
        failed = self._untold.get(key)
        if failed is not None:
            self._untold.drop(key)
            return failed
        content = self._answers.get(key)
        return None if content is None else TaskState("", "done", content=content)

    def _start(self, key: Hashable, work: Work) -> _Task:
        going = [one for one in self._running.values() if not one.stopped.is_set()]
        if len(going) >= MOST:
            raise InputError("The Studio is busy with other questions; ask again in a moment.")
        task = _Task(TaskState(f"task-{next(self._numbers)}"))
        self._running[key] = task
        run = threading.Thread(target=self._run, args=(key, task, work), daemon=True)
        run.name = task.state.id
        run.start()
        return task

    def _run(self, key: Hashable, task: _Task, work: Work) -> None:
        def report(done: int, total: int) -> None:
            if task.stopped.is_set():
                raise StoppedError
            task.state = replace(task.state, done=done, total=total)

        try:
            content = work(report)
            self._answers.put(key, content, len(content))
            self._end(key, task, replace(task.state, stage="done", content=content))
        except StoppedError:
            self._fail(key, task, "This was stopped.")
        except (ComaskError, OSError) as error:
            self._fail(key, task, str(error))
        except Exception as error:  # a fault of ours must not end the server
            _LOG.exception("A question could not be answered")
            words = " ".join(f"{type(error).__name__}: {error}".split())
            self._fail(key, task, f"This could not be computed ({words:.240}).")

    def _fail(self, key: Hashable, task: _Task, sentence: str) -> None:
        self._end(key, task, replace(task.state, stage="failed", sentence=sentence))

    def _end(self, key: Hashable, task: _Task, state: TaskState) -> None:
        with self._lock:
            task.state = state
            if self._running.get(key) is task:
                del self._running[key]
            if state.stage == "failed" and not task.askers and not task.stopped.is_set():
                self._untold.put(key, state)
        task.ended.set()
