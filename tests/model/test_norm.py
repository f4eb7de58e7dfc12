"""The norms against torch's own."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from comask.model.norm import GroupNorm, RegionNorm, place_means


def noise(*shape: int) -> Tensor:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))
    return made.to(memory_format=torch.channels_last)


def weighted(norm: nn.Module) -> nn.Module:
    torch.manual_seed(3)
    for weight in norm.parameters():
        nn.init.normal_(weight)
    return norm.eval()


def test_a_group_of_a_single_value_becomes_the_bias() -> None:
    norm = GroupNorm(32)
    torch.nn.init.normal_(norm.bias)
    wanted = norm.bias.view(1, 32, 1, 1).expand(2, 32, 1, 1)
    assert torch.equal(norm(noise(2, 32, 1, 1)), wanted)


@pytest.mark.parametrize("side", [7, 31, 32])
def test_a_norm_in_bfloat16_rounds_what_one_in_float32_finds(side: int) -> None:
    half = GroupNorm(64).bfloat16()
    torch.nn.init.normal_(half.weight)
    torch.nn.init.normal_(half.bias)
    exact = GroupNorm(64)
    exact.load_state_dict(half.state_dict())
    features = noise(2, 64, side, side).bfloat16()
    wanted = exact(features.float())
    found = half(features)
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)
    # eight binary digits: half a unit in the last place, or two where the shift is rounded first
    assert_close(found.float(), wanted, rtol=2**-7, atol=2**-6)


def test_maps_in_bfloat16_are_normed_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    half, features = weighted(GroupNorm(64)).bfloat16(), noise(7, 64, 5, 6).bfloat16()
    wanted = half(features)
    monkeypatch.setattr("comask.model.norm.WIDE", 3 * 64 * 30)
    with torch.no_grad():
        found = half(features)
    assert torch.equal(found, wanted)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [64, 96, 128, 160])
@pytest.mark.parametrize("half", [False, True])
def test_many_regions_are_normed_as_few_are(channels: int, half: bool) -> None:
    norm = weighted(GroupNorm(channels))
    features = noise(40, channels, 7, 5) + 3.0
    if half:
        norm, features = norm.bfloat16(), features.bfloat16()
    found = norm(features)
    weight, bias = norm.weight.double(), norm.bias.double()
    wanted = torch.group_norm(features.double(), 32, weight, bias, norm.eps)
    room = 2**-7 if half else 1e-5
    assert found.dtype == features.dtype
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert_close(found.double(), wanted, rtol=room, atol=room)
    assert_close(found[:3], norm(features[:3]), rtol=room, atol=room)


@pytest.mark.parametrize("regions", [0, 1, 5])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_a_region_is_normed_as_torch_does_it(regions: int, offset: float) -> None:
    norm, peer = weighted(RegionNorm(24)), nn.InstanceNorm2d(24, affine=True).eval()
    peer.load_state_dict(norm.state_dict())
    features = noise(regions, 24, 14, 14) + offset  # far from 0, squares alone would cancel out
    found = norm(features)
    if regions:
        assert_close(found, peer(features), rtol=1e-5, atol=1e-5 * max(1.0, offset))
        wanted = (features - features.mean((2, 3), keepdim=True)) / features.std(
            (2, 3), correction=0, keepdim=True
        )
        assert_close(
            found,
            wanted * norm.weight[:, None, None] + norm.bias[:, None, None],
            rtol=1e-4,
            atol=1e-5 * max(1.0, offset),
        )
    assert found.shape == features.shape
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_region_in_bfloat16_is_normed_in_float32() -> None:
    half = weighted(RegionNorm(24)).bfloat16()
    exact = RegionNorm(24).eval()
    exact.load_state_dict(half.state_dict())
    features = noise(5, 24, 14, 14).bfloat16()
    found = half(features)
    assert found.dtype == torch.float32
    assert_close(found, exact(features.float()))


@pytest.mark.parametrize("training", [False, True])
def test_a_region_norm_has_the_gradients_that_it_should(training: bool) -> None:
    norm = weighted(RegionNorm(3)).double().train(training)
    features = noise(2, 3, 4, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(norm, features)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (200, 304)])
def test_means_over_places_are_right_in_bfloat16_too(size: tuple[int, int]) -> None:
    features = noise(2, 8, *size) + 3.0
    wanted = features.double().mean(dim=(2, 3)).float()
    assert_close(place_means(features), wanted)
    half = features.bfloat16()
    found = place_means(half)
    assert found.dtype == torch.bfloat16
    assert_close(found.float(), half.double().mean(dim=(2, 3)).float(), rtol=2**-7, atol=0.0)


@pytest.mark.parametrize("norm", [RegionNorm(64), GroupNorm(64)])
@pytest.mark.parametrize("half", [False, True])
def test_without_gradients_a_norm_finds_the_same(norm: nn.Module, half: bool) -> None:
    norm, features = weighted(norm).float(), noise(40, 64, 7, 5)
    if half:
        norm, features = norm.bfloat16(), features.bfloat16()
    before, wanted = features.clone(), norm(features)
    with torch.no_grad():
        assert torch.equal(norm(features), wanted)
    assert torch.equal(features, before)


@pytest.mark.parametrize("half", [False, True])
def test_a_region_may_be_written_over_where_no_gradient_needs_it(half: bool) -> None:
    norm, features = weighted(RegionNorm(24)), noise(5, 24, 14, 14)
    if half:
        norm, features = norm.bfloat16(), features.bfloat16()
    before, wanted = features.clone(), norm(features)
    assert torch.equal(norm(features, over=True), wanted)
    assert torch.equal(features, before)
    with torch.no_grad():
        assert torch.equal(norm(features, over=True), wanted)
