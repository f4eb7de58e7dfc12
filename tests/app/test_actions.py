import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.actions import browse, checkpoints, documents, export, predict, uploads
from app.services import Services
from app.services.images import StoredImage
from app.session import Session
from comask.annotation import coco, rle
from comask.errors import InputError
from tests.app.standins import STAND_IN, BlobDetector, blobs, encode, studio, wait_for_run


def ran(services: Services) -> tuple[Session, StoredImage]:
    """Open a studio, run over its samples, and return the tab and the image it shows."""
    session = predict.started(browse.opened(Session(), services), services)
    wait_for_run(services, session.run)
    image = services.images.find(session.image or "")
    assert image is not None
    return session, image


# -- what is open -------------------------------------------------------------------------------


def test_a_tab_opens_on_the_first_sample_and_checkpoint(tmp_path: Path) -> None:
    services = studio(tmp_path)
    session = browse.opened(Session(), services)
    assert session.source == "samples"
    assert session.checkpoint == "first"
    assert session.image == services.images.listed("samples")[0].key


def test_an_empty_studio_says_the_next_steps(tmp_path: Path) -> None:
    services = studio(tmp_path, samples=0, checkpoint=False)
    session = predict.started(browse.opened(Session(), services), services)
    assert (session.source, session.image, session.run) == ("uploads", None, None)
    assert "Choose images" in browse.empty_sentence(session, services)
    assert ".safetensors" in checkpoints.none_yet(services)
    assert predict.progress(session, services).text == "No checkpoint"


@pytest.mark.parametrize("key", [None, 7, "", "../x", "0" * 32, ["a"]])
def test_an_unknown_key_leaves_the_image(tmp_path: Path, key: object) -> None:
    services = studio(tmp_path)
    session = browse.opened(Session(), services)
    assert browse.picked(session, services, key) == session


def test_picking_shows_another_image(tmp_path: Path) -> None:
    services = studio(tmp_path)
    second = services.images.listed("samples")[1].key
    assert browse.picked(browse.opened(Session(), services), services, second).image == second


@pytest.mark.parametrize("source", [None, "", "everything", 3])
def test_an_unknown_list_leaves_the_list(tmp_path: Path, source: object) -> None:
    services = studio(tmp_path)
    session = browse.opened(Session(), services)
    assert browse.switched(session, services, source) == session


def test_an_upload_opens_its_list_and_itself(tmp_path: Path) -> None:
    services = studio(tmp_path)
    session = browse.opened(Session(), services)
    keys = [services.images.add(blobs(seed=seed), f"{seed}.png").image.key for seed in (7, 8)]
    after = browse.uploaded(session, services, keys[1])
    assert (after.source, after.image) == ("uploads", keys[1])
    later = browse.uploaded(browse.picked(after, services, keys[0]), services, None)
    assert later.image == keys[0]


def test_an_uploaded_sample_is_an_upload_of_its_own(tmp_path: Path) -> None:
    services = studio(tmp_path)
    sample = services.images.listed("samples")[2]
    (taken,) = uploads.take(services, [("mine.png", sample.path.read_bytes())])
    assert isinstance(taken, uploads.Accepted)
    after = browse.uploaded(browse.opened(Session(), services), services, taken.key)
    assert (after.source, after.image) == ("uploads", taken.key)
    assert (taken.key != sample.key, taken.file_name) == (True, "mine.png")


def test_a_removed_upload_gives_its_place_to_the_next(tmp_path: Path) -> None:
    services = studio(tmp_path)
    keys = [services.images.add(blobs(seed=seed), f"{seed}.png").image.key for seed in (7, 8, 9)]
    session = browse.uploaded(Session(), services, keys[1])
    for gone, shown in ((keys[1], keys[2]), (keys[2], keys[0]), (keys[0], None)):
        session = browse.removed(session, services, gone)
        assert session.image == shown


