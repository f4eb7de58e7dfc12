"""Is CoMask ahead of torchvision's Mask R-CNN on nuclei, trained on as many images?

Trains the peer (MobileNetV2 with an FPN of 128 channels, the same ImageNet weights, frozen batch
norms, anchors from 16 px, AdamW 3e-4 with a drop at 70 %, bf16 autocast, batch 2, short side 512,
flips and quarter turns, 384 px crops of the large images), judges it and a CoMask checkpoint with
pycocotools on the same images, and prints both rows.

    python benchmarks/nuclei_peer.py --data DIR --init mobilenet_v2_imagenet.pth \\
        --checkpoint assets/checkpoints/comask-tiny-nuclei.safetensors --output peer.json

With ``--state FILE`` a training that was stopped goes on from its last 100th step.
"""

import argparse
import json
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from tqdm import tqdm

from comask.annotation import coco, rle
from comask.config import AugmentConfig, PreprocessingConfig
from comask.data import images, transforms
from comask.data.coco_dataset import CocoDataset, Draw, Example
from comask.data.coco_folders import CocoFolder
from comask.data.loader import Share, batches
from comask.evaluate import coco_ap
from comask.evaluate.run import judge_checkpoint
from comask.predict import Predictor

SHORT_SIDE, LONG_SIDE, CROP = 512, 1333, 384
CHANNELS, LIMIT, BATCH = 128, 500, 2
RATE, DROP, WARMUP = 3e-4, 0.7, 50
SAVE_EVERY = 100  # steps


def main() -> None:
    """Train or load the peer, judge both, print and write the rows."""
    given = _arguments().parse_args()
    checkpoint = Predictor.from_checkpoint(given.checkpoint, device="cpu")
    steps = given.steps or _steps_of(checkpoint)
    started = time.monotonic()
    model = build(given.init)
    train(model, given.data, steps, given.workers, given.state)
    seconds = time.monotonic() - started
    if given.weights:
        torch.save(model.state_dict(), given.weights)
    truth = given.data / "instances_val.json"
    rows = {"Mask R-CNN": {"images": steps * BATCH, "seconds": round(seconds)}}
    rows["Mask R-CNN"] |= judge(model, truth, given.data / "val")
    verdicts = judge_checkpoint(checkpoint, truth, given.data / "val")
    training = checkpoint.info.training
    rows["CoMask"] = {"images": _steps_of(checkpoint) * BATCH, "steps": training.get("steps")}
    rows["CoMask"] |= {kind: dict(verdict.numbers) for kind, verdict in verdicts.items()}
    for name, row in rows.items():
        segm = row["segm"]
        numbers = "  ".join(f"{key} {segm[key]:.3f}" for key in ("AP", "AP50", "AP75", "AR100"))
        print(f"{name:12} {row['images']:6} images  segm {numbers}")
    if given.output:
        given.output.write_text(json.dumps(rows, indent=1), encoding="utf-8")


class PeerDataset(CocoDataset):
    """The peer's view of an image: large ones are cropped to 384 image pixels a side."""

    def __getitem__(self, draw: Draw) -> Example:
        """Show one image, 0 .. 1 and not normalised, with its truth."""
        rng = np.random.default_rng(draw.seed)
        pixels, truth = self.read(self.lessons[draw.row])
        height, width = pixels.shape[:2]
        part_h, part_w = (min(height, CROP), min(width, CROP))
        y, x = int(rng.integers(0, height - part_h + 1)), int(rng.integers(0, width - part_w + 1))
        _, size = images.fit_size((part_h, part_w), SHORT_SIDE, LONG_SIDE)
        window = transforms.Window(x, y, part_w, part_h, size)
        shown, target = transforms.view(pixels, truth, window, self._augment, rng)
        image = torch.from_numpy(np.ascontiguousarray(shown)).permute(2, 0, 1).float() / 255
        return Example(image, target, draw.seed)


class Body(nn.Module):
    """MobileNetV2's four stages under an FPN: what torchvision's detectors call a backbone."""

    def __init__(self, init: Path) -> None:
        super().__init__()
        net = mobilenet_v2(weights=None, norm_layer=FrozenBatchNorm2d)
        weights = torch.load(init, map_location="cpu", weights_only=True)
        features = {
            key.removeprefix("features."): value
            for key, value in weights.items()
            if key.startswith("features.") and not key.endswith("num_batches_tracked")
        }
        net.features.load_state_dict(features)
        blocks = net.features
        self.stages = nn.ModuleList([blocks[:4], blocks[4:7], blocks[7:14], blocks[14:18]])
        self.fpn = FeaturePyramidNetwork([24, 32, 96, 320], CHANNELS, LastLevelMaxPool())
        self.out_channels = CHANNELS

    def forward(self, tensor: Tensor) -> dict[str, Tensor]:
        """Describe images at five scales."""
        levels: OrderedDict[str, Tensor] = OrderedDict()
        for number, stage in enumerate(self.stages):
            tensor = stage(tensor)
            levels[str(number)] = tensor
        described: dict[str, Tensor] = self.fpn(levels)
        return described


