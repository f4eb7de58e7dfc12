"""How fast is CoMask beside torchvision's Mask R-CNN, stage by stage, on one image?

All have random weights (batch norms set by the image, so that activations stay sane), see one
photograph, judge as many candidates and draw as many instances. They take turns, each in a process
of its own that does nothing else, as anybody runs them: in one process (--together) a contender
also finds memory that something else has given back, and is spared some of what the system takes
for new pages, in one run more, in another less. What is printed are medians round by round, and
ratios to the last contender, which a busy machine bends less than seconds. CPU is a process' own
time on all threads, the system's for it included; its share is printed. The ceiling is a 3x3
convolution of 256 channels in the same precision, measured in the same rounds; a stage's share of
it counts the multiplications of plain convolutions, so that tiles may pass 100 %. Peak memory is
that of a process of its own, with Python and its libraries.

    python benchmarks/inference.py                     # r50 beside Mask R-CNN
    python benchmarks/inference.py r50 r50+openvino r50+bfloat16 maskrcnn
    python benchmarks/inference.py r50 r50-all         # what our own speed-ups are worth
    python benchmarks/inference.py tiny r50 --size 480 640

A contender is "maskrcnn" or a preset; a preset may be followed by +openvino, by +bfloat16, or by a
speed-up that is undone: -all, -apart, -channels-last, -chunks, -crops, -fold, -own-class,
-sampling, -tiles. OpenVINO runs backbone and neck as one, here called neck.
"""

import argparse
import copy
import multiprocessing
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
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
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.detection.roi_heads import maskrcnn_inference

from comask.annotation import rle
from comask.annotation.records import Category, Rle
from comask.config import PRESETS, PreprocessingConfig
from comask.data import images, transforms
from comask.model import fold, roi_pool
from comask.model.comask import CoMask
from comask.model.engine import CompiledCoMask
from comask.model.fold import folded, in_bfloat16
from comask.model.mask_head import MASK, MaskHead
from comask.model.msfem import Msfem, enlarge
from comask.ops import deform_roi_pool, roi_align
from comask.predict import to_prediction
from comask.structures import ImageBatch, Size

PHOTO = Path(__file__).parent.parent / "assets/samples/photographs/coffee.jpg"
CANDIDATES = 1500  # class scores above the threshold, before the NMS
STAGES = ("prepare", "backbone", "neck", "proposals", "class branch", "mask head", "paste + RLE")

Pixels = NDArray[np.uint8]
Run = Callable[[], Iterator[str]]  # yields the name of each stage when it is done


def main() -> None:
    """Measure memory, then times in turns, and print a table."""
    given = _arguments().parse_args()
    _set_threads(given)
    if given.memory:
        print(memory_of(contender(given.memory, given).run))
        return
    names = list(given.contenders)
    # before there is anything else here: a process is charged with what its parent held
    megabytes = {name: _in_own_process(name, given) for name in names if given.peaks}
    counted = {name.split("+")[0]: name for name in reversed(names)}  # one of each network
    counts = {network: flops_of(contender(name, given)) for network, name in counted.items()}
    flops = {name: counts[name.split("+")[0]] for name in names}
    kind: type[Here | Elsewhere] = Here if given.together else Elsewhere
    contenders = {name: kind(name, given) for name in names}
    dtypes = {name: one.ask("dtype") for name, one in contenders.items()}
    ceilings = {
        _ceiling_name(dtype): Ceiling(dtype, given.device)
        for dtype in sorted(set(dtypes.values()), key=str)
    }
    runs = {name: partial(one.ask, "times") for name, one in contenders.items()}
    runs |= {name: partial(timed, one.run) for name, one in ceilings.items()}
    rounds = in_turns(runs, given.rounds)
    found = ", ".join(f"{name} {one.ask('found')}" for name, one in contenders.items())
    print(
        f"torch {torch.__version__}, {given.threads} threads, {given.rounds} rounds; drawn: {found}"
    )
    speeds = {name: one.speed(rounds.pop(name)) for name, one in ceilings.items()}
    print(
        "; ".join(f"{name}: {speed / 1e9:.0f} GFLOP a CPU second" for name, speed in speeds.items())
    )
    limits = {name: speeds[_ceiling_name(dtype)] for name, dtype in dtypes.items()}
    print(table(rounds, flops, limits, megabytes))


