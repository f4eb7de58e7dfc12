"""How fast is CoMask beside torchvision's Mask R-CNN, stage by stage, on one image?

Both have random weights (batch norms set by the image, so that activations stay sane), see one
photograph as 800 x 1200 network pixels, judge as many candidates and draw as many instances. They
take turns in one process; what is printed are medians of the ratios round by round, which a busy
machine bends less than seconds. CPU is the process' own time on all threads. Peak memory is that
of a process of its own, with Python and its libraries.

    python benchmarks/inference.py                     # r50 beside Mask R-CNN
    python benchmarks/inference.py --preset tiny
    python benchmarks/inference.py --without all       # what our own speed-ups are worth
"""

import argparse
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch
from memory import peak_megabytes
from numpy.typing import NDArray
from pycocotools import mask as codec
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.detection.roi_heads import maskrcnn_inference

from comask.annotation import rle
from comask.annotation.records import Category, Rle
from comask.config import PRESETS, PreprocessingConfig
from comask.data import images, transforms
from comask.model import roi_pool
from comask.model.comask import CoMask
from comask.model.fold import folded
from comask.model.mask_head import MASK, MaskHead
from comask.model.msfem import Msfem, enlarge
from comask.ops import deform_roi_pool, roi_align
from comask.predict import to_prediction
from comask.structures import ImageBatch, Size

PHOTO = Path(__file__).parent.parent / "assets/samples/photographs/coffee.jpg"
SIZE = (853, 1280)  # the photograph is enlarged to what a camera gives; 800 x 1200 in the network
CANDIDATES = 1500  # class scores above the threshold, before the NMS
STAGES = ("prepare", "backbone", "neck", "proposals", "class branch", "mask head", "paste + RLE")

Pixels = NDArray[np.uint8]
Run = Callable[[], Iterator[str]]  # yields the name of each stage when it is done


def main() -> None:
    """Measure memory, then times in turns, and print a table."""
    given = _arguments().parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    if given.memory:
        print(memory_of(contender(given.memory, given).run))
        return
    names = ("comask", f"without:{given.without}" if given.without else "maskrcnn")
    # before there is anything else here: a process is charged with what its parent held
    megabytes = {name: _in_own_process(name, given) for name in names}
    contenders = {name: contender(name, given) for name in names}
    rounds = in_turns({name: one.run for name, one in contenders.items()}, given.rounds)
    found = ", ".join(f"{name} {one.found}" for name, one in contenders.items())
    print(
        f"torch {torch.__version__}, {given.threads} threads, {given.rounds} rounds; drawn: {found}"
    )
    print(table(rounds, megabytes))


# --- the contenders --------------------------------------------------------------------------


def contender(name: str, given: argparse.Namespace) -> "Ours | Peer":
    """Build one by its name: "comask", "maskrcnn" or "without:" and a speed-up."""
    pixels = images.resize(images.load(PHOTO).pixels, SIZE)
    torch.manual_seed(0)
    if name == "maskrcnn":
        return Peer(pixels, given.instances)
    undone = name.removeprefix("without:") if ":" in name else ""
    return Ours(pixels, given.preset, given.instances, undone)


class Ours:
    """CoMask as ``Predictor`` runs it, or with speed-ups undone."""

    def __init__(self, pixels: Pixels, preset: str, instances: int, undone: str) -> None:
        self.pixels, self.found = pixels, 0
        self.model = CoMask(PRESETS[preset]()).eval().requires_grad_(False)
        calibrate(self.model.backbone)
        self.undone = UNDONE if undone == "all" else {undone: UNDONE[undone]} if undone else {}
        if "fold" not in self.undone:
            self.model = folded(self.model)
        if "channels-last" not in self.undone:
            self.model.to(memory_format=torch.channels_last)
        for kind, slow in [pair for undo in self.undone.values() for pair in undo.kinds]:
            for part in self.model.modules():
                if type(part) is kind:
                    part.__class__ = slow
        self.categories = tuple(Category(k, str(k)) for k in range(self.model.config.num_classes))
        self._set(0.0, instances)
        images, _ = self._prepare()
        with torch.inference_mode():
            levels = self.model.features(images.tensor)
            boxes = self.model.rpn(levels, images)
            scores = self.model.class_head(levels, boxes, images.sizes).softmax(1)[:, 1:]
        self._set(threshold(scores), instances)

    def run(self) -> Iterator[str]:
        """Find the instances of the photograph, stage by stage."""
        model = self.model
        with ExitStack() as stack:
            for target, name, slow in [p for undo in self.undone.values() for p in undo.patches]:
                stack.enter_context(mock.patch.object(target, name, slow))
            images, scale = self._prepare()
            yield "prepare"
            features = model.backbone(images.tensor)
            yield "backbone"
            levels = model.neck(features)
            yield "neck"
            boxes = model.rpn(levels, images)
            yield "proposals"
            found = model.classes(levels, boxes, images.sizes)
            yield "class branch"
            detections = model.masks(levels, found, images.sizes)
            yield "mask head"
            settings = model.config.detection
            seen = to_prediction(detections[0], scale, SIZE, self.categories, settings)
            yield "paste + RLE"
        self.found = len(seen)

    def _prepare(self) -> tuple[ImageBatch, float]:
        pixels, scale = transforms.prepare(self.pixels, PreprocessingConfig())
        return ImageBatch.of([pixels]), scale

    def _set(self, min_score: float, instances: int) -> None:
        config = self.model.config
        detection = replace(config.detection, min_score=min_score, max_instances=instances)
        self.model.config = replace(config, detection=detection)


