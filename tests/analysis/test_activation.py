"""Maps of an MSFEM, and many channels drawn as one: planted tensors, and the network's own."""

from functools import lru_cache
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from comask.analysis.activation import (
    REDUCTIONS,
    LevelLook,
    Look,
    branch_names,
    components,
    look,
    reduced,
)
from comask.annotation.records import Category
from comask.checkpoint.native import CheckpointInfo
from comask.config import AttentionKind, NeckConfig, PreprocessingConfig
from comask.errors import InputError
from comask.model.comask import CoMask
from comask.predict import PredictionSettings, Predictor
from tests.models import noise, small_config, small_model

NECK = NeckConfig(channels=32)
CATEGORIES = (Category(1, "a"), Category(2, "b"), Category(3, "c"))
SHOWN = {2: (18, 25), 3: (9, 13), 4: (5, 7), 5: (3, 4)}  # cells of 70 x 100 network pixels
CELLS = {2: (24, 32), 3: (12, 16), 4: (6, 8), 5: (3, 4)}  # with padding to 96 x 128


@lru_cache
def predictor_of(neck: NeckConfig = NECK, *, bfloat16: bool = False) -> Predictor:
    model = small_model(small_config(neck))
    view = PreprocessingConfig(short_side=70, long_side=200)
    info = CheckpointInfo(model.config, CATEGORIES, view)
    settings = PredictionSettings(bfloat16=bfloat16)
    return Predictor(model, info, device="cpu", settings=settings)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return predictor_of()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (70, 100, 3), np.uint8)


@pytest.fixture(scope="module")
def seen(predictor: Predictor, image: np.ndarray) -> Look:
    return look(predictor, image)


def cut(whole: Tensor, level: int) -> Tensor:
    height, width = SHOWN[level]
    return whole[0, :, :height, :width]


# -- what a look holds --------------------------------------------------------------------------


def test_outputs_are_the_levels_that_the_network_hands_on(
    predictor: Predictor, image: np.ndarray, seen: Look
) -> None:
    with predictor.opened(image) as (model, batch, scale):
        levels = model.neck(model.backbone(batch.tensor))
    assert (scale, seen.scale, seen.size, seen.shown) == (1.0, 1.0, (70, 100), (70, 100))
    assert [one.level for one in seen.levels] == [2, 3, 4, 5]
    for one, whole in zip(seen.levels, levels[:4], strict=True):
        assert torch.equal(one.output, whole)
        assert torch.equal(one.map("output"), cut(whole, one.level))


def test_every_map_is_computed_as_the_paper_draws_it(
    predictor: Predictor, image: np.ndarray, seen: Look
) -> None:
    """Laterals, sums from the top, branches enlarged, and the convolution of all of them."""
    with predictor.opened(image) as (model, batch, _):
        stages = model.backbone(batch.tensor)
        merged: Tensor | None = None
        for number in (3, 2, 1, 0):
            level, msfem = number + 2, model.neck.msfem[number]
            lateral = model.neck.laterals[number](stages[number])
            above = 0 if merged is None else F.interpolate(merged, scale_factor=2)
            merged = lateral + above
            views = [
                F.interpolate(one, merged.shape[-2:], mode="bilinear", align_corners=True)
                for one in msfem.views(merged)
            ]
            fused = msfem.fuse(torch.cat([merged, *views], dim=1))
            expected = {"lateral": lateral, "1x": merged, "fused": fused}
            expected |= dict(zip(("8x", "4x", "2x"), views, strict=True))
            one = seen.level(level)
            assert one.merged.shape[-2:] == CELLS[level]
            for name, whole in expected.items():
                torch.testing.assert_close(one.map(name), cut(whole, level), rtol=1e-4, atol=1e-4)


def test_maps_have_their_names_sizes_and_no_padding(seen: Look) -> None:
    for one in seen.levels:
        assert one.names == ("lateral", "1x", "8x", "4x", "2x", "fused", "gated", "output")
        assert (one.cells, one.stride, one.channels) == (SHOWN[one.level], 2**one.level, 32)
        for name in one.names:
            drawn = one.map(name)
            assert drawn.shape == (32, *SHOWN[one.level])
            assert drawn.dtype == torch.float32


