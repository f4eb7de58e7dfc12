"""``comask prelabel`` as a person meets it: it goes on, it says what it skipped, it exports."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from comask.annotation import coco
from comask.annotation.index import DatasetIndex
from comask.annotation.store import Store
from comask.predict import PredictionSettings, Predictor
from comask.run import Run, identify
from tests.cli.saying import Say, assert_refused
from tests.factories import coco_content, write_json, write_picture

ROOT = Path(__file__).resolve().parents[2]


def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count how often the model is asked from here on."""
    asked: list[int] = []
    plain = Predictor.find

    def find(self: Predictor, *given: Any, **named: Any) -> Any:
        asked.append(1)
        return plain(self, *given, **named)

    monkeypatch.setattr(Predictor, "find", find)
    return asked


def coco_file(folder: Path, *names: str) -> Path:
    """Write a COCO file with gaps between its ids, one of its sizes wrong, and no annotations."""
    images = [
        {"id": 50 - 7 * n, "file_name": name, "width": 40, "height": 30 + n, "license": 4}
        for n, name in enumerate(names)
    ]
    content = {"images": images, "categories": [{"id": 5, "name": "cell"}], "annotations": []}
    return write_json(folder / "truth.json", content)


@pytest.mark.slow
@pytest.mark.parametrize("score", ["0.05", "0.335"])
def test_what_is_found_is_what_predict_finds(
    comask_says: Say, checkpoint: Path, pictures: Path, score: str
) -> None:
    (pictures / "bad.png").write_bytes(b"no picture")
    given = (pictures, "--checkpoint", checkpoint, "--min-score", "0.05")
    assert comask_says("predict", *given, "--output", "p.json").code == 1
    assert comask_says("prelabel", *given, "--output", "l.json").code == 1
    assert Path("l.json").read_bytes() == Path("p.json").read_bytes()
    comask_says("prelabel", *given[:-1], score, "--output", "l.json")
    above = [a for a in coco.read("p.json").annotations if (a.class_score or 0) > float(score)]
    found = coco.read("l.json").annotations
    assert [(a.image_id, a.rle, a.score) for a in found] == [
        (a.image_id, a.rle, a.score) for a in above
    ]