def _set_threads(given: argparse.Namespace) -> None:
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)


# --- the contenders --------------------------------------------------------------------------


def contender(name: str, given: argparse.Namespace) -> "Ours | Peer":
    """Build one by its name, which the head of this script explains."""
    pixels = images.resize(images.load(PHOTO).pixels, tuple(given.size))
    torch.manual_seed(0)
    if name == "maskrcnn":
        return Peer(pixels, given.instances, given.device)
    return Ours(pixels, name, given.instances, given.device)


class Ours:
    """CoMask as ``Predictor`` runs it, or with speed-ups undone."""

    def __init__(self, pixels: Pixels, name: str, instances: int, device: str) -> None:
        self.pixels, self.found, self.device = pixels, 0, torch.device(device)
        preset, sign, way = re.fullmatch(r"(\w+)(?:([+-])(.+))?", name).groups()  # type: ignore[union-attr]
        model = CoMask(PRESETS[preset]()).eval().requires_grad_(False)
        calibrate(model.backbone)
        self.dtype = torch.bfloat16 if (sign, way) == ("+", "bfloat16") else torch.float32
        self.undone = {}
        if sign == "-":
            self.undone = dict(UNDONE) if way == "all" else {way: UNDONE[way]}
        self.model = self._fast(model)
        if self.dtype == torch.bfloat16:
            self.model = in_bfloat16(self.model)
        self.categories = tuple(Category(k, str(k)) for k in range(self.model.config.num_classes))
        self._set(0.0, instances)
        images, _ = self._prepare()
        with torch.inference_mode():
            levels = self.model.features(images.tensor)
            boxes = self.model.rpn(levels, images)
            scores = self.model.class_head(levels, boxes, images.sizes).softmax(1)[:, 1:]
        self._set(threshold(scores), instances)
        self.plain = self.model
        if sign == "+" and way == "openvino":
            self.model = CompiledCoMask(copy.deepcopy(self.model))

    def run(self) -> Iterator[str]:
        """Find the instances of the photograph, stage by stage."""
        model = self.model
        with ExitStack() as stack:
            for target, name, slow in [p for undo in self.undone.values() for p in undo.patches]:
                stack.enter_context(mock.patch.object(target, name, slow))
            images, scale = self._prepare()
            yield "prepare"
            if isinstance(model, CompiledCoMask):
                yield "backbone"
                levels = model.features(images.tensor)
            else:
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
            size = self.pixels.shape[0], self.pixels.shape[1]
            seen = to_prediction(detections[0], scale, size, self.categories, settings)
            yield "paste + RLE"
        self.found = len(seen)

    def _fast(self, model: CoMask) -> CoMask:
        if "fold" not in self.undone:
            model = folded(model, tiles=self.dtype == torch.float32)
        if "channels-last" not in self.undone:
            model.to(memory_format=torch.channels_last)
        for kind, slow in [pair for undo in self.undone.values() for pair in undo.kinds]:
            for part in model.modules():
                if type(part) is kind:
                    part.__class__ = slow
        return model.to(self.device)

    def _prepare(self) -> tuple[ImageBatch, float]:
        pixels, scale = transforms.prepare(self.pixels, PreprocessingConfig())
        batch = ImageBatch.of([pixels]).to(self.device)
        return replace(batch, tensor=batch.tensor.to(self.dtype)), scale

    def _set(self, min_score: float, instances: int) -> None:
        config = self.model.config
        detection = replace(config.detection, min_score=min_score, max_instances=instances)
        self.model.config = replace(config, detection=detection)


