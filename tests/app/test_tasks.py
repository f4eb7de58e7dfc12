"""Work beside the server: once a question, told how far it is, stopped, remembered."""

import threading
import time
from collections.abc import Iterator

import pytest

from app.services.tasks import MOST, Report, StoppedError, Tasks, TaskState
from comask.errors import InputError

SOON = 20.0  # seconds that are never waited for if all is well
BUSY = "The Studio is busy with other questions; ask again in a moment."


class Job:
    """Work whose end is a test's to choose: it reports, waits for the gate, reports again."""

    def __init__(self, content: bytes = b"answer", *, opened: bool = False) -> None:
        self.content = content
        self.begun, self.gate, self.ended = (threading.Event() for _ in range(3))
        self.runs, self.was_stopped = 0, False
        self.error: Exception | None = None
        if opened:
            self.gate.set()

    def __call__(self, report: Report) -> bytes:
        self.runs += 1
        try:
            report(1, 4)
            self.begun.set()
            assert self.gate.wait(SOON)
            report(2, 4)
            if self.error is not None:
                raise self.error
            return self.content
        except StoppedError:
            self.was_stopped = True
            raise
        finally:
            self.ended.set()


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    made = Tasks(100)
    yield made
    made.close()


def begin(tasks: Tasks, key: str, job: Job) -> TaskState:
    """Ask without waiting for the end, but for the beginning."""
    tasks.ask(key, job, 0)
    assert job.begun.wait(SOON)
    return tasks.ask(key, job, 0)


def settle(tasks: Tasks, number: str) -> None:
    """Wait until a task's thread is gone."""
    for thread in threading.enumerate():
        if thread.name == number:
            thread.join(SOON)


def test_the_same_question_twice_is_one_work(tasks: Tasks) -> None:
    job = Job()
    first = begin(tasks, "a", job)
    second = tasks.ask("a", job, 0)
    assert (first.stage, first.id) == (second.stage, second.id) == ("working", second.id)
    job.gate.set()
    assert tasks.ask("a", job, SOON).content == b"answer"
    assert tasks.ask("a", job, 0).content == b"answer"
    assert job.runs == 1


def test_many_askers_at_once_get_one_works_answer(tasks: Tasks) -> None:
    job, told = Job(), []
    askers = [
        threading.Thread(target=lambda: told.append(tasks.ask("a", job, SOON).content))
        for _ in range(5)
    ]
    for one in askers:
        one.start()
    assert job.begun.wait(SOON)
    job.gate.set()
    for one in askers:
        one.join(SOON)
    assert told == [b"answer"] * 5
    assert job.runs == 1


def test_an_answer_in_time_is_no_progress(tasks: Tasks) -> None:
    state = tasks.ask("a", Job(b"quick", opened=True), SOON)
    assert (state.stage, state.content, state.sentence) == ("done", b"quick", "")


def test_progress_is_what_was_reported_last(tasks: Tasks) -> None:
    job = Job()
    state = begin(tasks, "a", job)
    assert (state.stage, state.done, state.total) == ("working", 1, 4)
    job.gate.set()


def test_answers_are_remembered_within_the_budget(tasks: Tasks) -> None:
    """Two of 40 bytes fit into 100; of three the one asked for longest ago is gone."""
    jobs = {key: Job(key.encode() * 40, opened=True) for key in "abc"}
    for key, job in jobs.items():
        assert tasks.ask(key, job, SOON).content == job.content
    for key in "cba":
        assert tasks.ask(key, jobs[key], SOON).content == jobs[key].content
    assert {key: job.runs for key, job in jobs.items()} == {"a": 2, "b": 1, "c": 1}


def test_an_answer_above_the_budget_is_given_and_not_kept(tasks: Tasks) -> None:
    job = Job(b"x" * 101, opened=True)
    for runs in (1, 2):
        assert len(tasks.ask("a", job, SOON).content) == 101
        assert job.runs == runs


# -- stopping -----------------------------------------------------------------------------------


def test_stopped_work_ends_at_its_next_report(tasks: Tasks) -> None:
    job = Job()
    state = begin(tasks, "a", job)
    assert tasks.stop(state.id)
    job.gate.set()
    assert job.ended.wait(SOON)
    assert job.was_stopped
    settle(tasks, state.id)
    assert not tasks.stop(state.id)