def test_the_same_command_goes_on_where_it_was(
    comask_says: Say, checkpoint: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("prelabel", pictures, "--checkpoint", checkpoint, "--output", "o.json")
    asked = seen(monkeypatch)
    first = comask_says(*words)
    assert (first.code, len(asked)) == (0, 3)
    assert "3 of 3 images; all that was found is kept in o.sqlite" in first.out
    assert "3/3" in first.err  # progress
    content = Path("o.json").read_bytes()
    write_picture(pictures / "c.png", seed=3)
    assert comask_says(*words).code == 0
    assert len(asked) == 4
    (pictures / "c.png").unlink()
    assert comask_says(*words, "--min-score", "0.34").code == 0
    assert comask_says(*words).code == 0
    assert len(asked) == 4
    assert Path("o.json").read_bytes() == content
    assert comask_says(*words, "--max-instances", "2").code == 0
    assert len(asked) == 7


def test_a_coco_file_keeps_its_ids_and_loses_its_wrong_sizes(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    truth = coco_file(pictures, "sub/a.png", "a.png", "sub\\häß 雪 #%.png")
    said = comask_says(
        "prelabel", "--annotations", truth, "--images", pictures, "--checkpoint", checkpoint,
        "--output", "o.json", "--store", "kept.db",
    )  # fmt: skip
    assert said.code == 0
    assert "2 images are not of the size that" in said.err
    assert "for example a.png, which is 40 x 30 pixels" in said.err
    found = coco.read("o.json")
    assert [(i.id, i.height, i.extra) for i in found.images] == [
        (number, 30, {"license": 4}) for number in (50, 43, 36)
    ]
    assert {a.image_id for a in found.annotations} == {50, 43, 36}
    assert [c.name for c in found.categories] == ["cell", "nucleus"]
    assert Path("kept.db").exists()


def test_bad_images_and_bad_records_are_listed(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    truth = coco_file(pictures, "none.png", "a.png")
    content = json.loads(truth.read_bytes())
    content["images"].append({"id": 3, "file_name": "../a.png", "width": 1, "height": 1})
    write_json(truth, content)
    said = comask_says(
        "prelabel", "--annotations", truth, "--images", pictures, "--checkpoint", checkpoint,
        "--output", "o.json",
    )  # fmt: skip
    assert said.code == 1
    assert "1 of 2 images were skipped:" in said.err
    assert "none.png" in said.err
    assert "images[2]" in said.err
    assert [image.id for image in coco.read("o.json").images] == [43]


def test_the_page_and_the_command_write_the_same(
    comask_says: Say, checkpoint: Path, pictures: Path
) -> None:
    """The page works image by image through ``Run.step``, here in another order."""
    truth = coco_file(pictures, "sub/a.png", "a.png")
    comask_says(
        "prelabel", "--annotations", truth, "--images", pictures, "--checkpoint", checkpoint,
        "--output", "o.json",
    )  # fmt: skip
    predictor = Predictor.from_checkpoint(
        checkpoint, device="auto", settings=PredictionSettings(min_score=0.05)
    )
    index = DatasetIndex.open(truth, pictures, Path("cache").absolute())
    records = index.images(range(len(index)))
    with Store.open("page.sqlite") as store:
        run = Run.open(store, dataset=index.fingerprint, checkpoint=identify(checkpoint))
        for record in reversed(records):
            run.step(predictor, record.file_name, pictures / record.file_name)
        assert coco.dump(run.export(records)) == Path("o.json").read_bytes()
    with Store.open("o.sqlite") as store:  # and each finds the run of the other
        run = Run.open(store, dataset=index.fingerprint, checkpoint=identify(checkpoint))
        assert run.pending(record.file_name for record in records) == []
    index.close()


@pytest.mark.slow
def test_a_killed_command_ends_the_same_when_it_is_given_again(
    comask_says: Say, checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    for number in range(12):
        write_picture(folder / f"{number:02}.png", seed=number)
    words = ["prelabel", "many", "--checkpoint", str(checkpoint), "--device", "cpu"]
    command = [sys.executable, "-m", "comask.cli", *words, "--output", "killed.json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while _kept(tmp_path / "killed.sqlite") < 3 and time.monotonic() < until:
        time.sleep(0.01)
    started.send_signal(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    assert 3 <= _kept(tmp_path / "killed.sqlite") < 12
    for one in (command, [*command[:-1], "whole.json"]):
        ended = subprocess.run(one, cwd=tmp_path, env=environment, capture_output=True)
        assert ended.returncode == 0, ended.stderr
    assert Path("killed.json").read_bytes() == Path("whole.json").read_bytes()


def _kept(place: Path) -> int:
    if not place.exists():
        return 0
    with Store.open(place) as store:
        return sum(len(store.names(run.id)) for run in store.runs())


PRELABEL = ("prelabel", "--checkpoint", "c.safetensors", "--output", "o.json")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (PRELABEL, "give images or folders, or --annotations and --images together"),
        ((*PRELABEL, "--annotations", "t.json"), "give images or folders, or"),
        ((*PRELABEL, "pictures", "--images", "pictures"), "and not both"),
        ((*PRELABEL, "pictures", "--min-score", "0.04"), "--min-score must be in 0.05 .. 1"),
        ((*PRELABEL, "pictures", "--min-score", "nan"), "a number in 0 .. 1, not 'nan'"),
        ((*PRELABEL, "pictures", "--store", "pictures"), "pictures is a folder; a store is"),
        ((*PRELABEL, "pictures", "--store", "none/s"), "there is no folder"),
        ((*PRELABEL, "pictures", "--store", "o.json"), "must be two files, not both o.json"),
        ((*PRELABEL, "pictures", "--store", "t.json"), "t.json can't be opened as a store: file"),
        ((*PRELABEL, "pictures", "--store", "abacus://x"), "abacus://x can't be opened"),
        ((*PRELABEL, "nowhere"), "there are no images at nowhere"),
        ((*PRELABEL, "empty"), "there are no images at empty"),
        ((*PRELABEL, "--annotations", "none.json", "--images", "."), "no file none.json"),
        ((*PRELABEL, "--annotations", "t.json", "--images", "none"), "no folder"),
        ((*PRELABEL, "--annotations", "list.json", "--images", "."), "list.json"),
        (
            (*PRELABEL, "--annotations", "bare.json", "--images", "."),
            "bare.json: it lists no images",
        ),
        (("prelabel", "pictures", "--output", "o.json"), "required: --checkpoint"),
        (("prelabel", "pictures", "--checkpoint", "t.json", "--output", "o.json"), "t.json"),
    ],
)
def test_refusals_are_one_sentence_and_exit_code_2(
    comask_says: Say, checkpoint: Path, pictures: Path, words: tuple[str, ...], said: str
) -> None:
    Path("c.safetensors").symlink_to(checkpoint)
    Path("empty").mkdir()
    write_json(Path("t.json"), coco_content())
    write_json(Path("list.json"), [1])
    write_json(Path("bare.json"), {"images": [], "categories": [], "annotations": []})
    assert_refused(comask_says(*words), said)
    assert not Path("o.json").exists()


def test_a_stopped_command_says_that_it_goes_on(
    comask_says: Say, checkpoint: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_given: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "find", interrupt)
    said = comask_says("prelabel", pictures, "--checkpoint", checkpoint, "--output", "o.json")
    assert said.code == 130
    assert "what was found is kept; the same command goes on from here" in said.err
    assert not Path("o.json").exists()


@pytest.mark.slow
def test_a_trained_checkpoint_finds_what_predict_finds(comask_says: Say) -> None:
    """On real nuclei, with hundreds of candidates an image."""
    photographs = sorted((ROOT / "assets/samples/microscopy").iterdir())[:2]
    checkpoint = ROOT / "assets/checkpoints/comask-tiny-nuclei.safetensors"
    given = (*photographs, "--checkpoint", checkpoint, "--device", "cpu", "--min-score", "0.05")
    assert comask_says("predict", *given, "--output", "p.json").code == 0
    assert comask_says("prelabel", *given, "--output", "l.json").code == 0
    assert len(coco.read("p.json").annotations) > 20
    assert Path("l.json").read_bytes() == Path("p.json").read_bytes()