def gates(one: LevelLook, kind: AttentionKind) -> Tensor:
    """Compute the attention's weights from the fused map, as spec section 3.3 writes them."""
    fused, attention = one.fused, one.msfem.attention
    positions = torch.ones_like(fused[:, :1])
    if kind == "sca":
        summary = torch.cat([fused.mean(1, keepdim=True), fused.max(1, keepdim=True)[0]], dim=1)
        kernel: Tensor = attention.position.weight
        positions = torch.sigmoid(F.conv2d(summary, kernel, padding=1))
        attention = attention.rca
    pooled = (fused * positions).mean(dim=(2, 3))
    squeezed = F.relu(pooled @ attention.gate.squeeze.weight.T)
    channels = torch.sigmoid(squeezed @ attention.gate.excite.weight.T)
    return positions * channels[:, :, None, None]


@pytest.mark.parametrize("kind", get_args(AttentionKind))
def test_gated_is_fused_times_the_attentions_weights(kind: AttentionKind) -> None:
    predictor = predictor_of(NeckConfig(channels=32, attention=kind))
    image = np.random.default_rng(1).integers(0, 256, (50, 61, 3), np.uint8)
    for one in look(predictor, image).levels:
        height, width = one.cells
        with torch.inference_mode():
            weights = gates(one, kind).expand_as(one.fused)[0, :, :height, :width]
        torch.testing.assert_close(one.map("gated"), one.map("fused") * weights)
        wanted = weights.mean(dim=(1, 2)).numpy()
        np.testing.assert_allclose(one.gate, wanted, rtol=1e-5)
        assert one.gate.shape == (32,)
        assert ((one.gate > 0) & (one.gate < 1)).all()


def test_ca_hands_on_its_gated_map_without_what_is_negative() -> None:
    predictor = predictor_of(NeckConfig(channels=32, attention="ca"))
    image = np.random.default_rng(1).integers(0, 256, (50, 61, 3), np.uint8)
    for one in look(predictor, image).levels:
        assert torch.equal(one.map("output"), one.map("gated").clamp(min=0))


