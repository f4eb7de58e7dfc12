"""Theoretical fields: by hand, and the very support of a gradient that cancels nowhere."""

import numpy as np
import pytest
import torch

from comask.analysis.activation import branch_names
from comask.analysis.effective_field import Question, scalars
from comask.analysis.theoretical_field import (
    FUSED,
    Path,
    box_in_level,
    targets,
    theoretical_box,
    theoretical_sizes,
)
from comask.config import BackboneConfig, NeckConfig
from comask.errors import InputError
from comask.model.comask import CoMask
from comask.model.msfem import Msfem
from tests.models import noise, small_config, small_model


@pytest.fixture(scope="module")
def model() -> CoMask:
    return small_model()


def transparent(branches: int, dtype: torch.dtype = torch.float32) -> Msfem:
    """Build an MSFEM of positive weights whose ReLUs let everything pass."""
    torch.manual_seed(0)
    msfem = Msfem(NeckConfig(channels=64, branches=branches)).eval()
    with torch.no_grad():
        for name, weights in msfem.named_parameters():
            weights.fill_(1e4) if name.endswith("norm.bias") else weights.abs_()
    return msfem.to(dtype)


@pytest.mark.parametrize(
    ("cell", "rows"),
    [
        (0, (0, 2)),  # lies on coarse cell 0, which reads -1 .. 1
        (3, (1, 6)),  # lies at 3 * 3 / 7 = 1.3: coarse cells 1 and 2 read 1 .. 3 and 3 .. 5
        (5, (3, 6)),  # at 2.1: coarse cells 2 and 3 read 3 .. 7, of which 0 .. 5 see the image
    ],
)
def test_the_shallowest_branch_by_hand(model: CoMask, cell: int, rows: tuple[int, int]) -> None:
    """24 network pixels are 6 cells of P2, 8 with padding, of which the 2x branch makes 4."""
    box = theoretical_box(model, (24, 24), level=2, cells=[(cell, 3)], branch="2x")
    assert box == (1, rows[0], 6, rows[1])


def test_several_cells_share_one_box(model: CoMask) -> None:
    box = theoretical_box(model, (24, 24), level=2, cells=[(0, 3), (3, 3)], branch="2x")
    assert box == (1, 0, 6, 6)
    assert theoretical_box(model, (24, 24), level=2, cells=[(4, 3), (2, 5)], branch="1x") == (
        3,
        2,
        6,
        5,
    )