class Peer:
    """torchvision's Mask R-CNN as it ships, and RLE as one writes it with pycocotools."""

    dtype = torch.float32

    def __init__(self, pixels: Pixels, instances: int, device: str) -> None:
        self.pixels, self.found, self.device = pixels, 0, torch.device(device)
        self.model = maskrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, box_detections_per_img=instances
        )
        self.model.eval().requires_grad_(False)
        calibrate(self.model.backbone.body)
        self.model.to(self.device)
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
        size = self.pixels.shape[0], self.pixels.shape[1]
        pasted = model.transform.postprocess([result], sizes, [size])[0]["masks"]
        inside = (pasted[:, 0] > 0.5).cpu().numpy().transpose(1, 2, 0)
        codes = codec.encode(np.asfortranarray(inside.astype(np.uint8)))
        yield "paste + RLE"
        self.found = len(codes)

    def _tensor(self) -> Tensor:
        return torch.from_numpy(self.pixels).to(self.device).permute(2, 0, 1).float() / 255

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
    "tiles": Undo(
        patches=[(fold, name, 1 << 60) for name in ("PLACES", "REGIONS")]
    ),  # wide 3x3 convolutions by Winograd's tiles
    "chunks": Undo(patches=[(roi_pool, "CHUNK", 1 << 30)]),  # adaptive pooling in the cache
    "own-class": Undo(kinds=[(MaskHead, SlowMaskHead)]),  # only the wanted class is drawn
    "crops": Undo(patches=[(rle, "encode_crop", slow_encode_crop)]),  # masks never leave their box
}


# --- measuring -------------------------------------------------------------------------------

Times = dict[str, tuple[float, float, float]]  # stage: CPU seconds, wall, CPU of the system


class Ceiling:
    """What the processor does at best: a 3x3 convolution of 256 channels, channels last."""

    def __init__(self, dtype: torch.dtype, device: str) -> None:
        drawn = torch.randn(1, 256, 100, 152, device=device, dtype=dtype)
        weight = torch.randn(256, 256, 3, 3, device=device, dtype=dtype)
        self.features = drawn.to(memory_format=torch.channels_last)
        self.weight = weight.to(memory_format=torch.channels_last)

    def run(self) -> Iterator[str]:
        """Convolve three times."""
        for _ in range(3):
            F.conv2d(self.features, self.weight, padding=1)
        yield "convolutions"

    def speed(self, rounds: list[Times]) -> float:
        """Tell the operations of a CPU second."""
        operations = 3 * 2 * self.features[0, 0].numel() * self.weight.numel()
        return operations / float(np.median([times["convolutions"][0] for times in rounds]))


def _ceiling_name(dtype: torch.dtype) -> str:
    return f"ceiling in {str(dtype).removeprefix('torch.')}"


def flops_of(one: "Ours | Peer") -> dict[str, float]:
    """Count the operations of each stage, as if all convolutions were plain."""
    counted: dict[str, float] = {}
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        for target, name, slow in UNDONE["tiles"].patches:
            stack.enter_context(mock.patch.object(target, name, slow))
        if isinstance(one, Ours):  # what OpenVINO does is not seen
            stack.enter_context(mock.patch.object(one, "model", one.plain))
        stages = one.run()
        while True:
            with FlopCounterMode(display=False) as counter:
                stage = next(stages, None)
            if stage is None:
                return counted
            counted[stage] = float(counter.get_total_flops())


class Here:
    """A contender in this process."""

    def __init__(self, name: str, given: argparse.Namespace) -> None:
        self._one = contender(name, given)
        self._answers: dict[str, Callable[[], Any]] = {
            "times": lambda: timed(self._one.run),
            "dtype": lambda: self._one.dtype,
            "found": lambda: self._one.found,
        }

    def ask(self, what: str) -> Any:
        """Run it and give the "times", or tell its "dtype" or how many it "found"."""
        return self._answers[what]()


class Elsewhere:
    """A contender in a process of its own, which ends with this one."""

    def __init__(self, name: str, given: argparse.Namespace) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        context.Process(target=_answer, args=(there, name, given), daemon=True).start()

    def ask(self, what: str) -> Any:
        """Do what ``Here`` does."""
        self._pipe.send(what)
        return self._pipe.recv()


def _answer(pipe: Connection, name: str, given: argparse.Namespace) -> None:
    _set_threads(given)
    here = Here(name, given)
    with suppress(EOFError):  # nobody asks any more
        while True:
            pipe.send(here.ask(pipe.recv()))