def test_a_sample_is_not_removed(tmp_path: Path) -> None:
    services = studio(tmp_path)
    session = browse.opened(Session(), services)
    assert browse.removed(session, services, session.image) == session
    assert len(services.images.listed("samples")) == 3


def test_one_bad_file_does_not_keep_the_others_out(tmp_path: Path) -> None:
    services = studio(tmp_path)
    taken = uploads.take(
        services, [("a.png", blobs(seed=7)), ("b.txt", b"hello\n"), ("c.png", blobs(seed=8))]
    )
    assert [type(one) for one in taken] == [uploads.Accepted, uploads.Refused, uploads.Accepted]
    assert isinstance(taken[1], uploads.Refused)
    assert taken[1].sentence.startswith("b.txt is text, not an image")


# -- runs ---------------------------------------------------------------------------------------


def test_progress_is_told_in_words(tmp_path: Path) -> None:
    detector = BlobDetector()
    services = studio(tmp_path, detector)
    detector.gate.clear()
    session = predict.started(browse.opened(Session(), services), services)
    before = predict.progress(session, services)
    assert (before.checkpoint, before.done, before.total) == ("first", 0, 3)
    assert before.running
    assert before.text.startswith("0 of 3 images")
    detector.gate.set()
    wait_for_run(services, session.run)
    after = predict.progress(session, services)
    assert (after.text, after.running, after.can_run, after.device) == (
        "3 images done",
        False,
        False,
        "CPU",
    )


def test_a_stopped_run_can_go_on(tmp_path: Path) -> None:
    detector = BlobDetector()
    services = studio(tmp_path, detector)
    detector.gate.clear()
    session = predict.stopped(
        predict.started(browse.opened(Session(), services), services), services
    )
    stopped = predict.progress(session, services)
    assert stopped.text.startswith("Stopped at ")
    assert (stopped.running, stopped.can_run) == (False, True)
    detector.gate.set()
    session = predict.started(session, services)
    wait_for_run(services, session.run)
    assert predict.progress(session, services).text == "3 images done"


def test_an_image_that_the_model_fails_on_is_named(tmp_path: Path) -> None:
    services = studio(tmp_path)
    bad = services.images.add(encode(np.full((9, 9, 3), 13, np.uint8)), "bad.png").image
    services.images.add(blobs(seed=8), "good.png")
    session = predict.started(browse.uploaded(Session(), services, bad.key), services)
    wait_for_run(services, session.run)
    progress = predict.progress(session, services)
    assert list(progress.notes) == [bad.key]
    assert "out of memory" in progress.notes[bad.key]
    assert (progress.text, progress.can_run) == ("2 images done, 1 failed", True)
    file = services.checkpoints.find(None)
    assert "out of memory" in documents.document(services, file, bad)["note"]


def test_only_the_uploads_that_came_are_run_over(tmp_path: Path) -> None:
    services = studio(tmp_path)
    keys = [services.images.add(blobs(seed=seed), f"{seed}.png").image.key for seed in (7, 8, 9)]
    session = browse.uploaded(Session(), services, keys[1])
    sample = services.images.listed("samples")[0].key
    given = [keys[1], "nonsense", None, sample, keys[2]]
    after = predict.started_over_uploads(session, services, given)
    wait_for_run(services, after.run)
    assert predict.progress(after, services).text == "2 images done"
    for nonsense in (None, [], "x", [5]):
        assert predict.started_over_uploads(session, services, nonsense) == session


def test_a_checkpoint_that_does_not_open_is_told(tmp_path: Path) -> None:
    services = studio(tmp_path)
    (tmp_path / "assets/checkpoints/a-bad.safetensors").write_bytes(b"garbage")
    session = predict.started(browse.opened(Session(), services), services)
    wait_for_run(services, session.run)
    progress = predict.progress(session, services)
    assert progress.complaint == "a-bad.safetensors is no checkpoint, or one cut short"
    assert progress.settled


