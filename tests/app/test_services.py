import dataclasses
import gc
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import comask
from app.services import Services, pairs
from app.services.checkpoints import CheckpointFile
from app.services.images import KEY_LENGTH, clean_name, encode_picture, encode_thumbnail, key_of
from app.services.predictions import PredictionShelf
from app.services.recent import Recent
from app.services.runner import ElsewhereError, Runner, RunState
from app.settings import Limits, Settings
from comask.annotation.claims import new_worker
from comask.annotation.store import OutcomeRow, Store
from comask.data import images
from comask.errors import CheckpointError, ConfigError, ImageError, InputError
from comask.evaluate import matching
from comask.run import Run
from tests.app.standins import (
    PATIENCE,
    STAND_IN,
    BlobDetector,
    blobs,
    encode,
    open_dataset,
    studio,
    wait_for_run,
)
from tests.factories import coco_content, write_json

CHECKPOINT = CheckpointFile("c", Path("c.safetensors"), "bundled")


def test_recent_drops_what_was_not_used_for_longest() -> None:
    memory: Recent[str, int] = Recent(10)
    memory.put("a", 1, 4)
    memory.put("b", 2, 4)
    assert memory.get("a") == 1
    memory.put("c", 3, 4)
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == (1, None, 3)


def test_recent_keeps_nothing_above_its_budget() -> None:
    memory: Recent[str, int] = Recent(10)
    memory.put("a", 1, 11)
    assert "a" not in memory


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a.png", "a.png"),
        ("../../etc/passwd", "etc/passwd"),
        ("C:\\pictures\\b.png", "C:/pictures/b.png"),
        ("/root/x.png", "root/x.png"),
        ("folder/./b.png", "folder/b.png"),
        ("näme \u202e.png", "näme .png"),
        ("a\x00b\n.png", "ab.png"),
        ("", "image"),
        ("..", "image"),
        ("x" * 300 + ".png", "x" * 196 + ".png"),
    ],
)
def test_names_become_labels(sent: str, kept: str) -> None:
    assert clean_name(sent) == kept


def test_a_key_is_the_content(tmp_path: Path) -> None:
    services = studio(tmp_path, samples=0)
    one = services.images.add(blobs(seed=1), "a.png")
    same = services.images.add(blobs(seed=1), "other name.png")
    assert one.image.key == key_of(blobs(seed=1), "uploads")
    assert len(one.image.key) == KEY_LENGTH
    assert (one.is_new, same.is_new) == (True, False)
    assert same.image.file_name == "a.png"


def test_two_pictures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    services = studio(tmp_path, samples=0)
    for seed in range(3):
        services.images.add(blobs(seed=seed), "shots/a.png")
    names = [image.file_name for image in services.images.listed("uploads")]
    assert names == ["shots/a.png", "shots/a (2).png", "shots/a (3).png"]


def test_uploads_outlive_the_server(tmp_path: Path) -> None:
    first = studio(tmp_path)
    for seed in (5, 6):
        first.images.add(blobs(seed=seed), f"{seed}.png")
    again = studio(tmp_path)
    assert again.images.listed("uploads") == first.images.listed("uploads")
    assert [image.file_name for image in again.images.listed("uploads")] == ["5.png", "6.png"]


def test_a_damaged_record_hides_one_upload_only(tmp_path: Path) -> None:
    first = studio(tmp_path)
    kept, lost = (first.images.add(blobs(seed=s), f"{s}.png").image for s in (5, 6))
    lost.path.with_suffix(".json").write_text("{")
    assert studio(tmp_path).images.listed("uploads") == (kept,)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", blobs()[:100]])
def test_no_image_is_stored_of_other_files(tmp_path: Path, content: bytes) -> None:
    services = studio(tmp_path, samples=0)
    with pytest.raises(ImageError, match=r"^x\.png is "):
        services.images.add(content, "x.png")
    assert services.images.listed("uploads") == ()
    assert list((tmp_path / "workspace" / "images").iterdir()) == []