@pytest.mark.parametrize("branches", [1, 2, 3, 4, 5])
def test_any_number_of_branches(branches: int, image: np.ndarray) -> None:
    names = {
        1: ("1x",),
        2: ("1x", "2x"),
        3: ("1x", "4x", "2x"),
        4: ("1x", "8x", "4x", "2x"),
        5: ("1x", "16x", "8x", "4x", "2x"),
    }
    assert branch_names(branches) == names[branches]
    seen = look(predictor_of(NeckConfig(channels=32, branches=branches)), image)
    for one in seen.levels:
        assert one.branches == names[branches]
        assert one.names == ("lateral", *names[branches], "fused", "gated", "output")
        for name in one.names:
            assert one.map(name).shape == (32, *SHOWN[one.level])


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (91, 77), (200, 9)])
def test_images_of_any_size(predictor: Predictor, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    seen = look(predictor, image)
    assert seen.size == size
    for one in seen.levels:
        assert one.cells == tuple(-(-side // one.stride) for side in seen.shown)
        for name in one.names:
            drawn = one.map(name)
            assert drawn.shape[1:] == one.cells
            assert drawn.isfinite().all()


def test_half_precision_is_looked_at_as_float32(image: np.ndarray) -> None:
    seen = look(predictor_of(bfloat16=True), image)
    for one in seen.levels:
        assert all(one.map(name).dtype == torch.float32 for name in one.names)
        assert one.gate.dtype == np.float32


def test_what_a_look_holds_is_counted_once(seen: Look) -> None:
    """Of 32 floats a cell: lateral, level, fused, output, three halved branches, and one weight.

    The level of P5 is its lateral.
    """
    for one in seen.levels:
        height, width = CELLS[one.level]
        coarse = sum(-(-height // 2**depth) * -(-width // 2**depth) for depth in (1, 2, 3))
        maps = 3 if one.level == 5 else 4
        assert one.bytes == 4 * 32 * (maps * height * width + coarse + 1)
    assert seen.bytes == sum(one.bytes for one in seen.levels)


def test_unknown_maps_and_levels_are_refused(seen: Look) -> None:
    for wrong in ("", "16x", "P2", "input", "1X", "x" * 1000):
        with pytest.raises(
            InputError, match=r"P3 has no map .{2,42}, only lateral, 1x, 8x"
        ) as told:
            seen.level(3).map(wrong)
        assert len(str(told.value)) < 150
    for number in (0, 1, 6, -2, 10**400):
        with pytest.raises(InputError, match=r"a level is one of 2 .. 5"):
            seen.level(number)


def test_what_is_no_image_is_refused(predictor: Predictor) -> None:
    for wrong in (np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)):
        with pytest.raises(InputError, match="image must be"):
            look(predictor, wrong)  # type: ignore[arg-type]


def state(model: CoMask) -> list[object]:
    """List what a careless look would leave: modes, gradients, hooks, other weights."""
    found: list[object] = []
    for name, one in model.named_parameters():
        found.append((name, one.requires_grad, one.grad, float(one.detach().double().sum())))
    for name, part in model.named_modules():
        hooks = (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks)
        found.append((name, part.training, *(len(one) for one in hooks)))
    return found


def test_the_network_stays_as_it_was(predictor: Predictor, image: np.ndarray) -> None:
    before, left = predictor.predict(image), state(predictor._model)
    seen = look(predictor, image)
    held = [one.fused.clone() for one in seen.levels]
    for one in seen.levels:
        for name in one.names:
            for how in REDUCTIONS:
                reduced(one.map(name), how)
    after = predictor.predict(image)  # the lock is free as well
    assert state(predictor._model) == left
    assert torch.is_grad_enabled()
    for name in ("boxes", "scores", "mask_ious"):
        assert getattr(before, name).tobytes() == getattr(after, name).tobytes()
    for one, fused in zip(seen.levels, held, strict=True):
        assert torch.equal(one.fused, fused)


# -- many channels as one -----------------------------------------------------------------------

PLANTED = torch.tensor([[[3.0, -1.0, 0.0]], [[-4.0, 2.0, 0.0]], [[0.0, -2.0, 0.0]]])  # (3, 1, 3)


@pytest.mark.parametrize(
    ("how", "channel", "expected"),
    [
        ("mean", 0, [-1 / 3, -1 / 3, 0.0]),
        ("norm", 0, [5.0, 3.0, 0.0]),
        ("max", 0, [3.0, 2.0, 0.0]),
        ("channel", 0, [3.0, -1.0, 0.0]),
        ("channel", 2, [0.0, -2.0, 0.0]),
    ],
)
def test_reductions_by_hand(how: str, channel: int, expected: list[float]) -> None:
    drawn = reduced(PLANTED, how, channel)  # type: ignore[arg-type]
    assert (drawn.shape, drawn.dtype) == ((1, 3), np.float32)
    np.testing.assert_allclose(drawn[0], expected, rtol=1e-6)


def test_one_channel_is_its_own_mean_maximum_and_size() -> None:
    alone = PLANTED[:1]
    for how in ("mean", "max", "channel"):
        np.testing.assert_array_equal(reduced(alone, how), alone[0])  # type: ignore[arg-type]
    np.testing.assert_array_equal(reduced(alone, "norm"), alone[0].abs())


@pytest.mark.parametrize("how", ["", "pca ", "median", "x" * 1000])
def test_unknown_reductions_are_refused(how: str) -> None:
    with pytest.raises(InputError, match="a reduction is one of mean, norm, max, channel, pca"):
        reduced(PLANTED, how)  # type: ignore[arg-type]


@pytest.mark.parametrize("channel", [-1, 3, 10**400])
def test_channels_that_there_are_not_are_refused(channel: int) -> None:
    with pytest.raises(InputError, match=r"a channel is one of 0 .. 2"):
        reduced(PLANTED, "channel", channel)


def patterns(*weights: float) -> Tensor:
    """Plant stripes of periods 2, 4 and 8 along 16 columns, of mean 0 and at right angles.

    Channel k is 5 plus pattern k times weight k; its variance is the weight's square.
    """
    columns = torch.arange(16)
    stripes = [1.0 - 2.0 * ((columns // half) % 2) for half in (1, 2, 4)]
    rows = [5 + weight * stripe for weight, stripe in zip(weights, stripes, strict=False)]
    return torch.stack([row.expand(4, 16) for row in rows])


def test_three_patterns_are_red_green_and_blue() -> None:
    """Weights 2, 3 and 1: the second channel leads, then the first, then the third."""
    drawn, shares = components(patterns(2, 3, 1))
    assert shares == pytest.approx((9 / 14, 4 / 14, 1 / 14))
    assert (drawn.shape, drawn.dtype) == ((4, 16, 3), np.float32)
    bright = (patterns(1, 1, 1) - 4) / 2  # 1 where a stripe is bright, 0 where it is dark
    for colour, channel in ((0, 1), (1, 0), (2, 2)):
        np.testing.assert_allclose(drawn[..., colour], bright[channel], atol=1e-6)
    np.testing.assert_array_equal(reduced(patterns(2, 3, 1), "pca"), drawn)


def test_a_component_is_bright_where_its_largest_loading_is() -> None:
    """Channel 1 goes against channel 0 and farther: the one component follows channel 1."""
    stripe = patterns(1)[0] - 5
    drawn, shares = components(torch.stack([stripe, -2 * stripe]))
    assert shares == pytest.approx((1, 0, 0))
    np.testing.assert_allclose(drawn[..., 0], (1 - stripe) / 2, atol=1e-6)
    assert not drawn[..., 1:].any()


@pytest.mark.parametrize(("weights", "colours"), [((2,), 1), ((2, 3), 2), ((0, 2, 0), 1)])
def test_what_has_no_third_component_has_no_blue(weights: tuple[float, ...], colours: int) -> None:
    drawn, shares = components(patterns(*weights))
    assert [share > 0 for share in shares] == [at < colours for at in range(3)]
    assert sum(shares) == pytest.approx(1)
    for colour in range(3):
        assert drawn[..., colour].any() == (colour < colours)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e6, 1e-20])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_maps_without_any_variance_have_no_colour(value: float, count: int) -> None:
    each = value * (1 + torch.arange(count)).view(-1, 1, 1)
    drawn, shares = components(each.expand(count, 7, 5))
    assert shares == (0, 0, 0)
    assert not drawn.any()


def test_small_variance_on_a_large_value_is_seen() -> None:
    """One part in ten thousand is far above what float32 rounds away."""
    drawn, shares = components(1000 + 0.1 * (patterns(1)[:1] - 5))
    assert shares == pytest.approx((1, 0, 0))
    assert (drawn[..., 0].min(), drawn[..., 0].max()) == (0, 1)


def test_shares_are_those_of_an_svd_and_few_outliers_do_not_dim_the_rest() -> None:
    channels = noise(6, 10, 12, seed=4) * torch.arange(1, 7).view(-1, 1, 1)
    channels[:, 0, 0] *= 30
    drawn, shares = components(channels)
    flat = channels.flatten(1).double()
    values = torch.linalg.svdvals(flat - flat.mean(dim=1, keepdim=True)) ** 2
    assert shares == pytest.approx((values / values.sum())[:3].tolist(), rel=1e-4)
    assert drawn.min() == 0
    assert drawn.max() == 1
    assert drawn[..., 0].std() > 0.1


def test_colours_are_stretched_between_percentiles() -> None:
    """Of a ramp from 0 to 100 the 1st and the 99th are black and full, and so is what is beyond."""
    drawn, _ = components(torch.arange(101.0).view(1, 1, 101))
    expected = ((np.arange(101) - 1) / 98).clip(0, 1)
    np.testing.assert_allclose(drawn[0, :, 0], expected, atol=1e-5)


def test_one_hot_cell_alone_is_bright() -> None:
    """Its percentiles are equal, so everything above them is full, and nothing else is."""
    channels = torch.zeros(2, 20, 20)
    channels[1, 3, 4] = 50_000
    drawn, shares = components(channels)
    assert shares == pytest.approx((1, 0, 0))
    assert np.argwhere(drawn[..., 0] > 0).tolist() == [[3, 4]]
    assert drawn[3, 4, 0] == 1


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_single_cell_has_no_variance(count: int) -> None:
    drawn, shares = components(noise(count, 1, 1))
    assert drawn.tolist() == [[[0, 0, 0]]]
    assert shares == (0, 0, 0)
