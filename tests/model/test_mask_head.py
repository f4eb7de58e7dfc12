"""The joint head against the authors' numbers, with 81 and with 4 classes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from comask.config import MaskHeadConfig, ModelConfig, r50
from comask.model.mask_head import MaskHead, own_channel
from tests import authors
from tests.models import noise, small_config

FOUR = replace(r50(), num_classes=3, mask_head=MaskHeadConfig(iou_outputs=81))
CASES = [("mod_head_c81", r50()), ("mod_head_c4", FOUR)]
PREFIX = "SID_head."


@pytest.fixture(scope="module")
def weights(spec_fixtures: Path) -> dict[str, Tensor]:
    own = [(n, s) for n, s in authors.shapes_of_r50(spec_fixtures) if n.startswith(PREFIX)]
    return authors.weights(spec_fixtures, "H", own)


def with_outputs(fixtures: Path, weights: dict[str, Tensor], outputs: int) -> dict[str, Tensor]:
    """Make the mask layer anew; nothing else in the head knows the number of classes."""
    names = [f"{PREFIX}SID_instance.{part}" for part in ("weight", "bias")]
    shapes = [(name, (outputs, *weights[name].shape[1:])) for name in names]
    return weights | authors.weights(fixtures, "H", shapes)


@pytest.mark.parametrize(("name", "config"), CASES, ids=["81 classes", "4 classes"])
def test_as_recorded(
    spec_fixtures: Path, weights: dict[str, Tensor], name: str, config: ModelConfig
) -> None:
    recorded = authors.arrays(spec_fixtures, name)
    given = authors.arrays(spec_fixtures, "mod_head_c81")["x"]
    head = MaskHead(config).eval()
    theirs = with_outputs(spec_fixtures, weights, config.num_classes + 1)
    authors.fill(head, theirs, "mask_head.")
    labels = recorded["labels_1based"]
    with torch.inference_mode():
        trunk, output = head.trunk(given), head(given, labels - 1)
    authors.close(trunk, recorded["trunk"])
    authors.close(output.distances, recorded["reg"])
    authors.close(output.masks, recorded["mask_sel"])
    authors.close(output.mask_ious, recorded["iou"].gather(1, labels[:, None])[:, 0])
    assert recorded["iou"].shape[1] == head.mask_iou.out_features == 81


def made(config: ModelConfig | None = None) -> MaskHead:
    torch.manual_seed(0)
    return MaskHead(config or small_config()).eval()


def test_a_label_owns_the_channel_after_its_number() -> None:
    head, regions = made(), noise(2, 64, 14, 14)
    torch.nn.init.zeros_(head.mask.weight)
    torch.nn.init.zeros_(head.mask_iou.weight)
    head.mask.bias.data = torch.tensor([0.0, 10.0, 20.0, 30.0])
    head.mask_iou.bias.data = torch.tensor([0.0, 0.1, 0.2, 0.3])
    output = head(regions, torch.tensor([2, 0]))
    assert output.masks[:, 0, 0].tolist() == [30.0, 10.0]
    assert_close(output.mask_ious, torch.tensor([0.3, 0.1]))


@pytest.mark.parametrize("channels", [[2, 0, 2, 1], []], ids=["four regions", "none"])
def test_the_own_channel_is_that_of_the_whole_convolution(channels: list[int]) -> None:
    torch.manual_seed(0)
    conv, own = torch.nn.Conv2d(8, 3, 3, padding=1), torch.tensor(channels, dtype=torch.long)
    features = noise(len(own), 8, 5, 7).requires_grad_()
    whole = conv(features)[torch.arange(len(own)), own]
    found = own_channel(conv, features, own)
    assert_close(found, whole)
    learnt = [features, conv.weight, conv.bias]
    pull = noise(*whole.shape, seed=1)
    wanted = torch.autograd.grad(whole, learnt, pull)
    assert_close(torch.autograd.grad(found, learnt, pull), wanted)


@torch.inference_mode()
def test_masks_that_nobody_wants_judged_are_drawn_all_the_same() -> None:
    head, regions, labels = made().eval(), noise(3, 64, 14, 14), torch.tensor([0, 1, 0])
    wanted, found = head(regions, labels), head(regions, labels, judged=False)
    assert torch.equal(found.masks, wanted.masks)
    assert torch.equal(found.distances, wanted.distances)
    assert found.mask_ious.shape == wanted.mask_ious.shape
    assert found.mask_ious.isnan().all()


def test_the_mask_learns_nothing_from_its_predicted_iou() -> None:
    head = made()
    head(noise(2, 64, 14, 14), torch.tensor([0, 1])).mask_ious.sum().backward()
    assert head.mask.weight.grad is None
    assert head.trunk[0].conv.weight.grad.any()


def test_every_parameter_gets_a_gradient() -> None:
    head, labels = made(), torch.tensor([0, 1, 2])
    output = head(noise(3, 64, 14, 14), labels)
    torch.nn.init.constant_(head.distance.bias, 0.5)

    def spread(values: Tensor) -> Tensor:
        return (values * noise(*values.shape, seed=1)).sum()

    sum(spread(values) for values in output).backward()
    idle = {n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()}
    assert not idle


def test_many_regions_equal_one_by_one() -> None:
    head, regions = made(), noise(35, 64, 14, 14)  # more than one chunk
    labels = torch.arange(35) % 3
    with torch.inference_mode():
        together = head(regions, labels)
        alone = [head(regions[k : k + 1], labels[k : k + 1]) for k in range(35)]
    for name, found in together._asdict().items():
        assert_close(found, torch.cat([getattr(one, name) for one in alone]), rtol=1e-4, atol=1e-4)


def test_no_regions_give_nothing() -> None:
    output = made()(noise(0, 64, 14, 14), torch.zeros(0, dtype=torch.long))
    assert [tuple(part.shape) for part in output] == [(0, 4, 7, 7), (0, 28, 28), (0,)]
