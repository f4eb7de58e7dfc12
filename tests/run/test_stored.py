"""Runs that are kept: resumed, shared, retried, and exported the same however they were made."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from comask.annotation import coco
from comask.annotation.records import Category, ImageRecord
from comask.annotation.store import OutcomeRow, Store
from comask.data import images
from comask.errors import StoreError
from comask.predict import PredictionSettings, Predictor
from comask.run import RUN_SCORE, Run, identify, predict_files, run_settings, to_annotations
from comask.run.packing import pack
from tests.factories import write_checkpoint, write_picture
from tests.run import standin
from tests.run.standin import Boxes

ROOT = Path(__file__).resolve().parents[2]
Files = list[tuple[Path, str]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    folder = tmp_path / "pictures"
    return [(write_picture(folder / f"{n}.png", seed=n), f"{n}.png") for n in range(5)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture
def run(store: Store) -> Run:
    return Run.open(store, dataset="folder", checkpoint="boxes")


def unbroken(files: Files, folder: Path) -> bytes:
    with Store.open(folder / "unbroken.sqlite") as store:
        run = Run.open(store, dataset="folder", checkpoint="boxes")
        assert len(list(run.work(Boxes(), files))) == len(files)
        return standin.export(run, files)


def process(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "tests/run/standin.py", *map(str, words)]
    return subprocess.Popen(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_run_keeps_everything_once(run: Run, files: Files) -> None:
    detector = Boxes()
    assert run.pending(name for _, name in files) == [f"{n}.png" for n in range(5)]
    rows = list(run.work(detector, files))
    assert [(r.name, r.state, r.width, r.height, r.instances) for r in rows] == [
        (f"{n}.png", "done", 40, 30, 2) for n in range(5)
    ]
    assert list(run.work(detector, files)) == rows
    assert detector.seen == 5
    assert run.pending(name for _, name in files) == []
    kept = run.prediction("3.png")
    assert kept is not None
    alone = Boxes().predict(images.load(files[3][0]).pixels, candidates=True)
    np.testing.assert_array_equal(kept.trace.votes, alone.trace.votes)
    assert kept.masks == alone.masks
    assert kept.candidates is not None
    assert run.prediction("none.png") is None


def test_images_are_found_where_threads_begin_late(
    run: Run, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy(ThreadPoolExecutor):
        def __init__(self, max_workers: int, thread_name_prefix: str) -> None:
            super().__init__(max_workers, thread_name_prefix)
            for _ in range(max_workers):
                self.submit(time.sleep, 0.1)

    monkeypatch.setattr("comask.run.files.ThreadPoolExecutor", Busy)
    detector = Boxes()
    row = run.step(detector, files[0][1], files[0][0])
    assert row is not None
    assert (row.state, row.reason) == ("done", "")
    assert [one.state for one in run.work(detector, files[:3])] == ["done"] * 3
    assert detector.seen == 3


def test_no_files_are_an_ordinary_run(run: Run) -> None:
    assert list(run.work(Boxes(), [])) == []
    assert run.export([]).images == ()


def test_an_export_keeps_ids_and_filters_by_class_score(run: Run, files: Files) -> None:
    list(run.work(Boxes(), files))
    records = [
        ImageRecord(70, "3.png", 40, 30, {"license": 3}),
        ImageRecord(8, "none.png", 1, 1),
        ImageRecord(9, "1.png", 30, 40),  # the file itself knows better
        ImageRecord(10, "3.png", 40, 30),  # the same file under another id
    ]
    all_of_it = run.export(records)
    assert all_of_it.images == (records[0], ImageRecord(9, "1.png", 40, 30), records[3])
    assert [a.id for a in all_of_it.annotations] == [1, 2, 3, 4, 5, 6]
    assert [a.image_id for a in all_of_it.annotations] == [70, 70, 9, 9, 10, 10]
    assert all_of_it.categories == standin.CATEGORIES
    sure = run.export(records, 0.5)
    assert [(a.id, a.image_id) for a in sure.annotations] == [(1, 70), (2, 9), (3, 10)]
    at = float(np.float32(0.9))
    assert run.export(records, at).annotations == ()  # above it, strictly
    assert run.export(records, 0.9).annotations == ()  # and as float32
    assert run.export([], categories=[Category(4, "x")]).categories == (Category(4, "x"),)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "image"), [("predict", 1), ("commit", 3), ("predict", 5)])
def test_a_killed_run_goes_on_and_ends_the_same(
    tmp_path: Path, files: Files, how: str, image: int
) -> None:
    place, folder = tmp_path / "killed.sqlite", tmp_path / "pictures"
    killed = process(place, folder, how, image)
    assert killed.wait() == -9
    with Store.open(place) as store:
        run = Run.open(store, dataset="folder", checkpoint="boxes")
        names = [name for _, name in files]
        pending = run.pending(names)
        # while the model is at an image, the one before it may still be on its way to the store
        assert pending in (names[image - 1 :], names[max(image - 2, 0) :])
        detector = Boxes()
        assert len(list(run.work(detector, files))) == 5
        assert detector.seen == len(pending)
        assert standin.export(run, files) == unbroken(files, tmp_path)


@pytest.mark.slow
def test_two_processes_share_a_run(tmp_path: Path) -> None:
    folder, place = tmp_path / "pictures", tmp_path / "shared.sqlite"
    files = [(write_picture(folder / f"{n}.png", seed=n), f"{n}.png") for n in range(24)]
    files.sort()
    both = [process(place, folder, "slow") for _ in range(2)]
    said = [one.communicate()[0].split() for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert [outcomes for outcomes, _ in said] == ["24", "24"]
    assert sum(int(seen) for _, seen in said) == 24
    with Store.open(place) as store:
        run = Run.open(store, dataset="folder", checkpoint="boxes")
        assert standin.export(run, files) == unbroken(files, tmp_path)


def test_bad_images_are_kept_as_failures_and_tried_again(run: Run, files: Files) -> None:
    good = files[1][0].read_bytes()
    for (path, _), content in zip(files, (b"", b"not a picture", good[:200]), strict=False):
        path.write_bytes(content)
    files.append((files[0][0].with_name("gone.png"), "gone.png"))
    rows = list(run.work(Boxes(), files))
    assert sorted(row.state for row in rows) == ["done"] * 2 + ["failed"] * 4
    failures = run.failures()
    assert set(failures) == {"0.png", "1.png", "2.png", "gone.png"}
    assert failures["1.png"].startswith("1.png is text")
    assert all(name in sentence for name, sentence in failures.items())
    assert not any(str(files[0][0].parent) in sentence for sentence in failures.values())
    assert len(run.export([ImageRecord(1, name, 1, 1) for _, name in files]).images) == 2
    files[1][0].write_bytes(good)
    assert run.retry(["1.png", "3.png"]) == ["1.png"]
    assert run.pending(name for _, name in files) == ["1.png"]
    again = {row.name: row.state for row in run.work(Boxes(), files)}
    assert [name for name, state in again.items() if state == "failed"] == [
        "0.png", "2.png", "gone.png",
    ]  # fmt: skip


def test_a_fault_of_the_model_does_not_end_the_run(run: Run, files: Files) -> None:
    detector = Boxes()

    def before(count: int) -> None:
        if count == 2:
            raise RuntimeError("no kernel for this size")

    detector.before = before
    rows = list(run.work(detector, files))
    assert [row.state for row in rows] == ["done", "failed", "done", "done", "done"]
    assert rows[1].reason == "the model failed on 1.png (RuntimeError: no kernel for this size)"


def test_a_file_that_has_changed_is_run_over_again(run: Run, files: Files) -> None:
    list(run.work(Boxes(), files))
    write_picture(files[2][0], seed=9)
    files[3][0].touch()  # its content is what it was
    files[4][0].unlink()
    detector = Boxes()
    assert len(list(run.work(detector, files))) == 5
    assert detector.seen == 1


def test_one_step_is_one_image(run: Run, files: Files) -> None:
    path, name = files[0]
    row = run.step(Boxes(), name, path)
    assert row is not None
    assert (row.name, row.state) == (name, "done")
    assert run.step(Boxes(), name, path) is None
    assert run.store.claim(run.row.id, "1.png", "somebody elsewhere|1|1|x")
    assert run.step(Boxes(), "1.png", files[1][0]) is None


def test_a_run_that_is_left_early_lets_go_of_its_images(store: Store, files: Files) -> None:
    first, second = (Run.open(store, dataset="folder", checkpoint="boxes") for _ in range(2))
    outcomes = first.work(Boxes(), files)
    assert next(outcomes).name == "0.png"
    outcomes.close()
    detector = Boxes()
    assert len(list(second.work(detector, files))) == 5
    assert detector.seen == 4


def test_only_what_was_put_last_need_not_be_read(run: Run, files: Files) -> None:
    for row in run.work(Boxes(), files):
        latest = run.latest(row.name)
        assert latest is not None
        assert pack(latest) == run.store.payload(run.row.id, row.name)
    assert run.latest("0.png") is None
    assert [run.latest(row.name) for row in run.work(Boxes(), files)] == [None] * len(files)


def test_damaged_bytes_name_their_image(run: Run) -> None:
    run.store.put(run.row.id, OutcomeRow("a.png", "done"), b"damaged")
    with pytest.raises(StoreError, match=r"^a\.png: a kept prediction is damaged: "):
        run.prediction("a.png")
    with pytest.raises(StoreError, match=r"^a\.png: "):
        run.export([ImageRecord(1, "a.png", 1, 1)])


def test_settings_are_part_of_a_run_and_its_threshold_is_fixed(store: Store) -> None:
    def number(settings: PredictionSettings | None) -> int:
        return Run.open(store, dataset="d", checkpoint="c", settings=settings).row.id

    plain = number(None)
    assert number(PredictionSettings(min_score=0.5)) == plain
    assert number(PredictionSettings(max_instances=9)) != plain
    row = Run.open(store, dataset="d", checkpoint="c").row
    assert row.settings == {"min_score": RUN_SCORE}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_kept_run_exports_what_the_model_finds(
    store: Store, tmp_path: Path, files: Files, share: float
) -> None:
    checkpoint = write_checkpoint(tmp_path / "small.safetensors")
    detector = Predictor.from_checkpoint(checkpoint, device="cpu", settings=run_settings())
    run = Run.open(store, dataset="folder", checkpoint=identify(checkpoint))
    list(run.work(detector, files[:2]))
    first = run.prediction("0.png")
    assert first is not None
    score = float(np.quantile(first.class_scores, share, method="lower")) if share else RUN_SCORE
    found = run.export([ImageRecord(n, f"{n}.png", 40, 30) for n in range(2)], score)
    plain = Predictor.from_checkpoint(
        checkpoint, device="cpu", settings=replace(run_settings(), min_score=score)
    )
    wanted = [
        one
        for number, outcome in enumerate(predict_files(plain, files[:2], progress=False))
        if outcome.prediction is not None
        for one in to_annotations(outcome.prediction, number, 1)
    ]
    assert wanted or share == 1
    assert [one.rle for one in found.annotations] == [one.rle for one in wanted]
    assert [one.class_score for one in found.annotations] == [one.class_score for one in wanted]
    assert coco.parse(coco.dump(found)) == found