class Peer:
    """torchvision's Mask R-CNN as it ships, and RLE as one writes it with pycocotools."""

    def __init__(self, pixels: Pixels, instances: int) -> None:
        self.pixels, self.found = pixels, 0
        self.model = maskrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, box_detections_per_img=instances
        )
        self.model.eval().requires_grad_(False)
        calibrate(self.model.backbone.body)
        with torch.inference_mode():
            shown, _ = self.model.transform([self._tensor()])
            levels = self.model.backbone(shown.tensors)
            boxes, _ = self.model.rpn(shown, levels)
            logits, _ = self._judge(levels, boxes, shown.image_sizes)
        self.model.roi_heads.score_thresh = threshold(logits.softmax(1)[:, 1:])

    def run(self) -> Iterator[str]:
        """Find the instances of the photograph, stage by stage."""
        model, heads = self.model, self.model.roi_heads
        shown, _ = model.transform([self._tensor()])
        sizes = shown.image_sizes
        yield "prepare"
        features = model.backbone.body(shown.tensors)
        yield "backbone"
        levels = model.backbone.fpn(features)
        yield "neck"
        proposals, _ = model.rpn(shown, levels)
        yield "proposals"
        judged = self._judge(levels, proposals, sizes)
        boxes, scores, labels = heads.postprocess_detections(*judged, proposals, sizes)
        yield "class branch"
        regions = heads.mask_roi_pool(levels, boxes, sizes)
        logits = heads.mask_predictor(heads.mask_head(regions))
        masks = maskrcnn_inference(logits, labels)
        yield "mask head"
        result = {"boxes": boxes[0], "scores": scores[0], "labels": labels[0], "masks": masks[0]}
        pasted = model.transform.postprocess([result], sizes, [SIZE])[0]["masks"]
        inside = (pasted[:, 0] > 0.5).numpy().transpose(1, 2, 0)
        codes = codec.encode(np.asfortranarray(inside.astype(np.uint8)))
        yield "paste + RLE"
        self.found = len(codes)

    def _tensor(self) -> Tensor:
        return torch.from_numpy(self.pixels).permute(2, 0, 1).float() / 255

    def _judge(self, levels: Any, boxes: list[Tensor], sizes: list[Size]) -> tuple[Tensor, Tensor]:
        heads = self.model.roi_heads
        judged: tuple[Tensor, Tensor] = heads.box_predictor(
            heads.box_head(heads.box_roi_pool(levels, boxes, sizes))
        )
        return judged


def calibrate(body: nn.Module) -> None:
    """Set batch norms by a small view of the photograph, as a training would have."""
    pixels = images.resize(images.load(PHOTO).pixels, (320, 480))
    tensor = transforms.normalise(pixels, PreprocessingConfig())[None]
    norms = [part for part in body.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean: after one image, that image's
        norm.train()
    with torch.no_grad():
        body(tensor)
    body.eval()


def threshold(scores: Tensor) -> float:
    """Choose the score that ``CANDIDATES`` of a model's class scores exceed."""
    return float(scores.flatten().topk(CANDIDATES + 1).values[-1])


# --- our speed-ups, undone -------------------------------------------------------------------


class SlowMsfem(Msfem):
    """Puts maps beside each other at full size before they are convolved, as the paper draws it."""

    def views(self, level: Tensor) -> list[Tensor]:
        """Run the cascade."""
        coarse: list[Tensor] = []
        for branch in self.branches:
            shown = torch.cat([enlarge(coarse[-1], level), level], dim=1) if coarse else level
            coarse.append(branch(shown))
        return coarse

    def fused(self, level: Tensor, coarse: list[Tensor]) -> Tensor:
        """Fuse the level and its views before attention."""
        views = [level, *(enlarge(view, level) for view in coarse)]
        fused: Tensor = self.fuse(torch.cat(views, dim=1))
        return fused


class SlowMaskHead(MaskHead):
    """Draws the masks of all classes and keeps one."""

    def _mask(self, trunk: Tensor, labels: Tensor) -> Tensor:
        drawn = F.relu(self.norm1(self.enlarge1(trunk)))
        logits: Tensor = self.mask(F.relu(self.norm2(self.enlarge2(drawn))))
        picked = (labels + 1)[:, None, None, None].expand(-1, 1, MASK, MASK)
        return logits.gather(1, picked)[:, 0]


def slow_sample(level: Tensor, rows: Tensor, x: Tensor, y: Tensor, inside: Tensor) -> Tensor:
    """Average samples by ``grid_sample``; one image only."""
    height, width = level.shape[-2:]
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=-1)
    flat = grid.view(1, 1, -1, 2)
    seen = F.grid_sample(level, flat, padding_mode="border", align_corners=True)
    return (seen.view(-1, *x.shape) * inside).mean(-1).movedim(0, 1)


