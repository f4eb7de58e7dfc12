"""Figures for notebooks: the values in them, where they lie, and that they stay small."""

import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from comask.analysis import Look, contributions_of, difference, look, reduced
from comask.analysis.cells import cell_at
from comask.analysis.effective_field import effective_fields, fields_of
from comask.analysis.field_average import averaged
from comask.analysis.field_fit import Fit
from comask.analysis.field_table import FieldRow
from comask.analysis.field_values import EffectiveField, Question
from comask.analysis.figure_parts import PHOTO, joined, places, plain, pooled
from comask.analysis.figures import (
    activation_matrix,
    area_ratio_figure,
    contribution_matrix,
    difference_figure,
    field_figure,
    fit_figure,
    shares_figure,
)
from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import NeckConfig, PreprocessingConfig
from comask.errors import InputError
from comask.predict import Predictor
from tests.analysis.predicted import predicted
from tests.models import small_config, small_model

CATEGORIES = tuple(Category(number, str(number)) for number in (1, 2, 3))
SIZE = (25, 42)
SCALE = 2.0  # network pixels an image pixel


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    model = small_model(small_config(NeckConfig(channels=32)))
    view = PreprocessingConfig(short_side=50, long_side=90)
    return Predictor(model, CheckpointInfo(model.config, CATEGORIES, view), device="cpu")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def seen(predictor: Predictor, image: np.ndarray) -> Look:
    return look(predictor, image)


def written(figure: Any) -> dict[str, Any]:
    """Write a figure as JSON, as every notebook does, and read it again."""
    content: dict[str, Any] = json.loads(figure.to_json())
    assert content["layout"]["title"]["text"]
    assert content["layout"]["width"] <= 1600
    assert content["layout"]["height"] <= 1100
    return content


def words(figure: Any) -> str:
    """Give what stands above a figure."""
    return str(written(figure)["layout"]["title"]["text"]).replace("<br>", " ")


@pytest.mark.slow
def test_importing_the_analysis_does_not_import_plotly() -> None:
    program = "import sys, comask.analysis; print('plotly' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


# -- parts --------------------------------------------------------------------------------------


def test_a_small_map_stays_and_a_large_one_is_averaged() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert pooled(values, 3)[1] == 1
    made, factor = pooled(values, 2)  # squares of 2 x 2, the last column alone
    assert factor == 2
    assert_allclose(made, [[(0 + 1 + 3 + 4) / 4, (2 + 5) / 2]])
    assert pooled(np.zeros((500, 1, 3), np.float32), 160)[0].shape == (125, 1, 3)


def test_averaged_numbers_lie_in_the_middle_of_what_they_average() -> None:
    """Cells of 4 pixels from pixel -2 on; of two each, the first ends at 6 and lies at 2."""
    assert places(-2.0, 4.0, 1) == (0.0, 4.0)
    assert places(-2.0, 4.0, 2) == (2.0, 8.0)


def test_paths_are_closed_and_apart() -> None:
    square = np.array([(0, 0), (4, 0), (4, 4)], np.float32)
    assert joined([square, square + 10]) == (
        [0, 4, 4, 0, None, 10, 14, 14, 10, None],
        [0, 0, 4, 0, None, 10, 10, 14, 10, None],
    )
    angles = np.linspace(0, 2 * math.pi, 5000, endpoint=False)
    circle = 100 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x, y = joined([circle], 100)
    assert len(x) < 110
    radii = [math.hypot(one, other) for one, other in zip(x[:-1], y[:-1], strict=True)]  # type: ignore[arg-type]
    assert min(radii) > 99


def test_a_stranger_s_markup_is_written_out() -> None:
    assert plain("<b>&") == "&lt;b>&amp;"


# -- maps ---------------------------------------------------------------------------------------


