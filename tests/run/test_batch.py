"""A run that labels: killed and begun again, beside others, on bad images, beside people's work."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Gesture, Sheet
from comask.annotation.store import Store
from comask.errors import ConflictError, InputError, StoreError
from comask.run import Batch, Labelled, Rules, Run, ToLabel, prelabel
from tests.factories import write_picture
from tests.run.standin import Boxes

RULES = Rules(mapping={"cell": 1, "nucleus": 90}, overlap=0.9)
BATCH = Batch("folder", "batch-1", "ann")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        write_picture(tmp_path / "pictures" / f"{number}.png", seed=number)
    return tmp_path / "pictures"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "runs.sqlite") as opened:
        yield opened


def to_label(folder: Path) -> list[ToLabel]:
    return [
        ToLabel(path, path.name, lambda size, row=row: Sheet(size, row=row))
        for row, path in enumerate(sorted(folder.iterdir()))
    ]


def label_all(
    store: Store, folder: Path, batch: Batch = BATCH, rules: Rules = RULES, **more: Any
) -> dict[str, Labelled]:
    run = Run.open(store, dataset="folder", checkpoint="boxes")
    detector = more.pop("detector", None) or Boxes()
    made = prelabel(run, detector, LabelStore(store), to_label(folder), (batch, rules), **more)
    found = list(made)
    assert len({one.image for one in found}) == len(found)
    return {one.image: one for one in found}


def state(store: Store) -> str:
    return LabelStore(store).state_hash("folder")


def test_every_image_is_labelled_once(store: Store, folder: Path) -> None:
    made = label_all(store, folder)
    assert sorted(made) == [f"{number}.png" for number in range(6)]
    assert {(one.added, one.there, one.failure) for one in made.values()} == {(2, 2, "")}
    again = label_all(store, folder)
    assert {(one.added, one.there) for one in again.values()} == {(0, 2)}
    other = label_all(store, folder, replace(BATCH, key="batch-2"))
    assert {(one.added, one.there) for one in other.values()} == {(0, 2)}
    assert all(len(LabelStore(store).history("folder", name)) == 1 for name in made)


def test_what_is_kept_is_not_computed_again(store: Store, folder: Path) -> None:
    detector = Boxes()
    label_all(store, folder, detector=detector)
    surer = replace(RULES, min_score=0.5, policy="replace")
    label_all(store, folder, replace(BATCH, key="b"), surer, detector=detector)
    assert detector.seen == 6
    labels = LabelStore(store)
    kept = labels.sheets("folder")
    assert {sum(row.counts.values()) for row in kept.values()} == {1}  # the unsure ones went


def test_under_the_same_key_what_was_undone_stays_undone(store: Store, folder: Path) -> None:
    label_all(store, folder)
    labels = LabelStore(store)
    undone = labels.undo("folder", "ann", "u1")
    assert undone is not None
    assert undone.count == 6
    assert {one.added for one in label_all(store, folder).values()} == {0}
    assert {one.added for one in label_all(store, folder, replace(BATCH, key="b")).values()} == {2}


def test_a_bad_image_does_not_end_it(store: Store, folder: Path) -> None:
    (folder / "3.png").write_bytes(b"no picture")
    made = label_all(store, folder)
    assert "3.png" in made["3.png"].failure
    assert sum(one.added for one in made.values()) == 10


def test_a_base_that_can_not_be_read_is_the_images_fault_alone(store: Store, folder: Path) -> None:
    def refuse(_size: object) -> Sheet:
        raise InputError("the COCO file has changed")

    images = to_label(folder)
    images[2] = replace(images[2], base=refuse)
    run = Run.open(store, dataset="folder", checkpoint="boxes")
    made = {
        one.image: one for one in prelabel(run, Boxes(), LabelStore(store), images, (BATCH, RULES))
    }
    assert made["2.png"].failure == "2.png: the COCO file has changed"
    assert made["5.png"].added == 2


def test_a_damaged_prediction_is_named_and_made_anew_next_time(store: Store, folder: Path) -> None:
    run = Run.open(store, dataset="folder", checkpoint="boxes")
    list(run.work(Boxes(), [(image.path, image.name) for image in to_label(folder)]))
    outcome = store.outcome(run.row.id, "4.png")
    assert outcome is not None
    store.put(run.row.id, outcome, b"something else")
    assert "damaged" in label_all(store, folder)["4.png"].failure
    assert label_all(store, folder)["4.png"].added == 2


def test_somebody_who_was_faster_is_not_overwritten(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let a person move the sheet on between the look and the writing, three times."""
    labels = LabelStore(store)
    plain, times = LabelStore.apply, []

    def apply(self: LabelStore, project: str, image: str, gesture: Gesture, base: Any) -> Any:
        if gesture.kind == "prelabel" and image == "0.png" and len(times) < 3:
            times.append(1)
            sheet = labels.sheet(project, image) or base()
            done = "open" if sheet.state == "done" else "done"
            mine = Gesture(f"p{len(times)}", "bob", "done", sheet.revision, state=done)
            plain(self, project, image, mine, base)
        return plain(self, project, image, gesture, base)

    monkeypatch.setattr(LabelStore, "apply", apply)
    made = label_all(store, folder)
    assert (len(times), made["0.png"].added) == (3, 2)
    sheet = labels.sheet("folder", "0.png")
    assert sheet is not None
    assert (sheet.state, sheet.revision) == ("done", 4)


def test_an_image_that_never_holds_still_is_named(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: object) -> None:
        raise ConflictError("somebody was faster")

    monkeypatch.setattr(LabelStore, "apply", refuse)
    made = label_all(store, folder)
    assert made["1.png"].failure == "1.png is being worked on; try it again later"


def test_a_store_that_is_gone_ends_it(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(LabelStore, "apply", refuse)
    with pytest.raises(StoreError, match="the disk is full"):
        label_all(store, folder)


KILLED = """
import os, signal, sys
from pathlib import Path
from comask.annotation.label_store import LabelStore
from tests.run.test_batch import label_all
from comask.annotation.store import Store

plain, count = LabelStore.apply, 0
def apply(self, *given):
    global count
    count += 1
    if count == int(sys.argv[3]) and sys.argv[4] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    done = plain(self, *given)
    if count == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return done
LabelStore.apply = apply
with Store.open(sys.argv[1]) as store:
    label_all(store, Path(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("image", "when"), [(1, "before"), (3, "after"), (5, "before")])
def test_killed_and_begun_again_is_as_if_never_killed(
    store: Store, folder: Path, tmp_path: Path, image: int, when: str
) -> None:
    label_all(store, folder)
    place = tmp_path / "killed.sqlite"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, place, folder, str(image), when], cwd=ROOT, check=False
    )
    assert ended.returncode == -9
    with Store.open(place) as other:
        made = label_all(other, folder)
        assert {one.there for one in made.values()} == {2}
        assert sum(one.added for one in made.values()) == 12 - 2 * (image - (when == "before"))
        assert state(other) == state(store)
        names = [f"{number}.png" for number in range(6)]
        one, two = ([LabelStore(s).sheet("folder", name) for name in names] for s in (store, other))
        assert one == two