def test_who_waits_for_work_that_is_stopped_is_told(tasks: Tasks) -> None:
    job, told = Job(), []
    state = begin(tasks, "a", job)
    asker = threading.Thread(target=lambda: told.append(tasks.ask("a", job, SOON)))
    asker.start()
    while not tasks._running["a"].askers:
        time.sleep(0.001)
    tasks.stop(state.id)
    job.gate.set()
    asker.join(SOON)
    assert [(one.stage, one.sentence) for one in told] == [("failed", "This was stopped.")]


def test_asking_again_after_a_stop_starts_anew(tasks: Tasks) -> None:
    """At once, while the old work has not noticed yet, and also when it has."""
    old, new = Job(b"old"), Job(b"new", opened=True)
    state = begin(tasks, "a", old)
    tasks.stop(state.id)
    assert tasks.ask("a", new, SOON).content == b"new"
    old.gate.set()
    settle(tasks, state.id)
    assert old.was_stopped
    assert tasks.ask("a", old, SOON).content == b"new"
    assert (old.runs, new.runs) == (1, 1)


def test_a_stop_is_no_failure_to_be_told_later(tasks: Tasks) -> None:
    job = Job()
    state = begin(tasks, "a", job)
    tasks.stop(state.id)
    job.gate.set()
    settle(tasks, state.id)
    assert tasks.ask("a", job, SOON).content == b"answer"


@pytest.mark.parametrize("number", ["", "task-0", "task-999", "../x", "task-1\n"])
def test_nobody_else_is_stopped(tasks: Tasks, number: str) -> None:
    job = Job()
    begin(tasks, "a", job)
    assert not tasks.stop(number)
    job.gate.set()
    assert tasks.ask("a", job, SOON).stage == "done"


def test_closing_stops_everything(tasks: Tasks) -> None:
    jobs = [Job(), Job()]
    for number, job in enumerate(jobs):
        begin(tasks, str(number), job)
    tasks.close(0)  # does not wait for what does not report
    for job in jobs:
        job.gate.set()
    tasks.close()
    assert all(job.ended.is_set() and job.was_stopped for job in jobs)


# -- failing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InputError("there is no such cell"), "there is no such cell"),
        (OSError("the disk is gone"), "the disk is gone"),
        (KeyError("x"), "This could not be computed (KeyError: 'x')."),
        (MemoryError(), "This could not be computed (MemoryError:)."),
        (RuntimeError("two\n  lines"), "This could not be computed (RuntimeError: two lines)."),
    ],
)
def test_a_failure_is_one_sentence_told_once(tasks: Tasks, error: Exception, sentence: str) -> None:
    job = Job(opened=True)
    job.error = error
    state = tasks.ask("a", job, SOON)
    assert (state.stage, state.sentence, state.content) == ("failed", sentence, b"")
    job.error = None
    assert tasks.ask("a", job, SOON).content == b"answer"
    assert job.runs == 2


def test_a_long_fault_is_cut(tasks: Tasks) -> None:
    job = Job(opened=True)
    job.error = RuntimeError("x" * 1000)
    sentence = tasks.ask("a", job, SOON).sentence
    assert len(sentence) < 300
    assert sentence.endswith(").")


def test_a_failure_that_nobody_waited_for_is_told_to_who_asks_next(tasks: Tasks) -> None:
    """Between two askings the work failed: it must not begin again without a word."""
    job = Job()
    job.error = InputError("no")
    state = begin(tasks, "a", job)
    job.gate.set()
    settle(tasks, state.id)
    told = tasks.ask("a", job, 0)
    assert (told.stage, told.sentence, job.runs) == ("failed", "no", 1)
    job.error = None
    assert tasks.ask("a", job, SOON).content == b"answer"
    assert job.runs == 2


# -- how much at once ---------------------------------------------------------------------------


def test_too_much_at_once_is_one_sentence(tasks: Tasks) -> None:
    jobs = [Job() for _ in range(MOST)]
    states = [begin(tasks, str(number), job) for number, job in enumerate(jobs)]
    more = Job(opened=True)
    with pytest.raises(InputError) as refused:
        tasks.ask("more", more, 0)
    assert str(refused.value) == BUSY
    assert more.runs == 0
    assert tasks.ask("0", jobs[0], 0).stage == "working"  # what goes on may be asked for
    tasks.stop(states[0].id)
    assert tasks.ask("more", more, SOON).stage == "done"
    for job in jobs:
        job.gate.set()