def test_an_activation_matrix_holds_every_map_where_it_lies(seen: Look) -> None:
    figure = activation_matrix(seen, "max")
    assert len(figure.data) == 4 * 8
    for number, one in enumerate(seen.levels):
        for column, name in enumerate(one.names):
            trace = figure.data[8 * number + column]
            assert_array_equal(trace.z, reduced(one.map(name), "max"))
            # cell 0 looks at network pixel 0, whose centre is at image pixel 0.25
            assert (trace.x0, trace.y0) == (0.5 / SCALE, 0.5 / SCALE)
            assert (trace.dx, trace.dy) == (one.stride / SCALE,) * 2
    first = figure.layout.coloraxis
    values = [figure.data[column].z for column in range(8)]
    assert first.cmin == min(v.min() for v in values)
    assert first.cmax == max(v.max() for v in values)
    content = written(figure)
    assert "largest of each cell's 32 numbers" in words(figure)
    assert content["layout"]["yaxis"]["range"] == [25, 0]


@pytest.mark.parametrize(
    ("shared", "axes", "bars"), [("map", 32, 0), ("level", 4, 4), ("all", 1, 1)]
)
def test_maps_share_the_scale_that_was_asked_for(
    seen: Look, shared: str, axes: int, bars: int
) -> None:
    layout = activation_matrix(seen, shared=shared).layout  # type: ignore[arg-type]
    found = [layout[name] for name in layout if name.startswith("coloraxis")]
    assert len(found) == axes
    assert sum(one.showscale for one in found) == bars


def test_main_components_are_pictures(seen: Look) -> None:
    figure = activation_matrix(seen, "pca")
    assert {trace.type for trace in figure.data} == {"image"}
    assert figure.data[0].dx == 2
    written(figure)


def test_contributions_have_signs_and_a_winner(seen: Look) -> None:
    parts = contributions_of(seen)
    figure = contribution_matrix(seen)
    assert len(figure.data) == 4 * 6 + 4  # 1x, 8x, 4x, 2x, bias, fused; who wins
    assert_array_equal(figure.data[1].z, parts[0].share[1])
    axis = figure.layout[figure.data[1].coloraxis]
    assert axis.cmin == -axis.cmax
    assert figure.data[5].coloraxis != figure.data[1].coloraxis
    winner = figure.data[24]
    assert_array_equal(winner.z, parts[0].winner)
    names = [[parts[0].branches[at] for at in row] for row in parts[0].winner.tolist()]
    assert [list(row) for row in winner.text] == names
    written(figure)
    strengths = contribution_matrix(parts, "strength", shared="all")
    assert_array_equal(strengths.data[0].z, parts[0].strength[0])


def test_a_large_image_s_matrix_stays_small(predictor: Predictor) -> None:
    wide = Predictor(
        small_model(small_config(NeckConfig(channels=32))),
        CheckpointInfo(
            predictor.info.config, CATEGORIES, PreprocessingConfig(short_side=32, long_side=1400)
        ),
        device="cpu",
    )
    figure = activation_matrix(look(wide, np.zeros((16, 700, 3), np.uint8)))
    assert figure.data[0].z.shape == (3, 117)  # 8 x 350 cells, three by three
    assert figure.data[0].dx == 3 * 4 / SCALE
    assert "mean of 3 x 3 cells" in figure.data[0].hovertemplate
    assert len(figure.to_json()) < 300_000


def test_shares_add_up_to_a_hundred(seen: Look) -> None:
    figure = shares_figure(seen)
    bars = {bar.name: list(bar.x) for bar in figure.data}
    assert list(bars) == ["1x", "8x", "4x", "2x", "bias"]
    assert_allclose(np.sum(list(bars.values()), axis=0), 100, atol=0.1)
    assert bars["8x"][0] == pytest.approx(100 * contributions_of(seen)[0].shares()["8x"])
    written(figure)


# -- fields -------------------------------------------------------------------------------------


def lone(values: np.ndarray) -> EffectiveField:
    """Give a field of P2 by pixels of the network, two an image pixel."""
    return EffectiveField(
        map=values.astype(np.float32),
        unit=0.5,
        origin=(20.0, 40.0),
        level=2,
        stride=4,
        branch="8x",
        question=Question(frame="image"),
        box=(30, 10, 60, 40),
        scale=SCALE,
        size=SIZE,
        cells=((5, 10),),
    )