def test_bounds_on_size_and_number(tmp_path: Path) -> None:
    services = studio(tmp_path, samples=0, limits=Limits(image_bytes=5_000, images=1))
    with pytest.raises(InputError, match=r"a\.png is larger than 0 MB"):
        services.images.add(bytes(5_001), "a.png")
    services.images.add(blobs(seed=1), "b.png")
    with pytest.raises(InputError, match="holds 1 images, which is its limit"):
        services.images.add(blobs(seed=2), "c.png")


@pytest.mark.parametrize("key", ["", "x", "../a", "0" * 31, "0" * 32, "A" * 32, "0" * 33])
def test_unknown_keys_find_nothing(tmp_path: Path, key: str) -> None:
    assert studio(tmp_path).images.find(key) is None


def test_samples_stay_and_uploads_go(tmp_path: Path) -> None:
    services = studio(tmp_path, samples=1)
    added = services.images.add(blobs(seed=9), "a.png").image
    for remembered in (services.images.picture, services.images.thumbnail):
        remembered(added)
    for image in (services.images.listed("samples")[0], added):
        services.remove_image(image)
    assert len(services.images.listed("samples")) == 1
    assert services.images.find(added.key) is None
    for forgotten in (services.images.pixels, services.images.picture, services.images.thumbnail):
        with pytest.raises(ImageError):
            forgotten(added)
    assert list((tmp_path / "workspace" / "images").iterdir()) == []


def test_samples_follow_the_order_of_their_truth(tmp_path: Path) -> None:
    studio(tmp_path)
    content = {
        "images": [
            {"id": 1, "file_name": "sample-2.png", "width": 80, "height": 60},
            {"id": 2, "file_name": "sample-0.png", "width": 80, "height": 60},
        ],
        "categories": [{"id": 3, "name": "blob"}],
        "annotations": [
            {"id": 8, "image_id": 2, "category_id": 3, "segmentation": [[1, 1, 5, 1, 5, 4, 1, 4]]}
        ],
    }
    (tmp_path / "assets/samples/instances.json").write_text(json.dumps(content))
    images = studio(tmp_path).images
    two, zero, one = images.listed("samples")
    assert [i.file_name for i in (two, zero, one)] == [
        "sample-2.png",
        "sample-0.png",
        "sample-1.png",
    ]
    truth = images.truth(zero)
    assert truth is not None
    assert [a.area for a in truth.annotations] == [12]
    assert images.truth(one) is None


