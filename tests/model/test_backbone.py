"""Backbones: what is worked on in bands is what the whole map gives."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from comask.model import classifiers
from comask.model.classifiers import InvertedResidual


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 4), (16, 6), (17, 3), (31, 4)])
@pytest.mark.parametrize("rows", [1, 2, 3, 5])
@torch.no_grad()
def test_bands_give_what_the_whole_map_gives(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], stride: int, rows: int
) -> None:
    torch.manual_seed(0)
    block = InvertedResidual(8, 8, stride, growth=2).eval()
    features = torch.randn(2, 8, *size).to(memory_format=torch.channels_last)
    whole = block(features)
    monkeypatch.setattr(classifiers, "WIDENED", rows * 2 * 16 * size[1])
    banded = block(features)
    assert banded.shape == whole.shape
    torch.testing.assert_close(banded, whole)
    assert banded.is_contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def test_no_band_is_larger_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    block, features, seen = InvertedResidual(4, 4, 1, growth=6).eval(), torch.randn(1, 4, 40, 5), []
    block.conv[0].register_forward_hook(lambda _, __, widened: seen.append(widened.shape[2]))
    monkeypatch.setattr(classifiers, "WIDENED", 10 * 24 * 5 + 7)
    block(features)
    assert seen == [11, 12, 12, 11]  # ten rows each, and what borders on them


def test_a_gradient_sees_the_whole_map(monkeypatch: pytest.MonkeyPatch) -> None:
    block, features, seen = InvertedResidual(4, 4, 1, growth=6), torch.randn(1, 4, 9, 5), []
    block.conv[0].register_forward_hook(lambda _, __, widened: seen.append(widened.shape[2]))
    monkeypatch.setattr(classifiers, "WIDENED", 1)
    F.mse_loss(block(features), features).backward()
    assert seen == [9]
    assert block.conv[0][0].weight.grad is not None