def test_a_field_lies_in_image_pixels() -> None:
    values = np.zeros((50, 84))
    values[18:22, 36:44] = 1
    values[20, 40] = 4
    figure = field_figure(lone(values), np.zeros((*SIZE, 3), np.uint8), box=(15, 8, 25, 12))
    heat, *lines = figure.data
    assert heat.z.shape == (4, 8)
    assert_allclose((heat.x0, heat.dx, heat.y0, heat.dy), (18.25, 0.5, 9.25, 0.5))
    assert heat.customdata.max() == 4
    assert_allclose(heat.z, np.sqrt(heat.customdata / 4))
    by_name = {one.name.split(":")[0]: one for one in lines}
    assert list(by_name) == [
        "holds 99 %", "holds 90 %", "holds 50 %", "theory", "the object", "asked here"
    ]  # fmt: skip
    assert list(by_name["theory"].x[:-1]) == [15, 30, 30, 15, 15]
    assert list(by_name["theory"].y[:-1]) == [5, 5, 20, 20, 5]
    assert by_name["the object"].name == f"the object: side {40**0.5:.0f} px"
    assert (by_name["asked here"].x[0], by_name["asked here"].y[0]) == (20.25, 10.25)
    assert by_name["holds 99 %"].name.endswith(f"side {32**0.5 / 2:.0f} px")
    content = written(figure)
    assert content["layout"]["yaxis"]["range"][0] > content["layout"]["yaxis"]["range"][1]


def test_a_field_without_mass_says_so() -> None:
    figure = field_figure(lone(np.zeros((50, 84))))
    assert "Nothing moves" in words(figure)


def test_real_fields_of_both_frames_and_averages(
    predictor: Predictor, seen: Look, image: np.ndarray
) -> None:
    one = seen.level(3)
    cell = cell_at((21, 12), one.stride, seen.scale, one.cells)
    by_level = fields_of(seen, level=3, cells=[cell], question=Question(norm="live"))
    by_pixel = effective_fields(predictor, image, level=3, cells=[cell], branches=["4x"],
                                question=Question(frame="image"))  # fmt: skip
    for field in (*by_level, *by_pixel):
        content = written(field_figure(field, image))
        assert content["layout"]["images"][0]["sizex"] == 42
    mean = averaged(
        [fields_of(seen, level=3, cells=[c], branches=["2x"])[0] for c in (cell, (0, 0))]
    )
    middle = field_figure(mean).data[-1]
    assert (middle.x[0], middle.y[0]) == (0, 0)
    with pytest.raises(InputError, match="the field is of an image of size None"):
        field_figure(mean, image)
    with pytest.raises(InputError, match=r"of size \(25, 42\), got \(9, 9, 3\)"):
        field_figure(by_level[0], np.zeros((9, 9, 3), np.uint8))


def test_a_photograph_is_made_smaller() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
    box = predicted((10, 10, 60, 60), size=(1500, 2000))
    figure = difference_figure(pixels, box, box, difference(box, box))
    source = figure.layout.images[0].source
    assert source.startswith("data:image/jpeg;base64,")
    assert len(source) < 2 * PHOTO * PHOTO
    assert (figure.layout.images[0].sizex, figure.layout.images[0].sizey) == (2000, 1500)


def row(branch: str, level: int = 2, checkpoint: str = "a", **changes: Any) -> FieldRow:
    given: dict[str, Any] = {
        "checkpoint": checkpoint,
        "branches": 4,
        "level": level,
        "branch": branch,
        "question": Question(),
        "count": 3,
        "theoretical": 92.0,
        "sides": {0.5: 10.0, 0.9: 20.0, 0.99: 30.0},
        "ratios": {0.2: 0.01, 0.3: 0.02, 0.5: 0.05, 0.99: 0.5},
    }
    return FieldRow(**given | changes)