def build(init: Path) -> MaskRCNN:
    """Build the peer on ImageNet's features."""
    torch.manual_seed(0)
    names = ["0", "1", "2", "3"]
    return MaskRCNN(
        Body(init),
        num_classes=2,
        min_size=SHORT_SIDE,
        max_size=LONG_SIDE,
        rpn_anchor_generator=AnchorGenerator(
            tuple((side,) for side in (16, 32, 64, 128, 256)), ((0.5, 1.0, 2.0),) * 5
        ),
        box_roi_pool=MultiScaleRoIAlign(names, 7, 2),
        mask_roi_pool=MultiScaleRoIAlign(names, 14, 2),
        box_detections_per_img=LIMIT,
    )


def train(model: MaskRCNN, data: Path, steps: int, workers: int, state: Path | None) -> None:
    """Train the peer for ``steps`` batches of two images, from ``state`` on where it exists."""
    dataset = PeerDataset(
        [CocoFolder(data / "instances_train.json", data / "train")],
        PreprocessingConfig(short_side=SHORT_SIDE, long_side=LONG_SIDE),
        AugmentConfig(turns=True),
    )
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, RATE)
    begin = _continue(model, optimizer, steps, state) if state and state.exists() else 0
    model.train()
    model.backbone.to(memory_format=torch.channels_last)  # faster, and the same numbers
    stream = batches(dataset, Share(BATCH), range(begin, steps), 0, workers)
    for step in (bar := tqdm(range(begin, steps), initial=begin, total=steps, unit="step")):
        for group in optimizer.param_groups:
            warm = min(1.0, (step + 1) / WARMUP)
            group["lr"] = RATE * warm * (0.1 if step >= DROP * steps else 1.0)
        batch = next(stream)
        shown = [
            tensor[:, :h, :w]
            for tensor, (h, w) in zip(batch.images.tensor, batch.images.sizes, strict=True)
        ]
        targets = [
            {"boxes": t.boxes, "labels": t.labels + 1, "masks": t.masks} for t in batch.targets
        ]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = model(shown, targets)
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        bar.set_postfix(loss=f"{total.item():.3f}")
        if state and (step + 1) % SAVE_EVERY == 0:
            record = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            beside = state.with_name(f"{state.name}.partial")
            torch.save(record | {"done": step + 1, "steps": steps}, beside)
            beside.replace(state)


def _continue(model: MaskRCNN, optimizer: torch.optim.Optimizer, steps: int, state: Path) -> int:
    """Load a training that was stopped; returns how many of its steps are done."""
    record = torch.load(state, map_location="cpu", weights_only=True)
    if record["steps"] != steps:
        raise SystemExit(f"{state} is a training of {record['steps']} steps, not of {steps}")
    model.load_state_dict(record["model"])
    optimizer.load_state_dict(record["optimizer"])
    return int(record["done"])


def judge(model: MaskRCNN, truth: Path, folder: Path) -> dict[str, Any]:
    """Find the peer's twelve COCO numbers."""
    model.eval()
    found: list[dict[str, Any]] = []
    dataset = coco.read(truth)
    category = dataset.categories[0].id
    for record in tqdm(dataset.images, unit="image"):
        pixels = images.load(folder / record.file_name).pixels
        tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            output = model([tensor])[0]
        masks = [rle.encode(mask) for mask in (output["masks"][:, 0] > 0.5).numpy()]
        boxes, scores = output["boxes"].numpy(), output["scores"].tolist()
        found += coco.results(record.id, [category] * len(masks), boxes, masks, scores)
    return coco_ap.evaluate(truth, found)


def _steps_of(predictor: Predictor) -> int:
    """Count the batches of two images that a checkpoint was trained on."""
    training = predictor.info.training
    settings = training["settings"]
    return int(training["steps"] * settings["images"] * settings["accumulate"] // BATCH)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the nuclei")
    parser.add_argument("--init", type=Path, required=True, help="MobileNetV2's ImageNet weights")
    parser.add_argument("--checkpoint", type=Path, required=True, help="CoMask, to compare with")
    parser.add_argument("--steps", type=int, help="of the peer; by default as many images")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--weights", type=Path, help="keep the peer's weights here")
    parser.add_argument("--state", type=Path, help="keep what a stopped training needs here")
    parser.add_argument("--output", type=Path, help="write the numbers as JSON")
    return parser


if __name__ == "__main__":
    main()