def test_pictures_keep_every_pixel_and_thumbnails_fit() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 400, 3), np.uint8)
    picture, thumbnail = encode_picture(pixels), encode_thumbnail(pixels)
    assert picture.media_type == "image/png"
    decoded = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(decoded, pixels)
    small = cv2.imdecode(np.frombuffer(thumbnail.content, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert small.shape == (20, 160, 3)


def test_large_pictures_travel_as_jpeg_of_full_size() -> None:
    picture = encode_picture(np.zeros((2_001, 2_000, 3), np.uint8))
    assert picture.media_type == "image/jpeg"
    decoded = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert decoded.shape == (2_001, 2_000, 3)


def test_a_pixel_has_a_thumbnail() -> None:
    assert encode_thumbnail(np.zeros((1, 1, 3), np.uint8)).content


# -- checkpoints --------------------------------------------------------------------------------


def test_the_first_bundled_checkpoint_by_name_is_the_one_to_start_with(tmp_path: Path) -> None:
    services = studio(tmp_path)
    (tmp_path / "assets/checkpoints/a.safetensors").write_bytes(STAND_IN)
    (tmp_path / "workspace/checkpoints/b.safetensors").write_bytes(STAND_IN)
    (tmp_path / "workspace/checkpoints/.hidden.safetensors").write_bytes(STAND_IN)
    assert [f.name for f in services.checkpoints.listed()] == ["a", "first", "b"]
    found = services.checkpoints.find(None)
    assert found is not None
    assert found.name == "a"


def test_a_given_checkpoint_comes_first_and_once(tmp_path: Path) -> None:
    services = studio(tmp_path)
    (tmp_path / "assets/checkpoints/a.safetensors").write_bytes(STAND_IN)
    given = tmp_path / "assets/checkpoints/first.safetensors"
    settings = Settings(workspace=tmp_path / "w", assets=services.settings.assets, checkpoint=given)
    other = type(services)(settings, lambda _: BlobDetector())
    assert [f.name for f in other.checkpoints.listed()] == ["first", "a"]


def test_checkpoints_of_one_name_say_where_they_are_from(tmp_path: Path) -> None:
    services = studio(tmp_path)
    (tmp_path / "workspace/checkpoints/first.safetensors").write_bytes(STAND_IN)
    names = [f.name for f in services.checkpoints.listed()]
    assert names == ["first (bundled)", "first (workspace)"]


@pytest.mark.parametrize("name", ["../first", "/etc/passwd", "first.safetensors", "", "nothing"])
def test_names_are_looked_up_and_never_opened(tmp_path: Path, name: str) -> None:
    assert studio(tmp_path).checkpoints.find(name) is None


def test_an_uploaded_checkpoint_is_taken_in_once(tmp_path: Path) -> None:
    services = studio(tmp_path)
    upload = tmp_path / "u"
    upload.write_bytes(STAND_IN + b"mine")
    first = services.checkpoints.add(upload, "../my own.safetensors")
    assert (first.name, first.path.parent) == ("my-own", tmp_path / "workspace" / "checkpoints")
    assert services.checkpoints.add(upload, "my own.safetensors") == first
    upload.write_bytes(STAND_IN + b"another")
    assert services.checkpoints.add(upload, "my-own.safetensors").name == "my-own-2"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.safetensors", b"garbage", "^a.safetensors is no checkpoint, or one cut short$"),
        ("a.pth", STAND_IN, "^a.pth is not a .safetensors file; .* `comask convert"),
        ("a.safetensors", STAND_IN + bytes(2_000), "^a is larger than 0 MB; put it into "),
    ],
)
def test_a_refused_checkpoint_leaves_nothing(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    services = studio(tmp_path, limits=Limits(checkpoint_bytes=1_000))
    upload = tmp_path / "u"
    upload.write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence):
        services.checkpoints.add(upload, name)
    assert list((tmp_path / "workspace" / "checkpoints").iterdir()) == []


def test_another_content_is_another_checkpoint(tmp_path: Path) -> None:
    services = studio(tmp_path)
    file = services.checkpoints.find("first")
    assert file is not None
    before = services.checkpoints.identity(file)
    file.path.write_bytes(STAND_IN + b"another")
    assert services.checkpoints.identity(file) != before


# -- predictions --------------------------------------------------------------------------------


@contextmanager
def shelf(folder: Path) -> Iterator[PredictionShelf]:
    with Store.open(folder / "runs.sqlite") as store:
        yield PredictionShelf(store, lambda key: ("uploads", key), 4, {"min_score": 0.05})


@pytest.mark.parametrize("count", [0, 5])
def test_predictions_are_kept_without_loss(tmp_path: Path, count: int) -> None:
    content = blobs(count=count)
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    prediction = BlobDetector().predict(np.asarray(pixels, np.uint8))
    assert (len(prediction) > 0) == (count > 0)
    with shelf(tmp_path) as first:
        first.put("c", "k", prediction)
        assert first.get("c", "k") is prediction
    with shelf(tmp_path) as again:
        found = again.get("c", "k")
    assert found is not None
    for kept, given in ((found, prediction), (found.trace, prediction.trace)):
        for field in dataclasses.fields(kept):  # type: ignore[arg-type]
            value, expected = getattr(kept, field.name), getattr(given, field.name)
            if isinstance(expected, np.ndarray):
                np.testing.assert_array_equal(value, expected, strict=True)
            elif field.name != "trace":
                assert value == expected


def test_a_damaged_result_is_as_good_as_none(tmp_path: Path) -> None:
    with Store.open(tmp_path / "runs.sqlite") as store:
        run = store.start_or_resume("uploads", "c", comask.__version__, {"min_score": 0.05})
        store.put(run.id, OutcomeRow("k", "done"), b"damaged")
    with shelf(tmp_path) as again:
        assert again.has("c", "k")
        assert again.get("c", "k") is None
        assert not again.has("c", "k")


