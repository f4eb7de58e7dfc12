"""What branches contribute: planted weights, numbers by hand, sums that must come out."""

import numpy as np
import pytest
import torch
from torch import nn

from comask.analysis import contribution, contributions
from comask.analysis.activation import LevelLook
from comask.analysis.contribution import Contribution, branch_names, split
from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import NeckConfig, PreprocessingConfig
from comask.errors import InputError
from comask.model.msfem import Msfem
from comask.predict import Predictor
from tests.models import small_config, small_model

CATEGORIES = (Category(1, "a"), Category(2, "b"), Category(3, "c"))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    preprocessing = PreprocessingConfig(short_side=70, long_side=200)
    info = CheckpointInfo(small_config(), CATEGORIES, preprocessing)
    return Predictor(small_model(), info, device="cpu")


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("branches", [1, 2, 3, 4, 5])
def test_parts_and_bias_make_the_fused_map(branches: int) -> None:
    torch.manual_seed(0)
    msfem = Msfem(NeckConfig(channels=32, branches=branches)).eval()
    level = torch.randn(1, 32, 25, 42)
    with torch.inference_mode():
        parts, fused = split(msfem, level, msfem.views(level))
        added = torch.stack(parts).sum(dim=0) + msfem.fuse.bias.view(1, -1, 1, 1)
    assert len(parts) == len(branch_names(branches)) == branches
    torch.testing.assert_close(added, fused, rtol=1e-4, atol=1e-4)


def test_a_branch_whose_weights_are_zero_contributes_nothing() -> None:
    torch.manual_seed(0)
    msfem = Msfem(NeckConfig(channels=32, branches=3)).eval()
    with torch.no_grad():
        msfem.fuse.weight[:, 32:64] = 0  # the second input: the deepest branch, 4x
    with torch.inference_mode():
        level = torch.randn(1, 32, 9, 7)
        parts, _ = split(msfem, level, msfem.views(level))
    assert branch_names(3) == ("1x", "4x", "2x")
    assert [bool(part.any()) for part in parts] == [True, False, True]


def test_shares_and_strengths_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two channels, one cell: parts (3, 4) and (0, -1), bias (0, 1): fused is (3, 4)."""
    msfem = Msfem.__new__(Msfem)
    nn.Module.__init__(msfem)
    msfem.fuse = nn.Conv2d(1, 2, 1)
    nn.init.constant_(msfem.fuse.bias, 0.0)
    with torch.no_grad():
        msfem.fuse.bias[1] = 1.0
    parts = [torch.tensor([3.0, 4.0]), torch.tensor([0.0, -1.0])]
    shaped = [part.view(1, 2, 1, 1) for part in parts]
    fused = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    monkeypatch.setattr(contribution, "split", lambda *_: (shaped, fused))
    seen = LevelLook(2, 4, (1, 1), ("1x", "2x"), fused, fused, (), fused, fused, fused, msfem)
    one = contribution.of_level(seen, 1.0, (4, 4))
    np.testing.assert_allclose(one.strength[:, 0, 0], [5.0, 1.0])
    np.testing.assert_allclose(one.share[:, 0, 0], [5.0, -0.8], rtol=1e-6)
    np.testing.assert_allclose(one.bias, [[0.8]], rtol=1e-6)
    assert one.fused.tolist() == [[5.0]]
    assert one.winner.tolist() == [[0]]
    assert one.shares() == pytest.approx({"1x": 1.0, "2x": -0.16, "bias": 0.16})
    assert one.unexplained == 0


@pytest.mark.parametrize("size", [(70, 100), (91, 77), (5, 3)])
def test_every_level_of_an_image_is_explained(predictor: Predictor, size: tuple[int, int]) -> None:
    found = contributions(predictor, noise(*size))
    assert [one.level for one in found] == [2, 3, 4, 5]
    for one in found:
        assert one.unexplained < 1e-4
        assert one.branches == ("1x", "8x", "4x", "2x")
        assert one.size == size
        np.testing.assert_allclose(
            one.share.sum(axis=0) + one.bias, one.fused, rtol=1e-3, atol=1e-4 * one.fused.max()
        )
        assert sum(one.shares().values()) == pytest.approx(1, abs=1e-3)
        assert (np.abs(one.share) <= one.strength * 1.001 + 1e-6).all()
        assert set(np.unique(one.winner)) <= {0, 1, 2, 3}


def test_padding_is_left_out(predictor: Predictor) -> None:
    """70 x 100 network pixels are padded to 96 x 128: 18 x 25 cells of stride 4 see the image."""
    found = contributions(predictor, noise(70, 100))
    assert [one.fused.shape for one in found] == [(18, 25), (9, 13), (5, 7), (3, 4)]


def test_the_model_stays_as_it_was(predictor: Predictor) -> None:
    image = noise(70, 100)
    before = predictor.predict(image)
    contributions(predictor, image)
    after = predictor.predict(image)
    np.testing.assert_array_equal(before.boxes, after.boxes)
    assert before.masks == after.masks


def test_what_is_no_image_is_refused(predictor: Predictor) -> None:
    for wrong in (np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.float32)):
        with pytest.raises(InputError, match="must be"):
            contributions(predictor, wrong)  # type: ignore[arg-type]


def test_a_map_without_anything_has_shares_of_nothing() -> None:
    zeros = np.zeros((2, 1, 1), np.float32)
    one = Contribution(2, 4, 1.0, (4, 4), ("1x", "2x"), zeros, zeros, zeros[0], zeros[0], 0.0)
    assert one.shares() == {"1x": 0.0, "2x": 0.0, "bias": 0.0}