def in_turns(runs: Mapping[str, Callable[[], Times]], rounds: int) -> dict[str, list[Times]]:
    """Time every contender once a round, another one first each time; one round warms up."""
    measured: dict[str, list[Times]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            times = runs[name]()
            if number:
                measured[name].append(times)
    return measured


def timed(run: Run) -> Times:
    """Run once and time every stage."""
    times: Times = {}
    with torch.inference_mode():
        now = _now()
        for stage in run():
            then, now = now, _now()
            cpu, wall, system = (after - before for before, after in zip(then, now, strict=True))
            times[stage] = (cpu, wall, system)
    return times


def _now() -> tuple[float, float, float]:
    if torch.cuda.is_initialized():  # else its work is still to come
        torch.cuda.synchronize()
    return time.process_time(), time.perf_counter(), os.times().system


def memory_of(run: Run) -> int:
    """Run twice: the most megabytes that this process ever held."""
    timed(run)
    timed(run)
    return round(peak_megabytes())


def table(
    measured: Mapping[str, list[Times]],
    flops: Mapping[str, Mapping[str, float]],
    limits: Mapping[str, float],
    megabytes: Mapping[str, int],
) -> str:
    """Write medians, shares of the ceiling and ratios to the last contender as Markdown."""
    names = list(measured)
    heads = "".join(f" {name}, CPU ms | GFLOP | of ceiling |" for name in names)
    lines = [f"| |{heads}", "|---|" + "---:|" * (3 * len(names))]
    seconds = {  # (rounds, stages and all, CPU, wall and the system's CPU)
        name: np.array([[times[s] for s in STAGES] for times in rounds])
        for name, rounds in measured.items()
    }
    seconds = {n: np.append(v, v.sum(axis=1, keepdims=True), axis=1) for n, v in seconds.items()}
    for row, stage in enumerate((*STAGES, "**all**")):
        cells = []
        for name in names:
            counted = (
                flops[name].get(stage, 0.0) if row < len(STAGES) else sum(flops[name].values())
            )
            cpu = float(np.median(seconds[name][:, row, 0]))
            share = f"{counted / cpu / limits[name]:.0%}" if counted > 1e9 and cpu > 1e-3 else ""
            cells += [f"{1000 * cpu:.0f}", f"{counted / 1e9:.0f}", share]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    last = seconds[names[-1]]
    system = [f"{1000 * np.median(seconds[n][:, -1, 2]):.0f}" for n in names]
    lines.append("| the system's part | " + _spread(system))
    for kind, what in enumerate(("CPU", "wall")):
        ratios = [np.median(seconds[n][:, -1, kind] / last[:, -1, kind]) for n in names]
        lines.append(f"| {what} time of {names[-1]}'s | " + _spread(f"{r:.2f}" for r in ratios))
    if megabytes:
        lines.append("| peak memory, MB | " + _spread(str(megabytes[name]) for name in names))
    return "\n".join(lines)


def _spread(cells: Iterable[str]) -> str:
    return " | ".join(f"{cell} | |" for cell in cells)


def _in_own_process(name: str, given: argparse.Namespace) -> int:
    options = [f"--{key}={vars(given)[key]}" for key in ("instances", "threads", "device")]
    command = [sys.executable, __file__, f"--memory={name}", *options]
    command += ["--size", *map(str, given.size)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("contenders", nargs="*", default=["r50", "maskrcnn"], metavar="CONTENDER")
    parser.add_argument("--device", default="cpu", help="cuda needs a GPU")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        default=[853, 1280],  # what a camera gives; 800 x 1200 in the network
        metavar=("HEIGHT", "WIDTH"),
        help="the photograph is enlarged to",
    )
    parser.add_argument("--instances", type=int, default=100, help="drawn by both")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--together", action="store_true", help="all in one process")
    parser.add_argument(
        "--no-peaks", dest="peaks", action="store_false", help="do not measure peak memory"
    )
    parser.add_argument("--memory", help=argparse.SUPPRESS)  # one contender's peak, printed
    return parser


if __name__ == "__main__":
    if "OMP_WAIT_POLICY" not in os.environ:  # spinning threads would count as work
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    main()
