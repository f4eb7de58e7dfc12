"""MSFEM: the authors' numbers for every variant, the exact split into parts, odd sizes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.testing import assert_close

from comask.config import AttentionKind, NeckConfig
from comask.model.msfem import (
    ChannelAttention,
    Msfem,
    SpatialChannelAttention,
    Unit,
    enlarge,
)
from tests import authors
from tests.models import noise

RECORDED = [
    ("mod_sim_RCA_b3", "rca", 3),
    ("mod_sim_RCA_b4", "rca", 4),
    ("mod_sim_RCA_b5", "rca", 5),
    ("mod_sim_CA_b3", "ca", 3),
    ("mod_sim_CA_b4", "ca", 4),
    ("mod_sim_SCA_b3", "sca", 3),
    ("mod_sim_SCA_b4", "sca", 4),
]
EVERY_BRANCHES = pytest.mark.parametrize("branches", [1, 2, 3, 4, 5])
EVERY_ATTENTION = pytest.mark.parametrize("attention", ["rca", "ca", "sca"])


def module(branches: int = 4, attention: AttentionKind = "rca", channels: int = 32) -> Msfem:
    torch.manual_seed(0)
    return Msfem(NeckConfig(channels=channels, branches=branches, attention=attention))


# --- against the authors' code ---------------------------------------------------------------


@pytest.mark.parametrize(("name", "attention", "branches"), RECORDED)
def test_as_recorded(
    spec_fixtures: Path, name: str, attention: AttentionKind, branches: int
) -> None:
    recorded = authors.arrays(spec_fixtures, name)
    msfem = module(branches, attention, recorded["x"].shape[1])
    weights = {
        f"neck.fpn_convs.0.{key.removeprefix('w/')}": value
        for key, value in recorded.items()
        if key.startswith("w/")
    }
    authors.fill(msfem, weights, "neck.msfem.0.", branches)
    compared = 0
    for given in [key for key in ("x", "xs") if key in recorded]:
        compared += compare(msfem, recorded, given)
    # the five-branch recording has one input and its output, the others two of everything
    assert compared == (1 if branches == 5 else 2 * (branches + 1))


def compare(msfem: Msfem, recorded: dict[str, Tensor], given: str) -> int:
    """Compare all that was recorded for one input; returns how much that was."""
    level = recorded[given]
    with torch.inference_mode():
        coarse = msfem.views(level)
        found = {
            f"{given}_out": msfem(level),
            "out": msfem(level),
            f"{given}_reduce": msfem.fused(level, coarse),
        }
    depths = range(len(coarse), 0, -1)  # deepest first
    found |= {f"{given}_depth{d}_lowres": c for d, c in zip(depths, coarse, strict=True)}
    names = [name for name in found if name in recorded]
    for name in names:
        authors.close(found[name], recorded[name])
    return len(names)


# --- by hand ---------------------------------------------------------------------------------


@EVERY_BRANCHES
@EVERY_ATTENTION
def test_odd_sizes_keep_their_size_and_are_never_negative(
    branches: int, attention: AttentionKind
) -> None:
    level = noise(2, 32, 25, 42)
    msfem = module(branches, attention)
    enriched = msfem(level)
    assert enriched.shape == level.shape
    assert enriched.min() >= 0
    assert enriched.max() > 0
    sizes = [tuple(coarse.shape[-2:]) for coarse in msfem.views(level)]
    assert sizes == [(2, 3), (4, 6), (7, 11), (13, 21)][5 - branches :]


@EVERY_BRANCHES
@pytest.mark.parametrize("learning", [True, False])
def test_parts_and_bias_add_up_to_the_fused_map(branches: int, learning: bool) -> None:
    msfem, level = module(branches), noise(1, 32, 25, 42)
    torch.nn.init.normal_(msfem.fuse.bias)
    with torch.set_grad_enabled(learning):
        coarse = msfem.views(level)
        parts = list(msfem.parts(level, coarse))
        seen = [level, *(enlarge(c, level) for c in coarse)]
        assert len(parts) == branches
        whole = msfem.fuse(torch.cat(seen, dim=1))
        assert_close(torch.stack(parts).sum(0) + msfem.fuse.bias[:, None, None], whole)
        assert_close(msfem.fused(level, coarse), whole)


@torch.no_grad()
def test_parts_that_pass_take_the_memory_of_the_last() -> None:
    msfem, level = module(4), noise(1, 32, 25, 42)
    coarse = msfem.views(level)
    kept = list(msfem.parts(level, coarse))
    places = set()
    for part, wanted in zip(msfem.parts(level, coarse, passing=True), kept, strict=True):
        assert torch.equal(part, wanted)
        places.add(part.data_ptr())
    assert len(places) == 2  # the level's own, and one for all others


@EVERY_BRANCHES
@EVERY_ATTENTION
def test_every_parameter_gets_a_gradient(branches: int, attention: AttentionKind) -> None:
    msfem = module(branches, attention)
    (msfem(noise(2, 32, 25, 42)) * noise(2, 32, 25, 42, seed=1)).sum().backward()
    idle = [name for name, p in msfem.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


def test_one_branch_is_fusion_and_attention_alone() -> None:
    msfem, level = module(1), noise(1, 32, 5, 7)
    assert len(msfem.branches) == 0
    assert msfem.fuse.weight.shape == (32, 32, 1, 1)
    assert_close(msfem(level), msfem.attention(msfem.fuse(level)))


def test_the_deepest_branch_sees_the_level_alone_and_the_next_sees_both() -> None:
    msfem, level = module(3), noise(1, 32, 8, 8)
    deepest, next_one = msfem.views(level)
    assert_close(deepest, msfem.branches[0](level))
    wide = F.interpolate(deepest, (8, 8), mode="bilinear", align_corners=True)
    assert_close(next_one, msfem.branches[1](torch.cat([wide, level], dim=1)))


def test_a_silent_branch_gives_zeros_and_its_heirs_see_them() -> None:
    msfem, level = module(4), noise(1, 32, 25, 42)
    deepest, middle, last = msfem.views(level)
    first, heir, grandchild = msfem.views(level, {1})
    assert not first.any()
    assert first.shape == deepest.shape
    assert_close(heir, msfem.branches[1](torch.cat([torch.zeros_like(level), level], dim=1)))
    assert not torch.equal(heir, middle)
    assert not torch.equal(grandchild, last)
    without_last = msfem.views(level, {0, 3})  # the level itself is no view
    assert torch.equal(without_last[0], deepest)
    assert torch.equal(without_last[1], middle)
    assert not without_last[2].any()


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_views_that_are_known_are_taken_as_they_are(count: int) -> None:
    msfem, level = module(4), noise(1, 32, 25, 42)
    views = msfem.views(level)
    known = [2 * view for view in views[:count]]
    found = msfem.views(level, (), known)
    assert all(torch.equal(one, view) for one, view in zip(found, known, strict=False))
    for one, view in zip(found[count:], views[count:], strict=True):
        assert torch.equal(one, view) == (count == 0)


def test_a_silent_branch_may_be_known() -> None:
    msfem, level = module(4), noise(1, 32, 25, 42)
    views = msfem.views(level)
    pairs = zip(msfem.views(level, {2}, views[:2]), msfem.views(level, {2}), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_parts_can_be_left_out_of_the_fusion() -> None:
    msfem, level = module(4), noise(1, 32, 9, 7)
    torch.nn.init.normal_(msfem.fuse.bias)
    coarse = msfem.views(level)
    parts = [*msfem.parts(level, coarse)]
    bias = msfem.fuse.bias[:, None, None].expand(1, 32, 9, 7)
    assert_close(msfem.fused(level, coarse, {0, 2}), parts[1] + parts[3] + bias)
    assert torch.equal(msfem.fused(level, coarse, {0, 1, 2, 3}), bias)


def test_channel_attention_by_hand() -> None:
    attention = ChannelAttention(4)
    torch.nn.init.ones_(attention.gate.squeeze.weight)  # 4 -> 1: the sum of the means
    torch.nn.init.zeros_(attention.gate.excite.weight)  # a gate of one half for all
    fused = torch.tensor([2.0, -4.0, 0.0, 6.0]).view(1, 4, 1, 1)
    assert attention(fused).flatten().tolist() == [1.0, 0.0, 0.0, 3.0]


def test_spatial_attention_sees_the_mean_first_and_the_maximum_second() -> None:
    attention = SpatialChannelAttention(32)
    torch.nn.init.zeros_(attention.position.weight)
    attention.position.weight.data[0, :, 1, 1] = torch.tensor([1.0, -0.5])
    seen: list[Tensor] = []
    hook = attention.rca.register_forward_hook(lambda _m, given, _out: seen.append(given[0]))
    fused = torch.zeros(1, 32, 1, 1)
    fused[0, 0] = 32.0  # mean 1, maximum 32
    attention(fused)
    hook.remove()
    assert_close(seen[0], fused * torch.sigmoid(torch.tensor(1.0 - 16.0)))


@EVERY_ATTENTION
def test_what_may_be_written_over_gives_the_same(attention: AttentionKind) -> None:
    attend = module(attention=attention).attention
    fused = noise(1, 32, 5, 6)
    before = fused.clone()
    with torch.no_grad():
        wanted, weighed = attend(fused), attend.gated(fused)
        assert torch.equal(fused, before)
        assert torch.equal(attend.gated(fused.clone(), over=True), weighed)
        assert torch.equal(attend(fused.clone(), over=True), wanted)
    attend(fused, over=True).sum().backward()
    assert torch.equal(fused, before)  # a gradient needs it


def test_a_level_of_one_pixel_gives_numbers() -> None:
    assert module()(noise(1, 32, 1, 1)).isfinite().all()


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (6, 1)])
def test_a_level_one_pixel_wide_teaches_in_bfloat16_what_it_teaches_in_float32(
    size: tuple[int, int],
) -> None:
    level = noise(2, 128, *size)
    exact = unit_gradients(level, bfloat16=False)
    for _ in range(5):
        torch.full((128 * 128 * 9,), 1e30)  # what memory that nobody fills would then hold
        for found, wanted in zip(unit_gradients(level, bfloat16=True), exact, strict=True):
            assert (found - wanted).norm() < 0.05 * wanted.norm()


def unit_gradients(level: Tensor, *, bfloat16: bool) -> list[Tensor]:
    torch.manual_seed(0)
    unit = Unit(256, 128)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        halved = unit(level, level)
    (halved.float() * torch.linspace(-1, 1, halved.numel()).view_as(halved)).sum().backward()
    return [unit.conv.weight.grad, unit.conv.bias.grad]  # type: ignore[list-item]