def test_nothing_changes_by_itself_once_the_device_is_known(tmp_path: Path) -> None:
    services = studio(tmp_path)
    session = browse.opened(Session(), services)
    file = services.checkpoints.find(None)
    assert file is not None
    assert not predict.progress(session, services).settled
    services.models.get(file, services.checkpoints.identity(file))
    progress = predict.progress(session, services)
    assert (progress.settled, progress.device, progress.text) == (True, "CPU", "")
    assert progress.can_run


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "1 s"), (8.4, "8 s"), (12, "10 s"), (88, "90 s"), (170, "3 min"), (7_500, "2 h 5 min")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert predict.duration(seconds) == words


# -- checkpoints --------------------------------------------------------------------------------


def test_choosing_opens_and_keeps_the_image_and_ends_the_run(tmp_path: Path) -> None:
    services = studio(tmp_path)
    (tmp_path / "workspace/checkpoints/other.safetensors").write_bytes(STAND_IN + b"other")
    session, _ = ran(services)
    after = checkpoints.chosen(session, services, "other")
    assert after == replace(session, checkpoint="other", run=None)


def test_the_canvas_is_led_where_it_is_not() -> None:
    before = Session(image="a", sent="a", revision=4, checkpoint="c")
    assert browse.led(before, before, "a") == before
    for after, shown in (
        (before, None),  # nothing could be shown
        (before, "b"),
        (replace(before, checkpoint="d"), "a"),
        (replace(before, image="b"), "a"),
    ):
        led = browse.led(before, after, shown)
        assert (led.sent, led.revision) == (after.image, 5)


def test_a_refused_checkpoint_leaves_the_one_before(tmp_path: Path) -> None:
    services = studio(tmp_path)
    (tmp_path / "workspace/checkpoints/bad.safetensors").write_bytes(b"garbage")
    session, image = ran(services)
    after = checkpoints.chosen(session, services, "bad")
    assert after.checkpoint == "first"
    assert after.complaint == "bad.safetensors is no checkpoint, or one cut short."
    file = services.checkpoints.find(after.checkpoint)
    assert file is not None
    assert services.prediction(file, image.key) is not None


def test_an_uploaded_checkpoint_is_chosen_and_a_refused_one_is_not(tmp_path: Path) -> None:
    services = studio(tmp_path)
    session = browse.opened(Session(), services)
    upload = tmp_path / "mine.safetensors"
    upload.write_bytes(STAND_IN + b"mine")
    assert checkpoints.uploaded(session, services, upload).checkpoint == "mine"
    upload.write_bytes(b"garbage")
    refused = checkpoints.uploaded(session, services, upload)
    assert refused.checkpoint == "first"
    assert refused.complaint == "mine.safetensors is no checkpoint, or one cut short."
    assert not upload.exists()


@pytest.mark.parametrize("name", [None, "nothing", "../first", 5])
def test_an_unknown_checkpoint_is_a_sentence(tmp_path: Path, name: object) -> None:
    services = studio(tmp_path)
    session = browse.opened(Session(), services)
    after = checkpoints.chosen(session, services, name)
    assert (after.checkpoint, bool(after.complaint)) == ("first", True)


# -- documents and exports ----------------------------------------------------------------------


def test_a_document_waits_for_the_model_and_then_holds_what_it_found(tmp_path: Path) -> None:
    services = studio(tmp_path)
    file = services.checkpoints.find(None)
    assert file is not None
    image = services.images.listed("samples")[0]
    early = documents.document(services, file, image)
    assert early["instances"] == []
    assert early["pending"]["url"] == f"/api/documents/{image.key}?checkpoint=first"
    ran(services)
    late = documents.document(services, file, image)
    prediction = services.prediction(file, image.key)
    assert prediction is not None
    assert "pending" not in late
    assert [one["class_score"] for one in late["instances"]] == prediction.class_scores.tolist()
    assert late["image"] == {
        "key": image.key,
        "file_name": "sample-0.png",
        "width": 80,
        "height": 60,
        "url": f"/api/images/{image.key}",
    }


