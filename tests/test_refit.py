"""A box by hand goes the way of a proposal: the model's own mask head draws what is in it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from comask.annotation import rle
from comask.data import images
from comask.errors import InputError
from comask.predict import PredictionSettings, Predictor
from tests.factories import write_checkpoint, write_picture

BUNDLED = Path(__file__).resolve().parents[1] / "assets"


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    path = write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "small.safetensors")
    return Predictor.from_checkpoint(
        path, settings=PredictionSettings(min_score=0.05), device="cpu"
    )


def picture(folder: Path, width: int, height: int) -> images.Pixels:
    return images.load(write_picture(folder / "a.png", width, height)).pixels


def assert_same(predictor: Predictor, pixels: images.Pixels, most: int = 10) -> None:
    """Refit instances from their own proposals, each as its own class."""
    found = predictor.predict(pixels)
    assert len(found)
    seen = predictor.see(pixels)
    for row in range(min(len(found), most)):
        category = found.categories[int(found.labels[row])]
        made = predictor.refit(seen, found.trace.proposals[row].tolist(), category.id)
        assert made.category == category
        assert_allclose(made.box, found.boxes[row], atol=1e-3)
        assert_allclose(made.class_score, found.class_scores[row], atol=1e-4)
        assert_allclose(made.mask_iou, found.mask_ious[row], atol=1e-4)
        assert_allclose(made.score, found.scores[row], atol=1e-4)
        assert made.levels == tuple(found.trace.levels[row])
        assert made.mask == found.masks[row]


@pytest.mark.parametrize(("width", "height"), [(40, 30), (25, 42), (97, 33)])
def test_its_own_proposal_gives_the_same_instance(
    predictor: Predictor, tmp_path: Path, width: int, height: int
) -> None:
    assert_same(predictor, picture(tmp_path, width, height))


def test_without_collaboration_too(tmp_path: Path) -> None:
    from comask.checkpoint import native

    path = write_checkpoint(tmp_path / "plain.safetensors")
    model, info = native.load(path)
    model.config = replace(model.config, collaborative=False)
    assert_same(Predictor(model, info, device="cpu"), picture(tmp_path, 40, 30))


def test_the_likeliest_class_is_taken_where_none_is_given(
    predictor: Predictor, tmp_path: Path
) -> None:
    pixels = picture(tmp_path, 40, 30)
    box = [5.0, 5.0, 25.0, 20.0]
    by_class = {one.id: predictor.refit(pixels, box, one.id) for one in predictor.info.categories}
    best = max(by_class.values(), key=lambda made: made.class_score)
    made = predictor.refit(pixels, box)
    assert (made.category, made.class_score, made.mask) == (
        best.category,
        best.class_score,
        best.mask,
    )


def test_many_boxes_need_one_look(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = predictor.see(picture(tmp_path, 40, 30))
    assert seen.bytes == 4 * sum(level.numel() for level in seen.levels)
    monkeypatch.setattr(type(predictor._model), "features", None)
    assert predictor.refit(seen, [5, 5, 25, 20]).mask.size == (30, 40)


def test_a_box_is_cut_off_at_the_image(predictor: Predictor, tmp_path: Path) -> None:
    seen = predictor.see(picture(tmp_path, 40, 30))
    outside = predictor.refit(seen, [-1e6, -50, 20, 1e9])
    assert_allclose(outside.box, predictor.refit(seen, [0, 0, 20, 31]).box, atol=1e-3)
    assert rle.area(outside.mask) <= 40 * 30


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([5, 5, 5.5, 20], "less than a pixel"),
        ([20, 5, 5, 20], "less than a pixel"),
        ([-20, 5, 0, 20], "beside the image"),
        ([50, 5, 60, 20], "which is 40 x 30 pixels"),
        ([0, 0, float("nan"), 20], "four numbers"),
        ([0, 0, 20], "four numbers"),
    ],
)
def test_a_box_without_a_pixel_is_refused(
    predictor: Predictor, tmp_path: Path, box: list[float], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        predictor.refit(picture(tmp_path, 40, 30), box)


def test_an_unknown_class_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no category 2"):
        predictor.refit(picture(tmp_path, 40, 30), [5, 5, 25, 20], 2)


@pytest.mark.slow
def test_the_bundled_checkpoint_draws_its_own_nuclei_again() -> None:
    predictor = Predictor.from_checkpoint(
        BUNDLED / "checkpoints/comask-tiny-nuclei.safetensors", device="cpu"
    )
    first = sorted((BUNDLED / "samples/microscopy").glob("*.*"))[0]
    pixels = np.ascontiguousarray(images.load(first).pixels)
    assert_same(predictor, pixels, most=40)
