"""Convolutions that add and rectify beside the same in plain steps."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.testing import assert_close

from comask.ops import fused

needed = pytest.mark.skipif(not fused.available(), reason="this processor has no such operator")


def seen(*shape: int) -> torch.Tensor:
    """Make a map of noise, stored channels last."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(shape, generator=generator).bfloat16()
    return noise.contiguous(memory_format=torch.channels_last)


def convolution(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Conv2d:
    torch.manual_seed(1)
    return nn.Conv2d(inputs, outputs, side, stride, side // 2).bfloat16().requires_grad_(False)


@needed
@pytest.mark.parametrize(("side", "stride"), [(1, 1), (3, 1), (3, 2), (7, 2)])
def test_one_step_is_as_good_as_three(side: int, stride: int) -> None:
    conv, shown = convolution(24, 40, side, stride), seen(2, 24, 9, 14)
    exact = F.conv2d(
        shown.float(),
        conv.weight.float(),
        conv.bias.float(),
        stride,
        side // 2,  # type: ignore[union-attr]
    )
    other = seen(*exact.shape)
    with torch.inference_mode():
        alone, added = fused.convolved(conv, shown), fused.convolved(conv, shown, other)
    assert alone.dtype == added.dtype == torch.bfloat16
    assert_close(alone.float(), exact.relu(), rtol=0.01, atol=0.01)
    assert_close(added.float(), (exact + other.float()).relu(), rtol=0.01, atol=0.01)


@needed
def test_only_maps_that_tell_how_they_are_stored_are_served() -> None:
    assert fused.serves(seen(1, 16, 3, 3))
    assert not fused.serves(seen(1, 16, 3, 3).float())
    assert not fused.serves(seen(1, 16, 3, 3).contiguous())
    assert not fused.serves(seen(1, 16, 2, 3))


def test_without_the_operator_nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_FUSED", object())
    fused.available.cache_clear()
    try:
        assert not fused.serves(seen(1, 16, 4, 4))
    finally:
        fused.available.cache_clear()


def test_an_operator_that_is_wrong_serves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(conv: nn.Conv2d, features: torch.Tensor, other: torch.Tensor | None = None) -> object:
        return conv(features)  # and neither adds nor rectifies

    monkeypatch.setattr(fused, "convolved", plain)
    fused.available.cache_clear()
    try:
        assert not fused.available()
    finally:
        fused.available.cache_clear()
