"""One image through the authors' network, stage by stage and from pixels to masks.

The weights are made up, but by the authors' names, and go through their checkpoint format. Each
stage is fed what was recorded before it, so that rounding of one doesn't decide in the next; the
last tests go through all of them at once.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.testing import assert_close

from comask.annotation import rle
from comask.checkpoint import mmdet_v1
from comask.checkpoint.categories import COCO
from comask.checkpoint.native import CheckpointInfo
from comask.config import PreprocessingConfig, r50
from comask.data import images, transforms
from comask.model import postprocess, refine
from comask.model.class_head import detect
from comask.model.comask import CoMask
from comask.model.mask_head import HeadOutput
from comask.model.roi_pool import levels_of
from comask.model.rpn import STRIDES, Guesses, anchor_grid
from comask.predict import PredictionSettings, Predictor
from comask.structures import ImageBatch
from tests import authors

pytestmark = pytest.mark.slow

LEVELS = (0, 1, 2, 3)
SETTINGS = PredictionSettings(short_side=128, long_side=160)
Recorded = dict[str, Tensor]


@pytest.fixture(scope="module")
def recorded(spec_fixtures: Path) -> Recorded:
    return authors.arrays(spec_fixtures, "e2e_A")


@pytest.fixture(scope="module")
def meta(spec_fixtures: Path) -> dict[str, list[int]]:
    with np.load(spec_fixtures / "e2e_A.npz") as file:
        values: dict[str, list[int]] = json.loads(str(file["meta"]))
    return values


@pytest.fixture(scope="module")
def released(
    spec_fixtures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[CoMask, CheckpointInfo]]:
    weights = authors.weights(spec_fixtures, "A", authors.shapes_of_r50(spec_fixtures))
    path = tmp_path_factory.mktemp("released") / "epoch_24.pth"
    torch.save({"meta": {"epoch": 24}, "state_dict": weights}, path)
    del weights
    converted = mmdet_v1.convert(path)
    path.unlink()  # 400 MB, and pytest keeps folders
    with torch.inference_mode():
        yield converted


@pytest.fixture(scope="module")
def model(released: tuple[CoMask, CheckpointInfo]) -> CoMask:
    return released[0]


@pytest.fixture(scope="module")
def size(meta: dict[str, list[int]]) -> tuple[int, int]:
    return meta["img_shape"][0], meta["img_shape"][1]


@pytest.fixture(scope="module")
def stages(model: CoMask, recorded: Recorded) -> list[Tensor]:
    return model.backbone(recorded["input"])


@pytest.fixture(scope="module")
def pyramid(recorded: Recorded) -> list[Tensor]:
    return [recorded[f"P{k}"] for k in range(2, 7)]


@pytest.fixture(scope="module")
def proposals(recorded: Recorded) -> Tensor:
    return authors.half_open(recorded["proposals"])


# --- the way in ------------------------------------------------------------------------------


def test_the_file_describes_itself(released: tuple[CoMask, CheckpointInfo]) -> None:
    model, info = released
    assert model.config == info.config == r50()
    assert info.categories == COCO
    assert info.training == {"converted_from": "epoch_24.pth", "epoch": 24}
    assert not model.training


def test_resized_and_normalised_pixels(recorded: Recorded, meta: dict[str, list[int]]) -> None:
    rgb = np.ascontiguousarray(recorded["image_u8_bgr"].numpy()[..., ::-1])
    scale, size = images.fit_size(rgb.shape[:2], SETTINGS.short_side or 0, SETTINGS.long_side or 0)
    assert (scale, list(size)) == (meta["scale_factor"], meta["img_shape"][:2])
    resized = images.resize(rgb, size)
    np.testing.assert_array_equal(resized[..., ::-1], recorded["resized_u8_bgr"].numpy())
    pixels = transforms.normalise(resized, PreprocessingConfig())
    authors.close(ImageBatch.of([pixels]).tensor, recorded["input"], 1e-6)


# --- features --------------------------------------------------------------------------------


def test_backbone(model: CoMask, stages: list[Tensor], recorded: Recorded) -> None:
    authors.close(model.backbone.stem(recorded["input"])[:, ::8], recorded["stem_ch8"])
    for k, stage in zip(range(2, 6), stages, strict=True):
        authors.close(stage[:, ::16], recorded[f"C{k}_ch16"])
        authors.close(stage.mean(dim=(2, 3)), recorded[f"C{k}_chmean"])


@pytest.mark.parametrize("k", LEVELS)
def test_msfem(model: CoMask, stages: list[Tensor], recorded: Recorded, k: int) -> None:
    merged = model.neck.merged(stages)[k]
    authors.close(merged[:, ::8], recorded[f"lateral{k}_ch8"])
    msfem = model.neck.msfem[k]
    coarse = msfem.views(merged)
    for depth, view in zip((3, 2, 1), coarse, strict=True):
        authors.close(view[:, ::8], recorded[f"sim{k}_depth{depth}_lowres_ch8"])
    authors.close(msfem.fused(merged, coarse)[:, ::8], recorded[f"sim{k}_reduce_ch8"])


def test_pyramid(model: CoMask, stages: list[Tensor], pyramid: list[Tensor]) -> None:
    for found, wanted in zip(model.neck(stages), pyramid, strict=True):
        authors.close(found, wanted)


# --- proposals -------------------------------------------------------------------------------


def recorded_guesses(recorded: Recorded) -> Guesses:
    scores = [recorded[f"rpn_cls{k}"].permute(0, 2, 3, 1).flatten(1) for k in range(5)]
    deltas = [recorded[f"rpn_reg{k}"].permute(0, 2, 3, 1).reshape(1, -1, 4) for k in range(5)]
    sizes = [tuple(recorded[f"rpn_cls{k}"].shape[-2:]) for k in range(5)]
    pairs = zip(sizes, STRIDES, strict=True)
    cpu, config = torch.device("cpu"), r50().proposals
    return Guesses(scores, deltas, [anchor_grid(s, stride, config, cpu) for s, stride in pairs])


def test_guesses(model: CoMask, pyramid: list[Tensor], recorded: Recorded) -> None:
    found, wanted = model.rpn.guesses(pyramid), recorded_guesses(recorded)
    for name in ("scores", "deltas", "anchors"):
        for ours, theirs in zip(getattr(found, name), getattr(wanted, name), strict=True):
            authors.close(ours, theirs)


def test_proposals(
    model: CoMask, recorded: Recorded, proposals: Tensor, size: tuple[int, int]
) -> None:
    found = model.rpn.proposals(recorded_guesses(recorded), [size])[0]
    assert found.shape == (700, 4)
    # neighbours in rank differ by 4e-7 in score, so rows are compared box by box
    distance = (found[:, None] - proposals[None]).abs().amax(dim=2)  # (700, 700)
    assert distance.amin(dim=0).max() < 1e-3
    assert distance.amin(dim=1).max() < 1e-3


# --- classes ---------------------------------------------------------------------------------


def test_levels(recorded: Recorded, proposals: Tensor, size: tuple[int, int]) -> None:
    assert torch.equal(levels_of([proposals], [size]), recorded["proposal_levels"] + 2)
    assert set(recorded["proposal_levels"].tolist()) == set(LEVELS)


def test_class_scores(
    model: CoMask,
    pyramid: list[Tensor],
    recorded: Recorded,
    proposals: Tensor,
    size: tuple[int, int],
) -> None:
    pooled = model.class_head.pool(pyramid[:4], [proposals], [size])
    authors.close(pooled[recorded["cls_sel"]], recorded["sel_cls_feats"])
    authors.close(pooled.mean(dim=(2, 3))[:, ::4], recorded["cls_feats_chmean"])
    head = model.class_head
    hidden = head.hidden2(head.hidden1(pooled.flatten(1)).relu()).relu()
    authors.close(head.score(hidden), recorded["cls_logits"])


def test_detections(recorded: Recorded, proposals: Tensor) -> None:
    found = detect(recorded["cls_logits"], proposals, r50().detection)
    assert torch.equal(found.labels, recorded["det_labels"])
    assert torch.equal(found.boxes, authors.half_open(recorded["dets_before"]))
    assert_close(found.scores, recorded["dets_before"][:, 4], rtol=0, atol=1e-4)


# --- masks -----------------------------------------------------------------------------------


def look(
    model: CoMask, pyramid: list[Tensor], recorded: Recorded, boxes: str, size: tuple[int, int]
) -> HeadOutput:
    given = authors.half_open(recorded[boxes])
    return model.look(pyramid[:4], [given], recorded["det_labels"], [size])


def test_first_pass(
    model: CoMask, pyramid: list[Tensor], recorded: Recorded, size: tuple[int, int]
) -> None:
    boxes = authors.half_open(recorded["dets_before"])
    assert torch.equal(levels_of([boxes], [size]), recorded["pass1_levels"] + 2)
    regions = model.regions(pyramid[:4], [boxes], [size])
    chosen = recorded["reg_sel"]
    authors.close(regions[chosen, ::4], recorded["sel_roialign_pass1_ch4"])
    authors.close(regions.mean(dim=(2, 3))[:, ::4], recorded["roialign_pass1_chmean"])
    authors.close(model.mask_head.trunk(regions[chosen]), recorded["sel_head_trunk_pass1"])
    output = look(model, pyramid, recorded, "dets_before", size)
    authors.close(output.distances, recorded["reg_map"])
    authors.close(output.masks, recorded["mask_logits_pass1"])
    authors.close(output.mask_ious, recorded["iou_pass1"])


def test_refined_boxes(recorded: Recorded) -> None:
    votes = refine.votes(authors.half_open(recorded["dets_before"]), recorded["reg_map"])
    weights = refine.vote_weights(recorded["mask_logits_pass1"])
    wanted = authors.half_open(recorded["boxes_refined"])
    assert_close(refine.weighted_mean(votes, weights), wanted, rtol=0, atol=1e-3)


def test_second_pass(
    model: CoMask, pyramid: list[Tensor], recorded: Recorded, size: tuple[int, int]
) -> None:
    boxes = authors.half_open(recorded["boxes_refined"])
    assert torch.equal(levels_of([boxes], [size]), recorded["pass2_levels"] + 2)
    output = look(model, pyramid, recorded, "boxes_refined", size)
    authors.close(output.masks, recorded["mask_logits_pass2"])
    assert_close(output.mask_ious, recorded["iou_pass2"], rtol=0, atol=1e-4)


def masks(recorded: Recorded, frame: str) -> NDArray[np.uint8]:
    """Unpack the recorded masks: (N, H, W) 0 or 1."""
    width = int(recorded[f"final_masks_{frame}_shape"][2])
    packed = recorded[f"final_masks_{frame}_packed"].numpy()
    unpacked: NDArray[np.uint8] = np.unpackbits(packed, axis=-1)[:, :, :width]
    return unpacked


@pytest.mark.parametrize("frame", ["orig", "resized"])
def test_pasted_masks(recorded: Recorded, meta: dict[str, list[int]], frame: str) -> None:
    scale = float(str(meta["scale_factor"])) if frame == "orig" else 1.0
    boxes = authors.half_open(recorded["boxes_refined"]).numpy()
    logits = recorded["mask_logits_pass2"].numpy()
    for row, wanted in enumerate(masks(recorded, frame)):
        height, width = wanted.shape
        crop = postprocess.paste(logits[row], boxes[row], scale, (height, width))
        drawn = np.zeros_like(wanted)
        drawn[crop.y :, crop.x :][: crop.pixels.shape[0], : crop.pixels.shape[1]] = crop.pixels
        np.testing.assert_array_equal(drawn, wanted)
    carried = postprocess.to_image_pixels(boxes, scale)
    wanted_boxes = authors.half_open(recorded[f"final_boxes_{frame}"]).numpy()
    np.testing.assert_allclose(carried, wanted_boxes, rtol=0, atol=1e-3)


# --- all at once -----------------------------------------------------------------------------


def test_from_normalised_pixels_to_detections(
    model: CoMask, recorded: Recorded, size: tuple[int, int]
) -> None:
    images = ImageBatch.of([recorded["input"][0, :, : size[0], : size[1]]])
    found = model(images)[0]
    assert torch.equal(images.tensor, recorded["input"])
    assert torch.equal(found.labels, recorded["det_labels"])
    assert_close(found.scores, recorded["dets_before"][:, 4], rtol=0, atol=1e-4)
    assert_close(found.mask_ious, recorded["iou_pass2"], rtol=0, atol=1e-4)
    wanted = authors.half_open(recorded["boxes_refined"])
    assert_close(found.boxes, wanted, rtol=0, atol=1e-3)
    authors.close(found.masks, recorded["mask_logits_pass2"])


def test_from_an_image_to_masks(
    released: tuple[CoMask, CheckpointInfo], recorded: Recorded
) -> None:
    rgb = np.ascontiguousarray(recorded["image_u8_bgr"].numpy()[..., ::-1])
    prediction = Predictor(*released, device="cpu", settings=SETTINGS).predict(rgb)
    rank = recorded["mask_scores"].argsort(descending=True, stable=True).numpy()
    assert prediction.size == rgb.shape[:2]
    assert prediction.labels.tolist() == recorded["det_labels"].numpy()[rank].tolist()
    wanted_boxes = authors.half_open(recorded["final_boxes_orig"]).numpy()[rank]
    np.testing.assert_allclose(prediction.boxes, wanted_boxes, rtol=0, atol=1e-3)
    wanted_scores = recorded["mask_scores"].numpy()[rank]
    np.testing.assert_allclose(prediction.scores, wanted_scores, rtol=0, atol=1e-4)
    drawn = np.stack([rle.decode(mask) for mask in prediction.masks])
    # at one pixel of the 1.3 million the recorded probability is 0.5 to 1e-7: rounding decides
    assert (drawn != masks(recorded, "orig")[rank]).sum() <= 1
