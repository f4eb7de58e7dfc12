"""A checkpoint over many images: what is found, what is skipped, what is written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from comask.annotation import coco, rle
from comask.annotation.records import Category, Dataset, ImageRecord
from comask.checkpoint import native
from comask.data import images
from comask.errors import ImageError, InputError
from comask.evaluate import overlay, run
from comask.evaluate.run import Harvest
from comask.predict import Prediction, PredictionTrace, Predictor
from tests.factories import write_checkpoint, write_picture


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    return Predictor.from_checkpoint(write_checkpoint(path), device="cpu")


def prediction(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (30, 40)) -> Prediction:
    """Build a prediction whose masks fill their boxes; label 1, scores 0.9, 0.8, ..."""
    scores = np.array([0.9 - row / 10 for row in range(len(boxes))], np.float32)
    masks = tuple(
        rle.encode_crop(np.ones((y2 - y1, x2 - x1), bool), x1, y1, size) for x1, y1, x2, y2 in boxes
    )
    none = np.zeros((len(boxes), 0), np.float32)
    return Prediction(
        size=size,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.ones(len(boxes), np.int64),
        class_scores=scores,
        mask_ious=np.full(len(boxes), 0.5, np.float32),
        scores=scores + np.float32(0.15),
        masks=masks,
        categories=(Category(1, "cell"), Category(90, "nucleus")),
        trace=PredictionTrace(none, none, none, none, none, none, none),
    )


def truth(*records: ImageRecord, names: tuple[str, ...] = ("cell", "nucleus")) -> Dataset:
    return Dataset(records, (), tuple(Category(n, name) for n, name in enumerate(names, 5)))


def test_a_bad_image_is_skipped_and_the_others_keep_their_order(
    predictor: Predictor, tmp_path: Path
) -> None:
    names = [f"{n}.png" for n in range(6)]
    for number, name in enumerate(names):
        write_picture(tmp_path / name, width=40 + number)
    (tmp_path / "3.png").write_bytes(b"")
    files = [(tmp_path / name, name) for name in names]
    outcomes = list(run.predict_files(predictor, files, progress=False))
    assert [o.name for o in outcomes] == names
    assert [o.prediction is None for o in outcomes] == [n == 3 for n in range(6)]
    assert "empty" in outcomes[3].failure
    assert [o.prediction.size[1] for o in outcomes if o.prediction] == [40, 41, 42, 44, 45]


def test_an_image_is_seen_as_the_predictor_alone_sees_it(
    predictor: Predictor, tmp_path: Path
) -> None:
    path = write_picture(tmp_path / "a.png")
    (outcome,) = run.predict_files(predictor, [(path, "a.png")], progress=False)
    alone = predictor.predict(images.load(path).pixels)
    assert outcome.prediction is not None
    assert len(alone) > 0
    assert outcome.prediction.masks == alone.masks
    np.testing.assert_array_equal(outcome.prediction.scores, alone.scores)


def test_a_run_that_is_left_early_stops_decoding(predictor: Predictor, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png")
    outcomes = run.predict_files(predictor, [(path, str(n)) for n in range(50)], progress=False)
    assert next(outcomes).name == "0"
    outcomes.close()


def test_no_files_give_no_outcomes(predictor: Predictor) -> None:
    assert list(run.predict_files(predictor, [], progress=False)) == []


def test_annotations_have_running_ids_and_the_scores_in_parts() -> None:
    first, second = run.to_annotations(prediction((1, 2, 4, 8), (0, 0, 40, 30)), 3, 11)
    assert (first.id, first.image_id, first.category_id) == (11, 3, 90)
    assert (first.area, first.bbox, first.iscrowd) == (18, (1, 2, 3, 6), False)
    assert first.score == pytest.approx(1.05)
    assert (first.class_score, first.mask_iou) == (pytest.approx(0.9), 0.5)
    assert (second.id, second.area) == (12, 1200)


def test_an_empty_mask_is_a_result_but_no_annotation() -> None:
    found = prediction((5, 5, 5, 9), (1, 2, 4, 8))
    (annotation,) = run.to_annotations(found, 1, 1)
    assert (annotation.id, annotation.area) == (1, 18)
    assert [r["bbox"] for r in run.to_results(found, 1)] == [[5, 5, 0, 4], [1, 2, 3, 6]]


def test_a_harvest_of_nothing_is_an_empty_dataset() -> None:
    harvest = Harvest()
    harvest.add(run.Outcome("bad.png", None, None, "bad.png is text"))
    assert harvest.dataset(()) == Dataset()
    assert harvest.failures == ["bad.png is text"]


def test_a_folder_is_found_under_the_ids_of_its_file(predictor: Predictor, tmp_path: Path) -> None:
    write_picture(tmp_path / "x/a.png")
    write_picture(tmp_path / "y/a.png", seed=1)
    records = (ImageRecord(7, "x/a.png", 40, 30), ImageRecord(3, "y/a.png", 40, 30))
    found = run.predict_folder(predictor, truth(*records), tmp_path, progress=False)
    assert {result["image_id"] for result in found} == {7, 3}
    assert {result["category_id"] for result in found} <= {5, 6}
    only = run.predict_folder(predictor, truth(*records, names=("nucleus",)), tmp_path)
    assert len(only) == sum(result["category_id"] == 6 for result in found)


@pytest.mark.parametrize(
    ("record", "kind", "said"),
    [
        (ImageRecord(1, "none.png", 40, 30), InputError, "1 of 1 images are not below"),
        (ImageRecord(1, "a.png", 30, 40), InputError, "a.png is 40 x 30 pixels"),
        (ImageRecord(1, "bad.png", 40, 30), ImageError, "bad.png"),
    ],
)
def test_numbers_on_a_part_are_refused(
    predictor: Predictor, tmp_path: Path, record: ImageRecord, kind: type[Exception], said: str
) -> None:
    write_picture(tmp_path / "a.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(kind, match=said):
        run.predict_folder(predictor, truth(record), tmp_path, progress=False)


def test_categories_match_by_name() -> None:
    own = [Category(1, "Traffic_light"), Category(2, "cell")]
    theirs = [Category(n, name) for n, name in ((10, "traffic light"), (1, "person"))]
    theirs.append(Category(30, "traffic light"))  # the first of two of one name counts
    assert run.match_categories(own, theirs) == {1: 10}
    with pytest.raises(InputError, match="finds cell, and the annotation file knows no category"):
        run.match_categories(own[1:], [])


def test_what_a_model_finds_is_worth_one(predictor: Predictor, tmp_path: Path) -> None:
    """The truth is the model's own finding, without those that its masks leave empty."""
    path = write_picture(tmp_path / "a.png")
    found = predictor.predict(images.load(path).pixels)
    instances = tuple(run.to_annotations(found, 1, 1))
    assert instances
    record = ImageRecord(1, "a.png", 40, 30)
    coco.write(tmp_path / "t.json", Dataset((record,), instances, found.categories))
    verdicts = run.judge_checkpoint(predictor, tmp_path / "t.json", tmp_path, progress=False)
    assert verdicts["segm"].numbers["AR100"] > 0.99


