"""Tables of field sizes, held to the fields that they come from."""

import json

import numpy as np
import pytest

from comask.analysis.activation import look
from comask.analysis.effective_field import fields_of
from comask.analysis.field_average import averaged
from comask.analysis.field_table import area_ratios
from comask.analysis.field_values import Question
from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import NeckConfig, PreprocessingConfig
from comask.predict import Predictor
from tests.models import small_config, small_model


def predictor_of(branches: int) -> Predictor:
    config = small_config(NeckConfig(channels=64, branches=branches))
    categories = (Category(1, "a"), Category(2, "b"), Category(3, "c"))
    info = CheckpointInfo(config, categories, PreprocessingConfig(short_side=70, long_side=200))
    return Predictor(small_model(config), info, device="cpu")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (140, 200, 3), np.uint8)


def test_a_row_tells_what_the_field_says(image: np.ndarray) -> None:
    """P3's middle cell, 9 x 13 cells of 8 network pixels, which are 16 image pixels each."""
    predictor, asked = predictor_of(3), Question("own", "frozen", "level")
    rows = area_ratios(predictor, [image], checkpoint="three", levels=[3], question=asked)
    fields = fields_of(look(predictor, image), level=3, cells=[(4, 6)], question=asked)
    assert [row.branch for row in rows] == ["1x", "4x", "2x", "fused"]
    assert [row.theoretical for row in rows] == [16, 11 * 16, 5 * 16, 11 * 16]
    for row, field in zip(rows, fields, strict=True):
        assert (row.checkpoint, row.branches, row.level, row.count) == ("three", 3, 3, 1)
        alone = averaged([field])
        assert row.sides == {share: alone.side(share) for share in (0.5, 0.9, 0.99)}
        assert row.ratios == {share: alone.covered(share) for share in (0.2, 0.3, 0.5, 0.99)}
    assert rows[0].sides == {0.5: 16, 0.9: 16, 0.99: 16}
    assert rows[0].ratios[0.99] == pytest.approx(1 / (9 * 13))


@pytest.mark.parametrize("branches", [1, 2, 4])
def test_branch_counts_stand_in_one_table(branches: int, image: np.ndarray) -> None:
    rows = area_ratios(predictor_of(branches), [image, image], levels=[4, 5])
    assert len(rows) == 2 * (branches + 1)
    assert {row.branches for row in rows} == {branches}
    for row in rows:
        assert row.count == 2
        assert row.question == Question("cascade", "frozen", "image")
        assert 0 < row.ratios[0.2] <= row.ratios[0.3] <= row.ratios[0.5] <= row.ratios[0.99] <= 1
        assert 0 < row.sides[0.5] <= row.sides[0.9] <= row.sides[0.99]


def test_a_row_is_plain_json(image: np.ndarray) -> None:
    row = area_ratios(predictor_of(1), [image], levels=[5])[0]
    plain = json.loads(json.dumps(row.to_plain()))
    assert list(plain["sides"]) == ["50", "90", "99"]
    assert list(plain["ratios"]) == ["20", "30", "50", "99"]
    assert plain["question"] == {"path": "cascade", "norm": "frozen", "frame": "image"}