def test_what_was_removed_is_forgotten_with_all_checkpoints(tmp_path: Path) -> None:
    prediction = BlobDetector().predict(np.zeros((8, 9, 3), np.uint8))
    with shelf(tmp_path) as kept:
        for identity in ("a", "b"):
            for key in ("k", "other"):
                kept.put(identity, key, prediction)
        kept.remove("k")
        assert [kept.get(identity, "k") for identity in ("a", "b")] == [None, None]
        assert kept.ready("a", ["k", "other", "unknown"]) == {"other"}
        assert kept.names("b", "uploads") == {"other"}
        assert kept.ready("c", ["other"]) == kept.names("c", "uploads") == frozenset()


def test_failures_outlive_the_server(tmp_path: Path) -> None:
    services = studio(tmp_path, samples=0)
    file = services.checkpoints.find(None)
    assert file is not None
    bad = services.images.add(encode(np.full((9, 9, 3), 13, np.uint8)), "bad.png").image
    good = services.images.add(blobs(seed=1), "good.png").image
    wait_for_run(services, services.start_run("tab", file, (bad, good)))
    again = studio(tmp_path, samples=0)
    sentence = "The model failed on this image (RuntimeError: out of memory)."
    assert again.complaint(file, bad.key) == sentence == services.complaint(file, bad.key)
    assert again.complaint(file, good.key) == ""
    assert again.ready(file, (bad, good)) == {good.key}


def test_the_page_finds_what_the_command_left(tmp_path: Path) -> None:
    """One store, one dataset, one checkpoint: neither runs over what the other has done."""
    detector = BlobDetector()
    services = studio(tmp_path, detector, samples=0)
    file, dataset, run, pictures = _begun(services, tmp_path, 3)
    files = [(pictures / f"{seed}.png", f"{seed}.png") for seed in range(3)]
    assert len(list(run.work(BlobDetector(), files[:2]))) == 2
    assert services.rows_done(file, dataset) == {0, 1}
    images = tuple(services.images.find(f"d{dataset}-{row}") for row in range(3))
    wait_for_run(services, services.start_run("tab", file, images))  # type: ignore[arg-type]
    assert detector.seen == 1
    assert services.prediction(file, f"d{dataset}-0") is not None
    other = BlobDetector()
    assert len(list(run.work(other, files))) == 3
    assert other.seen == 0


def test_the_page_waits_for_what_another_worker_is_at(tmp_path: Path) -> None:
    detector = BlobDetector()
    services = studio(tmp_path, detector, samples=0)
    file, dataset, run, _ = _begun(services, tmp_path, 2)
    assert services.store.claim(run.row.id, "0.png", new_worker())
    images = tuple(services.images.find(f"d{dataset}-{row}") for row in range(2))
    mine = services.start_run("tab", file, images)  # type: ignore[arg-type]
    until = time.monotonic() + PATIENCE
    while services.prediction(file, f"d{dataset}-1") is None and time.monotonic() < until:
        time.sleep(0.01)
    assert detector.seen == 1
    state = services.runner.state(mine)
    assert state is not None
    assert (state.stage, state.done) == ("running", 1)
    run.put("0.png", BlobDetector().predict(np.zeros((8, 9, 3), np.uint8)))
    wait_for_run(services, mine)
    state = services.runner.state(mine)
    assert state is not None
    assert (state.stage, state.done, state.failures) == ("finished", 2, ())
    assert detector.seen == 1