@pytest.mark.parametrize("path", ["own", "cascade"])
@pytest.mark.parametrize("branches", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("size", [(25, 42), (1, 7), (16, 33), (9, 2)])
def test_a_field_is_what_a_gradient_reaches(
    size: tuple[int, int], branches: int, path: Path
) -> None:
    msfem = transparent(branches)
    level = noise(1, 64, *size).requires_grad_()
    for cell in {(0, 0), (size[0] // 2, size[1] // 2), (size[0] - 1, size[1] - 1)}:
        found, _ = scalars(msfem, level, [cell], Question(path))
        for name, scalar in found.items():
            (gradient,) = torch.autograd.grad(scalar, level, retain_graph=True)
            x1, y1, x2, y2 = box_in_level(msfem, size, size, cells=[cell], branch=name, path=path)
            reached = gradient[0].abs().sum(dim=0)
            ys, xs = (np.unique(at) for at in reached.nonzero().numpy().T)
            assert y1 <= ys[0] <= ys[-1] < y2
            assert x1 <= xs[0] <= xs[-1] < x2
            if cell != (size[0] - 1, size[1] - 1):  # there rounding may or may not spill over
                assert (xs[0], ys[0], xs[-1] + 1, ys[-1] + 1) == (x1, y1, x2, y2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_never_reaches_outside(dtype: torch.dtype) -> None:
    """Each 9th of 64 cells lies on one of 8 coarser cells, and 1 / 9 is no binary number."""
    msfem = transparent(4, dtype)
    level = noise(1, 64, 1, 64).to(dtype).requires_grad_()
    for column in range(0, 64, 9):
        found, _ = scalars(msfem, level, [(0, column)], Question("cascade"))
        for name, scalar in found.items():
            (gradient,) = torch.autograd.grad(scalar, level, retain_graph=True)
            x1, _, x2, _ = box_in_level(
                msfem, (1, 64), (1, 64), cells=[(0, column)], branch=name, path="cascade"
            )
            assert not gradient[..., :x1].any()
            assert not gradient[..., x2:].any()


def test_sides_by_hand(model: CoMask) -> None:
    """Two coarse cells beside each other read 5 finer ones, those 11, those 23."""
    rows = {(row.level, row.branch): row for row in theoretical_sizes(model)}
    assert len(rows) == 4 * 5
    for level in (2, 3, 4, 5):
        own = [rows[level, branch].own_cells for branch in ("1x", "8x", "4x", "2x", FUSED)]
        assert own == [1, 23, 11, 5, 23]
        assert rows[level, "8x"].cascade_cells == 23  # nothing is deeper
        assert rows[level, "1x"].cascade_cells == 1
        # the smallest kernel has one of the largest fields, through the cascade
        assert rows[level, "2x"].cascade_cells >= 31
        assert rows[level, FUSED].cascade_cells == max(
            rows[level, branch].cascade_cells for branch in ("8x", "4x", "2x")
        )
    assert rows[3, "4x"].to_plain()["own_cells"] == 11


@pytest.mark.parametrize(
    ("kind", "pixels"),
    [
        # 3 + 4 (stride 2), + 4 + 8 (to 4), + 8 + 2 * 16 (to 8), + 16 + 6 * 32 (to 16),
        # + 32 + 3 * 64 (to 32)
        ("mobilenet_v2", 491),
        # 7 + 4 (maxpool), + 3 * 8, + 8 + 3 * 16, + 16 + 5 * 32, + 32 + 2 * 64
        ("resnet50", 427),
    ],
)
def test_backbones_by_hand(kind: str, pixels: int) -> None:
    """Every level looks through C5, whose field holds those of C2 .. C4 below it."""
    config = small_config(backbone=BackboneConfig(kind=kind))  # type: ignore[arg-type]
    sizes = theoretical_sizes(CoMask(config))
    assert [row.own_pixels for row in sizes if row.branch == "1x"] == [pixels] * 4
    # 23 cells of 32 pixels: 22 steps more than one
    assert next(r.own_pixels for r in sizes if (r.level, r.branch) == (5, "8x")) == pixels + 704


def test_in_the_image_a_cell_sees_around_its_pixel(model: CoMask) -> None:
    """P5's cell (8, 9) is at pixel (256, 288) and sees 245 pixels each way."""
    box = theoretical_box(model, (600, 900), level=5, cells=[(8, 9)], branch="1x", frame="image")
    assert box == (288 - 245, 256 - 245, 288 + 246, 256 + 246)


def test_fields_end_with_the_image(model: CoMask) -> None:
    for branch in targets(model):
        box = theoretical_box(
            model, (70, 100), level=5, cells=[(0, 0)], branch=branch, frame="image"
        )
        assert box == (0, 0, 100, 70)


def test_a_model_of_one_branch_has_the_level_alone() -> None:
    model = small_model(small_config(NeckConfig(channels=32, branches=1)))
    assert targets(model) == (*branch_names(1), FUSED)
    assert {row.cascade_cells for row in theoretical_sizes(model)} == {1}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"level": 6}, "level is one of 2 .. 5"),
        ({"cells": []}, "at least one cell"),
        ({"cells": [(18, 0)]}, r"\(18, 0\) is not on a map of 18 x 25 cells"),
        ({"cells": [(0, -1)]}, r"\(0, -1\) is not on"),
        ({"branch": "3x"}, "branch is one of 1x, 8x, 4x, 2x, fused"),
        ({"path": "long"}, "path is one of own, cascade"),
        ({"frame": "screen"}, "frame is one of level, image"),
    ],
)
def test_what_is_none_is_refused(model: CoMask, wrong: dict[str, object], said: str) -> None:
    given = {"level": 2, "cells": [(0, 0)], "branch": "1x"} | wrong
    with pytest.raises(InputError, match=said):
        theoretical_box(model, (70, 100), **given)  # type: ignore[arg-type]


def test_settings_are_as_good_as_a_model(model: CoMask) -> None:
    assert theoretical_sizes(model.config) == theoretical_sizes(model)
    one = theoretical_sizes(model.config)[3]  # P2, 2x
    assert one.side("own", "level") == one.own_cells == 5
    assert one.side("cascade", "image") == one.cascade_pixels
