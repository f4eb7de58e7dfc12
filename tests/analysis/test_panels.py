"""Maps side by side: what each level lists, and which maps share a scale."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from comask.analysis import Look, contributions_of, look, reduced
from comask.analysis.panels import (
    Panel,
    PanelRow,
    activation_panels,
    contribution_panels,
    scales,
    wins_of,
)
from comask.analysis.scales import Scale
from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import NeckConfig, PreprocessingConfig
from comask.errors import InputError
from comask.predict import Predictor
from tests.models import small_config, small_model

CATEGORIES = tuple(Category(number, str(number)) for number in (1, 2, 3))


def seen_by(branches: int) -> Look:
    model = small_model(small_config(NeckConfig(channels=32, branches=branches)))
    view = PreprocessingConfig(short_side=50, long_side=90)
    predictor = Predictor(model, CheckpointInfo(model.config, CATEGORIES, view), device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (25, 42, 3), np.uint8)
    return look(predictor, image)


@pytest.fixture(scope="module")
def seen() -> Look:
    return seen_by(4)


def test_an_activation_is_the_library_s_own(seen: Look) -> None:
    rows = activation_panels(seen, "max")
    assert [row.level for row in rows] == [2, 3, 4, 5]
    for row, level in zip(rows, seen.levels, strict=True):
        assert tuple(panel.name for panel in row.panels) == level.names
        for panel in row.panels:
            assert_array_equal(panel.values, reduced(level.map(panel.name), "max"))
        assert (row.step, row.first) == (level.stride / 2, (0.5 - level.stride / 2) / 2)


def test_main_components_are_colours_and_have_no_scale(seen: Look) -> None:
    rows = activation_panels(seen, "pca")
    assert {panel.values.shape[2:] for row in rows for panel in row.panels} == {(3,)}
    assert scales(rows) == {}


def test_a_contribution_s_parts_share_a_scale_and_the_whole_has_its_own(seen: Look) -> None:
    parts = contributions_of(seen)
    rows = contribution_panels(parts)
    chosen = scales(rows)
    for row, one in zip(rows, parts, strict=True):
        assert [p.name for p in row.panels] == ["1x", "8x", "4x", "2x", "bias", "fused"]
        most = max(abs(one.share).max(), abs(one.bias).max())
        assert chosen[one.level, "8x"] == Scale(-most, most, "signed")
        assert chosen[one.level, "8x"] is chosen[one.level, "bias"]
        assert chosen[one.level, "fused"] == Scale(one.fused.min(), one.fused.max())
        assert_array_equal(row.panels[1].values, one.share[1])


@pytest.mark.parametrize("branches", [1, 2])
def test_fewer_branches_have_fewer_parts(branches: int) -> None:
    parts = contributions_of(seen_by(branches))
    names = [panel.name for panel in contribution_panels(parts, "strength")[0].panels]
    assert names == [*("1x", "2x")[:branches], "fused"]
    assert sum(wins_of(parts[0]).values()) == pytest.approx(1)


def row(level: int, *maps: tuple[str, float, float]) -> PanelRow:
    panels = tuple(
        Panel(name, np.array([[low, high]], np.float32), "plain", "", "", "")
        for name, low, high in maps
    )
    return PanelRow(level, 2**level, 1.0, (8, 8), panels)


@pytest.mark.parametrize(
    ("shared", "first"), [("map", (0, 1)), ("level", (-2, 1)), ("all", (-2, 9))]
)
def test_a_scale_spans_what_is_asked(shared: str, first: tuple[float, float]) -> None:
    rows = [row(2, ("a", 0, 1), ("b", -2, 0)), row(3, ("a", 3, 9))]
    chosen = scales(rows, shared)  # type: ignore[arg-type]
    assert set(chosen) == {(2, "a"), (2, "b"), (3, "a")}
    assert chosen[2, "a"] == Scale(*first)


def test_unknown_ways_are_refused(seen: Look) -> None:
    with pytest.raises(InputError, match="a map, a level or all"):
        scales([], "image")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="share or strength"):
        contribution_panels(contributions_of(seen), "sum")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"a channel is one of 0 \.\. 31"):
        activation_panels(seen, "channel", 32)