def test_area_ratios_are_lines_over_the_share() -> None:
    empty = {0.2: 0.0, 0.3: 0.0, 0.5: 0.0, 0.99: 0.0}
    rows = [row("8x"), row("fused"), row("8x", 5), row("2x", 5, ratios=empty)]
    figure = area_ratio_figure(rows)
    assert [one.name for one in figure.data] == ["8x", "fused", "8x"]  # no field, no line
    assert list(figure.data[0].x) == ["20 %", "30 %", "50 %", "99 %"]
    assert list(figure.data[0].y) == [1, 2, 5, 50]
    assert [one.showlegend for one in figure.data] == [True, True, False]
    assert "Own path" in words(figure)


def test_checkpoints_differ_by_their_line() -> None:
    other = row("8x", checkpoint="<b>", question=Question("cascade"))
    figure = area_ratio_figure([row("8x"), other])
    assert [one.name for one in figure.data] == ["8x, a", "8x, &lt;b>"]
    assert figure.data[0].line.color == figure.data[1].line.color == "#D55E00"
    assert figure.data[0].line.dash != figure.data[1].line.dash
    assert "path" not in words(figure)
    with pytest.raises(InputError, match="no rows"):
        area_ratio_figure([])


def fit(number: int, size: float, field: float, branch: str = "8x") -> Fit:
    return Fit(number, 2, branch, 0.6, size, field)


def test_objects_stand_beside_their_fields() -> None:
    fits = [fit(1, 10, 40), fit(2, 20, 40), fit(3, 5, 0), fit(4, 8, 16, "2x")]
    figure = fit_figure(fits, [True, False, True, True])
    points = {one.name: (list(one.x), list(one.y)) for one in figure.data[1:]}
    assert points == {
        "8x, found": ([40], [10]),
        "8x, missed": ([40], [20]),
        "2x, found": ([16], [8]),
    }
    assert "without a field, not drawn: 1." in words(figure)
    assert [one.name for one in fit_figure(fits).data[1:]] == ["8x", "2x"]
    with pytest.raises(InputError, match="4 objects need as many answers, got 1"):
        fit_figure(fits, [True])


@pytest.mark.parametrize("fits", [[], [fit(1, 3, 0)]])
def test_no_objects_are_an_empty_figure(fits: list[Fit]) -> None:
    assert len(written(fit_figure(fits))["data"]) == 1


# -- instances ----------------------------------------------------------------------------------


def test_changes_are_lines_and_tell_their_numbers() -> None:
    before = predicted((0, 0, 10, 10), (20, 0, 30, 10), (0, 20, 10, 30))
    after = predicted((20, 0, 30, 10), (3, 20, 13, 30), (40, 20, 50, 30))
    pixels = np.zeros((40, 60, 3), np.uint8)
    figure = difference_figure(pixels, before, after, difference(before, after), "2x at P2 <i>")
    legend = [one.name.split(":")[0] for one in figure.data if one.showlegend is not False]
    assert legend == ["1 kept", "1 moved", "1 lost", "1 gained"]
    lost = next(one for one in figure.data if one.name and one.name.startswith("1 lost"))
    assert (min(lost.x[:-1]), max(lost.x[:-1]), lost.line.dash) == (0.5, 9.5, "dash")
    dots = {one.legendgroup: one for one in figure.data if one.mode == "markers"}
    assert (dots["moved"].x[0], dots["moved"].y[0]) == (8, 25)
    assert "farthest edge 3.0 px" in dots["moved"].text[0]
    assert "<b>gained</b> cell, class score 0.50" in dots["gained"].text[0]
    assert "2x at P2 &lt;i>" in words(figure)


def test_nothing_found_is_a_figure_too() -> None:
    none = predicted()
    figure = difference_figure(np.zeros((40, 60, 3), np.uint8), none, none, difference(none, none))
    assert "0 instances became 0" in words(figure)
    with pytest.raises(InputError, match="got"):
        difference_figure(np.zeros((4, 6, 3), np.uint8), none, none, difference(none, none))