def test_a_run_leaves_its_overlaps_ready(tmp_path: Path) -> None:
    """Whoever asks for the numbers after a run waits for no mask to be compared."""
    home = tmp_path / "set"
    home.mkdir()
    (home / "a.png").write_bytes(blobs(seed=1))
    truth = coco_content()
    truth["images"] = [{"id": 5, "file_name": "a.png", "width": 80, "height": 60}]
    truth["annotations"] = []
    write_json(home / "instances.json", truth)
    services = studio(tmp_path, samples=0)
    file = services.checkpoints.find(None)
    assert file is not None
    dataset = open_dataset(services, home)
    index = services.datasets.get(dataset)
    image = services.images.find(f"d{dataset}-0")
    assert index is not None
    assert index.has_truth
    assert image is not None
    wait_for_run(services, services.start_run("tab", file, (image,)))
    identity = services.checkpoints.identity(file)
    run = services.predictions.find_run(identity, index.fingerprint)
    assert run is not None
    with sqlite3.connect(tmp_path / "workspace" / "runs.sqlite") as database:
        before = database.execute("SELECT name, payload FROM comask_pairs").fetchall()
    assert [name for name, _ in before] == ["a.png"]
    kept = services.pairs.get(dataset, index, identity)
    assert len(matching.unpack(before[0][1]).scores) == len(kept.pairs.scores) > 0


def test_whoever_asks_after_a_run_is_told_of_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow store is not asked again for a while, but for when a run has ended."""
    monkeypatch.setattr(pairs, "FRESH", 60.0)
    services = studio(tmp_path, samples=0)
    file, dataset, _, _ = _begun(services, tmp_path, 3)
    found, identity = services.datasets.get(dataset), services.checkpoints.identity(file)
    assert found is not None
    images = tuple(services.images.find(services.datasets.key(dataset, row)) for row in range(3))
    first, *others = (image for image in images if image)
    wait_for_run(services, services.start_run("tab", file, (first,)))
    assert services.pairs.get(dataset, found, identity).rows == (0,)
    wait_for_run(services, services.start_run("tab", file, tuple(others)))
    assert services.pairs.get(dataset, found, identity).rows == (0, 1, 2)


def _begun(services: Services, folder: Path, count: int) -> tuple[CheckpointFile, str, Run, Path]:
    """Open a folder of pictures, and the run that a command would write into."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for seed in range(count):
        (pictures / f"{seed}.png").write_bytes(blobs(seed=seed))
    file = services.checkpoints.find(None)
    assert file is not None
    dataset = open_dataset(services, pictures)
    index = services.datasets.get(dataset)
    assert index is not None
    run = Run.open(
        services.store, dataset=index.fingerprint, checkpoint=services.checkpoints.identity(file)
    )
    return file, dataset, run, pictures


# -- runs ---------------------------------------------------------------------------------------


def test_a_run_goes_through_its_images_in_order() -> None:
    seen: list[str] = []
    runner = Runner(lambda _, key: seen.append(key))
    state = _finished(runner, runner.start("tab", CHECKPOINT, ["a", "b", "c"], done=2))
    assert seen == ["a", "b", "c"]
    assert (state.stage, state.done, state.total) == ("finished", 5, 5)


def test_a_run_tells_which_image_comes_next() -> None:
    told: list[tuple[str, str | None]] = []
    runner = Runner(lambda _, key: told.append((key, runner.following())))
    assert runner.following() is None
    _finished(runner, runner.start("tab", CHECKPOINT, ["a", "b", "c"]))
    assert told == [("a", "b"), ("b", "c"), ("c", None)]


