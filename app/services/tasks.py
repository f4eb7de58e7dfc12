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
    ended: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)


class Tasks:
    """Answer questions that take a while; several threads may ask at once."""

    def __init__(self, budget: int) -> None:
        """Take the bytes of answers that are held ready."""
        self._answers: Recent[Hashable, bytes] = Recent(budget)
        self._running: dict[Hashable, _Task] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def ask(self, key: Hashable, work: Work, wait: float) -> TaskState:
        """Answer, or say how far the work is after ``wait`` seconds; a failure is told once.

        Raises InputError while too much else goes on.
        """
        with self._lock:
            known = self._answers.get(key)
            if known is not None:
                return TaskState("", "done", content=known)
            task = self._running.get(key)
            if task is None or task.stopped.is_set():
                task = self._start(key, work)
        task.ended.wait(wait)
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
            task.state = replace(task.state, stage="done", content=content)
        except StoppedError:
            task.state = replace(task.state, stage="failed", sentence="This was stopped.")
        except (ComaskError, OSError) as error:
            task.state = replace(task.state, stage="failed", sentence=str(error))
        except Exception as error:  # a fault of ours must not end the server
            _LOG.exception("A question could not be answered")
            sentence = f"This could not be computed ({type(error).__name__}: {error})."[:300]
            task.state = replace(task.state, stage="failed", sentence=sentence)
        finally:
            with self._lock:
                if self._running.get(key) is task:
                    del self._running[key]
            task.ended.set()