def slow_encode_crop(crop: Pixels, x: int, y: int, size: Size) -> Rle:
    """Compress a mask by way of the whole image."""
    canvas = np.zeros(size, np.uint8)
    canvas[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    return rle.encode(canvas)


@dataclass(frozen=True)
class Undo:
    """How one speed-up is undone: slow classes for fast ones, slow functions while it runs."""

    kinds: Sequence[tuple[type[nn.Module], type[nn.Module]]] = ()
    patches: Sequence[tuple[Any, str, Any]] = ()


UNDONE: Mapping[str, Undo] = {
    "fold": Undo(),  # batch norms folded into convolutions
    "channels-last": Undo(),
    "apart": Undo(kinds=[(Msfem, SlowMsfem)]),  # maps are convolved apart, each at its resolution
    "sampling": Undo(
        patches=[(m, "sample", slow_sample) for m in (deform_roi_pool, roi_align)]
    ),  # regions gathered by embedding_bag
    "chunks": Undo(patches=[(roi_pool, "CHUNK", 1 << 30)]),  # adaptive pooling in the cache
    "own-class": Undo(kinds=[(MaskHead, SlowMaskHead)]),  # only the wanted class is drawn
    "crops": Undo(patches=[(rle, "encode_crop", slow_encode_crop)]),  # masks never leave their box
}


# --- measuring -------------------------------------------------------------------------------

Times = dict[str, tuple[float, float]]  # stage: CPU and wall seconds


def in_turns(runs: Mapping[str, Run], rounds: int) -> dict[str, list[Times]]:
    """Time every contender once a round, another one first each time; one round warms up."""
    measured: dict[str, list[Times]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            times = timed(runs[name])
            if number:
                measured[name].append(times)
    return measured


def timed(run: Run) -> Times:
    """Run once: CPU and wall seconds a stage."""
    times: Times = {}
    with torch.inference_mode():
        cpu, wall = time.process_time(), time.perf_counter()
        for stage in run():
            then_cpu, then_wall = cpu, wall
            cpu, wall = time.process_time(), time.perf_counter()
            times[stage] = (cpu - then_cpu, wall - then_wall)
    return times


def memory_of(run: Run) -> int:
    """Run twice: the most megabytes that this process ever held."""
    timed(run)
    timed(run)
    return round(peak_megabytes())


def table(measured: Mapping[str, list[Times]], megabytes: Mapping[str, int]) -> str:
    """Write medians and ratios as a Markdown table."""
    ours, other = measured
    lines = [
        f"| | {ours}, CPU ms | {other}, CPU ms | CPU ratio | wall ratio |",
        "|---|---:|---:|---:|---:|",
    ]
    rows = defaultdict(list)
    for name, rounds in measured.items():
        for times in rounds:
            rows[name].append([times[stage] for stage in STAGES])
    left, right = (np.array(rows[name]) for name in (ours, other))  # (rounds, stages, 2)
    left, right = (np.append(v, v.sum(axis=1, keepdims=True), axis=1) for v in (left, right))
    ratios = np.median(left / right, axis=0)
    for k, stage in enumerate((*STAGES, "**all**")):
        ms = [1000 * np.median(v[:, k, 0]) for v in (left, right)]
        lines.append(
            f"| {stage} | {ms[0]:.0f} | {ms[1]:.0f} | {ratios[k, 0]:.2f} | {ratios[k, 1]:.2f} |"
        )
    mb = [megabytes[name] for name in (ours, other)]
    lines.append(f"| peak memory, MB | {mb[0]} | {mb[1]} | {mb[0] / mb[1]:.2f} | |")
    return "\n".join(lines)


def _in_own_process(name: str, given: argparse.Namespace) -> int:
    options = [f"--{key}={vars(given)[key]}" for key in ("preset", "instances", "threads")]
    command = [sys.executable, __file__, f"--memory={name}", *options]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="r50")
    parser.add_argument("--instances", type=int, default=100, help="drawn by both")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument(
        "--without", choices=["all", *UNDONE], help="compare with ourselves, this speed-up undone"
    )
    parser.add_argument("--memory", help=argparse.SUPPRESS)  # one contender's peak, printed
    return parser


if __name__ == "__main__":
    if "OMP_WAIT_POLICY" not in os.environ:  # spinning threads would count as work
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    main()