def test_a_model_is_judged_where_it_is_and_left_as_it_was(tmp_path: Path) -> None:
    model, info = native.load(write_checkpoint(tmp_path / "c.safetensors"))
    write_picture(tmp_path / "a.png")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    content = truth(ImageRecord(1, "a.png", 40, 30))
    square = coco.annotate(1, 1, 5, rle.encode(np.eye(30, 40) > 0))
    coco.write(tmp_path / "t.json", replace(content, annotations=(square,)))
    numbers = run.evaluate_model(model, info, tmp_path / "t.json", tmp_path)
    assert set(numbers) == {"segm", "bbox"}
    assert model.config == info.config
    for key, value in model.state_dict().items():
        assert value.equal(before[key]), key


def test_drawing_leaves_the_image_alone_and_colours_the_mask() -> None:
    pixels = np.zeros((30, 40, 3), np.uint8)
    drawn = overlay.draw(pixels, prediction((10, 15, 30, 28)))
    assert not pixels.any()
    tint = np.round(np.array(overlay.PALETTE[0]) * overlay.OPACITY)
    np.testing.assert_array_equal(drawn[21, 20], tint)
    np.testing.assert_array_equal(drawn[27, 20], overlay.PALETTE[0])  # outline and box
    np.testing.assert_array_equal(drawn[29, 39], [0, 0, 0])


def test_nothing_found_draws_nothing() -> None:
    pixels = np.arange(3600, dtype=np.uint32).reshape(30, 40, 3).astype(np.uint8)
    np.testing.assert_array_equal(overlay.draw(pixels, prediction()), pixels)


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (39, 29, 40, 30), (0, 0, 40, 30), (-9, -9, 60, 50)])
def test_boxes_at_the_border_can_be_drawn(box: tuple[int, int, int, int]) -> None:
    assert overlay.draw(np.zeros((30, 40, 3), np.uint8), prediction(box)).any()


def test_overlays_stay_below_their_folder(tmp_path: Path) -> None:
    pixels, found = np.zeros((30, 40, 3), np.uint8), prediction()
    written = [
        overlay.write(tmp_path / "o", name, pixels, found)
        for name in ("a.png", "sub/雪 #.tif", "/abs/a.png", "../../a.png")
    ]
    names = [path.relative_to(tmp_path / "o").as_posix() for path in written]
    assert names == ["a.png.jpg", "sub/雪 #.tif.jpg", "abs/a.png.jpg", "a.png.jpg"]
    assert images.load(written[1]).size == (30, 40)


def test_very_long_images_are_drawn_as_png() -> None:
    assert overlay.encode(np.zeros((1, 70_000, 3), np.uint8))[1] == ".png"


def test_results_are_json(predictor: Predictor, tmp_path: Path) -> None:
    found = predictor.predict(images.load(write_picture(tmp_path / "a.png")).pixels)
    results = run.to_results(found, 1)
    assert json.loads(json.dumps(results)) == results