def test_a_document_without_a_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    services = studio(tmp_path, checkpoint=False)
    image = services.images.listed("samples")[0]
    assert "There is no checkpoint yet" in documents.document(services, None, image)["note"]


@pytest.mark.parametrize("min_score", [0.05, 0.3, 0.5, 0.9, 1.0])
def test_an_export_holds_the_instances_above_the_score(tmp_path: Path, min_score: float) -> None:
    services = studio(tmp_path)
    _, image = ran(services)
    file = services.checkpoints.find(None)
    assert file is not None
    prediction = services.prediction(file, image.key)
    exported = export.one(services, file, image, min_score)
    assert prediction is not None
    assert exported is not None
    above = [row for row, score in enumerate(prediction.class_scores) if score > min_score]
    dataset = coco.parse(exported.content)
    assert [a.rle for a in dataset.annotations] == [prediction.masks[row] for row in above]
    assert [a.category_id for a in dataset.annotations] == [
        prediction.categories[prediction.labels[row]].id for row in above
    ]
    for given, name in ((prediction.scores, "score"), (prediction.mask_ious, "mask_iou")):
        assert [getattr(a, name) for a in dataset.annotations] == [float(given[r]) for r in above]
    assert [(i.file_name, i.width, i.height) for i in dataset.images] == [("sample-0.png", 80, 60)]
    assert exported.file_name == "sample-0.json"


def test_a_score_at_the_limit_is_not_above_it(tmp_path: Path) -> None:
    services = studio(tmp_path, samples=0)
    grey = np.zeros((20, 20, 3), np.uint8)
    grey[5:9, 5:9] = 51  # 51 / 255 is 0.2, which float32 rounds up
    image = services.images.add(encode(grey), "fifth.png").image
    session = predict.started(browse.uploaded(Session(), services, image.key), services)
    wait_for_run(services, session.run)
    file = services.checkpoints.find(None)
    assert file is not None
    for min_score, found in ((0.19, 1), (0.2, 0), (0.21, 0)):
        exported = export.one(services, file, image, min_score)
        assert exported is not None
        assert len(coco.parse(exported.content).annotations) == found


def test_an_object_without_a_pixel_is_neither_drawn_nor_exported(tmp_path: Path) -> None:
    services = studio(tmp_path, samples=1)
    _, image = ran(services)
    file = services.checkpoints.find(None)
    assert file is not None
    found = services.prediction(file, image.key)
    assert found is not None
    nothing = rle.encode(np.zeros(found.size, bool))
    hollow = replace(found, masks=(found.masks[0], nothing, *found.masks[2:]))
    services.predictions.put(services.checkpoints.identity(file), image.key, hollow)
    exported = export.one(services, file, image, 0.0)
    assert exported is not None
    drawn = documents.document(services, file, image)["instances"]
    written = coco.parse(exported.content).annotations
    assert len(drawn) == len(written) == len(found) - 1
    assert "p2" not in {one["id"] for one in drawn}


def test_exporting_everything_waits_for_everything(tmp_path: Path) -> None:
    services = studio(tmp_path)
    file = services.checkpoints.find(None)
    assert file is not None
    images = services.images.listed("samples")
    with pytest.raises(InputError, match=r"^3 of 3 images have no result yet"):
        export.every(services, file, images, 0.05)
    ran(services)
    content = json.loads(export.every(services, file, images, 0.05).content)
    assert [image["id"] for image in content["images"]] == [1, 2, 3]
    ids = [annotation["id"] for annotation in content["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    assert {annotation["image_id"] for annotation in content["annotations"]} == {1, 2, 3}


def test_exporting_nothing_is_a_file_too(tmp_path: Path) -> None:
    services = studio(tmp_path)
    file = services.checkpoints.find(None)
    assert file is not None
    content = json.loads(export.every(services, file, [], 0.05).content)
    assert (content["images"], content["annotations"]) == ([], [])