def test_the_next_image_is_decoded_while_the_model_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model waits at the first image until the second is decoded; each is decoded once."""
    plain, loaded, second = images.load, [], threading.Event()

    def load(*given: Any, **named: Any) -> Any:
        loaded.append(named["name"])
        if len(loaded) == 2:
            second.set()
        return plain(*given, **named)

    detector = BlobDetector()
    services = studio(tmp_path, detector)
    file, dataset, _, _ = _begun(services, tmp_path, 4)
    monkeypatch.setattr(images, "load", load)
    detector.gate.clear()
    found = [services.images.find(services.datasets.key(dataset, row)) for row in range(4)]
    run = services.start_run("tab", file, tuple(image for image in found if image))
    assert second.wait(30)
    assert detector.seen == 0
    detector.gate.set()
    state = _finished(services.runner, run)
    services.close()
    assert (state.stage, state.done, loaded) == ("finished", 4, [f"{n}.png" for n in range(4)])


def test_one_bad_image_does_not_end_a_run() -> None:
    def work(_: CheckpointFile, key: str) -> float:
        if key == "bad":
            raise ImageError("bad.png is text, not an image.")
        if key == "worse":
            raise RuntimeError("no memory")
        return 1.0

    runner = Runner(work)
    run = runner.start("tab", CHECKPOINT, ["bad", "good", "worse", "fine"])
    state = _finished(runner, run)
    assert (state.stage, state.done, state.total) == ("finished", 2, 4)
    assert [failure.key for failure in state.failures] == ["bad", "worse"]
    assert runner.complaint(CHECKPOINT, "bad") == "bad.png is text, not an image."
    assert "no memory" in runner.complaint(CHECKPOINT, "worse")
    assert runner.complaint(CHECKPOINT, "good") == ""


def test_a_refused_checkpoint_ends_its_run_with_a_sentence() -> None:
    def work(_: CheckpointFile, __: str) -> float:
        raise CheckpointError("c.safetensors is damaged")

    runner = Runner(work)
    state = _finished(runner, runner.start("tab", CHECKPOINT, ["a", "b"]))
    assert (state.stage, state.sentence) == ("failed", "c.safetensors is damaged")


def test_a_stopped_run_takes_no_further_image() -> None:
    gate, began, seen = threading.Event(), threading.Event(), []

    def work(_: CheckpointFile, key: str) -> float:
        began.set()
        gate.wait(10)
        seen.append(key)
        return 1.0

    runner = Runner(work)
    run = runner.start("tab", CHECKPOINT, ["a", "b", "c"])
    assert began.wait(10)
    runner.stop(run)
    gate.set()
    runner.close()
    state = runner.state(run)
    assert state is not None
    assert (state.stage, state.done, seen) == ("stopped", 1, ["a"])


def test_it_is_told_that_the_last_of_a_run_is_done() -> None:
    gate, began, told = threading.Event(), threading.Event(), []

    def work(_: CheckpointFile, key: str) -> float:
        began.set()
        gate.wait(10)
        if key == "bad":
            raise CheckpointError("c.safetensors is damaged")
        told.append(key)
        return 1.0

    runner = Runner(work, lambda: told.append("ended"))
    run = runner.start("tab", CHECKPOINT, ["a", "b"])
    assert began.wait(10)
    runner.leave_out("b")
    assert told == []
    gate.set()
    assert _finished(runner, run).stage == "finished"
    assert told == ["a", "ended"]
    assert _finished(runner, runner.start("tab", CHECKPOINT, ["c", "bad", "d"])).stage == "failed"
    assert told == ["a", "ended", "c", "ended"]


def test_what_somebody_looks_at_comes_first() -> None:
    gate, began, seen = threading.Event(), threading.Event(), []

    def work(_: CheckpointFile, key: str) -> float:
        began.set()
        gate.wait(10)
        seen.append(key)
        return 1.0

    runner = Runner(work)
    run = runner.start("tab", CHECKPOINT, ["a", "b", "c", "d"])
    assert began.wait(10)
    other = runner.start("other tab", CHECKPOINT, ["x", "y"])
    runner.prefer(run, "d")
    runner.prefer(other, "y")
    runner.prefer(run, "unknown")
    gate.set()
    _finished(runner, other)
    assert seen == ["a", "y", "d", "b", "c", "x"]


def test_a_new_run_of_a_tab_ends_its_old_one() -> None:
    gate = threading.Event()
    runner = Runner(lambda _, __: float(gate.wait(10)))
    old = runner.start("tab", CHECKPOINT, ["a", "b"])
    new = runner.start("tab", CHECKPOINT, ["c"])
    gate.set()
    assert _finished(runner, new).done == 1
    state = runner.state(old)
    assert state is not None
    assert state.stage == "stopped"


def test_a_removed_image_is_left_out() -> None:
    gate, began = threading.Event(), threading.Event()

    def work(_: CheckpointFile, __: str) -> float:
        began.set()
        return float(gate.wait(10))

    runner = Runner(work)
    run = runner.start("tab", CHECKPOINT, ["a", "b"])
    assert began.wait(10)
    runner.leave_out("b")
    gate.set()
    state = _finished(runner, run)
    assert (state.stage, state.done, state.total) == ("finished", 1, 1)


def test_the_time_left_is_the_mean_times_what_is_left() -> None:
    gate = threading.Event()

    def work(_: CheckpointFile, key: str) -> float | None:
        if key == "c":
            gate.wait(10)
        return {"a": 2.0, "b": 4.0}.get(key)

    runner = Runner(work)
    run = runner.start("tab", CHECKPOINT, ["a", "b", "c", "d"])
    state = _until(runner, run, done=2)
    assert state.seconds_left == 6.0  # 3 s each, two images
    gate.set()
    assert _finished(runner, run).seconds_left is None


def test_what_another_process_is_at_comes_up_again_after_the_others() -> None:
    asked: list[str] = []

    def work(_: CheckpointFile, key: str) -> float:
        asked.append(key)
        if key == "a" and asked.count("a") < 3:
            raise ElsewhereError
        return 1.0

    runner = Runner(work)
    state = _finished(runner, runner.start("tab", CHECKPOINT, ["a", "b", "c"]))
    assert asked == ["a", "b", "c", "a", "a"]
    assert (state.stage, state.done, state.total, state.failures) == ("finished", 3, 3, ())


def test_nothing_to_do_is_a_finished_run() -> None:
    runner = Runner(lambda _, __: 1.0)
    state = runner.state(runner.start("tab", CHECKPOINT, [], done=3))
    assert state is not None
    assert (state.stage, state.done, state.total) == ("finished", 3, 3)


def test_an_image_is_computed_once_for_all_tabs(tmp_path: Path) -> None:
    detector = BlobDetector()
    services = studio(tmp_path, detector, samples=2)
    file = services.checkpoints.find(None)
    assert file is not None
    images = services.images.listed("samples")
    for tab in ("one", "two"):
        wait_for_run(services, services.start_run(tab, file, images))
    again = studio(tmp_path, detector)
    state = again.runner.state(again.start_run("three", file, images))
    assert state is not None
    assert (detector.seen, state.stage) == (2, "finished")


def test_a_workspace_that_cannot_be_written_to_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"The workspace .*file/deeper can't be written to \("):
        type(studio(tmp_path))(Settings(workspace=tmp_path / "file" / "deeper", assets=tmp_path))


def test_pictures_are_encoded_once(tmp_path: Path) -> None:
    services = studio(tmp_path, samples=1)
    (image,) = services.images.listed("samples")
    assert services.images.picture(image) is services.images.picture(image)
    assert services.images.thumbnail(image) is services.images.thumbnail(image)
    assert services.images.size(image) == (60, 80)
    grey = encode(np.full((5, 4, 3), 9, np.uint8))
    assert services.images.size(services.images.add(grey, "grey.png").image) == (5, 4)


@pytest.mark.parametrize("content", [STAND_IN, b"damaged", None])
def test_a_collector_that_waits_for_the_first_model_looks_again(
    tmp_path: Path, content: bytes | None
) -> None:
    services = studio(tmp_path, checkpoint=False)
    if content is not None:
        (tmp_path / "assets/checkpoints/first.safetensors").write_bytes(content)
    gc.disable()
    try:
        services.warm_up()
        until = time.monotonic() + PATIENCE
        while not gc.isenabled():
            assert time.monotonic() < until
            time.sleep(0.001)
    finally:
        gc.unfreeze()
        gc.enable()
    file = services.checkpoints.find(None)
    assert (file is None) == (content is None)
    assert file is None or (services.device(file) is None) == (content == b"damaged")


def _finished(runner: Runner, run: str) -> RunState:
    return _until(runner, run, done=None)


def _until(runner: Runner, run: str, done: int | None) -> RunState:
    for _ in range(2_000):
        state = runner.state(run)
        assert state is not None
        if state.stage != "running" or (done is not None and state.done >= done):
            return state
        time.sleep(0.005)
    raise AssertionError("the run did not get there")
