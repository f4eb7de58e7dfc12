"""Decoding, the network and keeping overlap; order, faults and stops stay as they were."""

import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from comask.annotation.store import Store
from comask.errors import InputError
from comask.predict import Prediction, Predictor
from comask.run import Run, predict_files, run_settings
from comask.run.files import InSteps
from tests.factories import write_checkpoint, write_picture
from tests.run.standin import Boxes

Files = list[tuple[Path, str]]
PATIENCE = 60.0  # seconds after which something is taken to wait for ever


class Seen:
    """What a network sees; it can be told whether somebody still holds it."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels


class Stepwise(Boxes):
    """``Boxes`` in three steps that can be listened to."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: dict[str, set[str]] = {"prepare": set(), "find": set(), "draw": set()}
        self.counting = threading.Lock()
        self.held: weakref.WeakSet[Seen] = weakref.WeakSet()
        self.most = 0
        self.at: Callable[[str, int], None] = lambda _step, _count: None
        self.drawn = self.prepared = 0

    def prepare(self, image: NDArray[np.uint8], /) -> Seen:
        self._note("prepare")
        made = Seen(image)
        with self.counting:  # two threads prepare
            self.prepared += 1
            count = self.prepared
            self.held.add(made)
            self.most = max(self.most, len(self.held))
        self.at("prepare", count)
        return made

    def find(self, prepared: Seen, /, *, candidates: bool = False) -> Prediction:
        self._note("find")
        found = self.predict(prepared.pixels, candidates=candidates)
        self.at("find", self.seen)
        return found

    def draw(self, found: Prediction, prepared: Seen, /) -> Prediction:
        assert prepared.pixels.shape[:2] == found.size
        self._note("draw")
        self.drawn += 1
        self.at("draw", self.drawn)
        return found

    def _note(self, step: str) -> None:
        self.threads[step].add(threading.current_thread().name)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    folder = tmp_path / "pictures"
    return [(write_picture(folder / f"{n:02}.png", seed=n), f"{n:02}.png") for n in range(6)]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield Run.open(opened, dataset="folder", checkpoint="boxes")


def names(found: Any) -> list[str]:
    return [one.name for one in found]


def test_the_predictor_works_in_steps(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "small.safetensors")
    assert isinstance(Predictor.from_checkpoint(checkpoint, device="cpu"), InSteps)
    assert not isinstance(Boxes(), InSteps)


def test_the_network_is_at_the_next_image_while_one_is_kept(run: Run, files: Files) -> None:
    """Whoever has taken image k waits here until the network is at image k + 1: no deadlock."""
    detector, begun = Stepwise(), [threading.Event() for _ in range(len(files) + 1)]
    detector.at = lambda step, count: begun[count - 1].set() if step == "find" else None
    for place, row in enumerate(run.work(detector, files)):
        assert row.name == files[place][1]
        if place + 1 < len(files):
            assert begun[place + 1].wait(PATIENCE)
    assert detector.threads["draw"] == {threading.main_thread().name}
    assert len(detector.threads["find"]) == 1
    assert not detector.threads["find"] & detector.threads["prepare"]
    assert threading.main_thread().name not in detector.threads["find"]


def test_images_are_prepared_while_the_network_works(files: Files) -> None:
    """The network waits at the first image until the third one is prepared."""
    detector, third = Stepwise(), threading.Event()

    def at(step: str, count: int) -> None:
        if (step, count) == ("prepare", 3):
            third.set()
        if (step, count) == ("find", 1):
            assert third.wait(PATIENCE)

    detector.at = at
    assert names(predict_files(detector, files, progress=False)) == [name for _, name in files]


def test_a_few_images_are_held_however_many_there_are(run: Run, files: Files) -> None:
    """Two decoded, one handed over, one in the network, one being kept."""
    detector = Stepwise()
    many = [(path, f"{n}-{name}") for n in range(5) for path, name in files]
    for row in run.work(detector, many):
        assert row.state == "done"
    assert detector.seen == 30
    assert detector.most <= 6


def test_every_step_may_fail_and_the_fault_stays_with_its_image(run: Run, files: Files) -> None:
    detector = Stepwise()
    (files[5][0]).write_bytes(b"no picture")

    def at(step: str, count: int) -> None:
        if (step, count) == ("find", 2):
            raise InputError("too odd")
        if (step, count) == ("find", 3):
            raise RuntimeError("no kernel")
        if (step, count) == ("draw", 2):  # of the fourth image: two have failed before it
            raise MemoryError

    detector.at = at
    rows = list(run.work(detector, files))
    assert names(rows) == [name for _, name in files]
    assert [row.state for row in rows] == ["done", "failed", "failed", "failed", "done", "failed"]
    assert [row.reason for row in rows[1:4]] == [
        "01.png: too odd",
        "the model failed on 02.png (RuntimeError: no kernel)",
        "03.png needs more memory than there is",
    ]
    assert rows[5].reason.startswith("05.png is text")


def test_a_run_that_is_left_keeps_nothing_more_and_leaves_no_thread(run: Run, files: Files) -> None:
    before = set(threading.enumerate())
    detector, second = Stepwise(), threading.Event()
    detector.at = lambda step, count: second.set() if (step, count) == ("find", 2) else None
    rows = run.work(detector, files)
    assert next(rows).name == "00.png"
    assert second.wait(PATIENCE)
    rows.close()
    assert set(threading.enumerate()) <= before
    assert run.store.names(run.row.id) == {"00.png"}
    for _, name in files[1:]:  # all of them are free again
        assert run.store.claim(run.row.id, name, "somebody elsewhere|1|1|x")


def test_an_interrupt_in_the_network_ends_the_run(run: Run, files: Files) -> None:
    detector = Stepwise()

    def at(step: str, count: int) -> None:
        if (step, count) == ("find", 3):
            raise KeyboardInterrupt

    detector.at = at
    seen: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(row.name for row in run.work(detector, files))
    assert run.store.names(run.row.id) == {"00.png", "01.png"}


def test_steps_give_what_predict_gives(tmp_path: Path, files: Files) -> None:
    checkpoint = write_checkpoint(tmp_path / "small.safetensors")
    detector = Predictor.from_checkpoint(checkpoint, device="cpu", settings=run_settings())
    for outcome in predict_files(detector, files[:3], progress=False):
        assert outcome.image is not None
        assert outcome.prediction is not None
        alone = detector.predict(outcome.image.pixels)
        assert alone.masks == outcome.prediction.masks
        np.testing.assert_array_equal(alone.scores, outcome.prediction.scores)
