"""A predictor that also tells what became of all its proposals."""

from dataclasses import fields

import numpy as np
import pytest

from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import NeckConfig
from comask.data import images
from comask.model import class_head
from comask.model.fold import TiledConv
from comask.predict import Candidates, Fate, Prediction, PredictionSettings, Predictor
from tests.factories import write_checkpoint, write_picture
from tests.models import small_config, small_model

SETTINGS = PredictionSettings(min_score=0.3, max_instances=4)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    path = write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "small.safetensors")
    return Predictor.from_checkpoint(path, device="cpu", settings=SETTINGS)


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> images.Pixels:
    return images.load(write_picture(tmp_path_factory.mktemp("picture") / "a.png")).pixels


def told(prediction: Prediction) -> Candidates:
    assert prediction.candidates is not None
    return prediction.candidates


def test_asking_for_candidates_changes_no_bit(predictor: Predictor, pixels: images.Pixels) -> None:
    plain = predictor.predict(pixels)
    asked = predictor.predict(pixels, candidates=True)
    assert plain.candidates is None
    assert len(plain) == 4
    assert asked.masks == plain.masks
    for name in ("boxes", "labels", "class_scores", "mask_ious", "scores"):
        np.testing.assert_array_equal(getattr(asked, name), getattr(plain, name), strict=True)
    for field in fields(plain.trace):
        given, wanted = (getattr(one.trace, field.name) for one in (asked, plain))
        np.testing.assert_array_equal(given, wanted, strict=True)


def test_nobody_works_for_candidates_that_nobody_asked_for(
    predictor: Predictor, pixels: images.Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comask.model.comask.explain", None)
    predictor.predict(pixels)
    with pytest.raises(TypeError, match="not callable"):
        predictor.predict(pixels, candidates=True)


def test_kept_candidates_are_the_instances(predictor: Predictor, pixels: images.Pixels) -> None:
    found = predictor.predict(pixels, candidates=True)
    candidates = told(found)
    kept = candidates.fates == Fate.KEPT
    assert sorted(candidates.by[kept]) == [0, 1, 2, 3]
    for row, label, score, instance in zip(
        candidates.rows[kept],
        candidates.labels[kept],
        candidates.scores[kept],
        candidates.by[kept],
        strict=True,
    ):
        assert row == found.trace.proposal_rows[instance]
        assert label == found.labels[instance]
        assert score == found.class_scores[instance]
        np.testing.assert_array_equal(candidates.proposals[row], found.trace.proposals[instance])
    assert set(candidates.fates) == {Fate.KEPT, Fate.SUPPRESSED, Fate.CUT}
    assert (np.diff(candidates.rows) >= 0).all()
    assert candidates.scores.min() > class_head.FLOOR


def test_shapes_and_types_are_those_documented(predictor: Predictor, pixels: images.Pixels) -> None:
    candidates = told(predictor.predict(pixels, candidates=True))
    count = len(candidates.rows)
    assert candidates.proposals.shape == (20, 4)  # what the checkpoint keeps
    kinds = {f.name: getattr(candidates, f.name).dtype.name for f in fields(candidates)}
    assert kinds == {
        "proposals": "float32",
        "rows": "int32",
        "labels": "int32",
        "scores": "float32",
        "fates": "int8",
        "by": "int32",
        "suppressor_iou": "float32",
    }
    assert {len(getattr(candidates, name)) for name in list(kinds)[1:]} == {count}


@pytest.mark.parametrize("bfloat16", [False, True])
def test_convolutions_are_made_ready_for_tiles_only_where_they_serve(bfloat16: bool) -> None:
    model = small_model(small_config(NeckConfig(channels=128)))
    categories = tuple(Category(number, f"thing {number}") for number in (1, 2, 3))
    settings = PredictionSettings(bfloat16=bfloat16)
    info = CheckpointInfo(model.config, categories)
    predictor = Predictor(model, info, device="cpu", settings=settings)
    for gradients in (False, True):
        with predictor.opened(np.zeros((64, 64, 3), np.uint8), gradients=gradients) as opened:
            count = sum(isinstance(part, TiledConv) for part in opened[0].modules())
            assert count == (0 if bfloat16 and gradients else 5)
