"""Settings of the model, its preprocessing and its training: frozen values, the paper's by default.

A variant is an expression: ``replace(r50(), num_classes=3)``. Every range is checked at birth and
a refusal names the setting. ``to_dict`` and ``from_dict`` are what checkpoints store.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from comask.errors import ConfigError

BackboneKind = Literal["resnet50", "resnet101", "mobilenet_v2"]
AttentionKind = Literal["rca", "ca", "sca"]
Reading = Literal["paper", "released"]
OptimizerKind = Literal["sgd", "adamw"]
ScheduleKind = Literal["steps", "cosine"]
PasteKind = Literal["whole", "exact"]


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """The image classifier whose four stages feed the pyramid."""

    kind: BackboneKind = "resnet50"
    frozen_stages: int = 1  # the stem and this many stages are never trained, 0 .. 4

    def __post_init__(self) -> None:
        _one_of("backbone.kind", self.kind, BackboneKind)
        _within("backbone.frozen_stages", self.frozen_stages, 0, 4)


@dataclass(frozen=True, kw_only=True)
class NeckConfig:
    """Pyramid whose levels P2 .. P5 each pass through an MSFEM of their own."""

    channels: int = 256  # a multiple of 32: every norm has 32 groups
    branches: int = 4  # parallel scales inside one MSFEM, the identity branch included
    attention: AttentionKind = "rca"

    def __post_init__(self) -> None:
        if not 32 <= self.channels <= 4096 or self.channels % 32:
            raise ConfigError(
                f"neck.channels must be a multiple of 32 in 32 .. 4096, got {self.channels!s:.60}"
            )
        _within("neck.branches", self.branches, 1, 5)
        _one_of("neck.attention", self.attention, AttentionKind)


@dataclass(frozen=True, kw_only=True)
class ProposalConfig:
    """Region proposals: anchors of ``scale * stride`` pixels on P2 .. P6, and how many survive."""

    anchor_scales: tuple[float, ...] = (8.0,)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)  # height / width
    nms_iou: float = 0.7
    per_level: int = 1000  # before and after the NMS of one level
    kept: int = 700  # of all levels together
    train_per_level: int = 2000
    train_kept: int = 2000
    positive_iou: float = 0.7
    negative_iou: float = 0.3
    sampled: int = 256  # anchors an image in the loss
    positive_share: float = 0.5  # at most this share of the sampled

    def __post_init__(self) -> None:
        _positive_list("proposals.anchor_scales", self.anchor_scales)
        _positive_list("proposals.anchor_ratios", self.anchor_ratios)
        for name in ("nms_iou", "positive_iou", "negative_iou", "positive_share"):
            _within(f"proposals.{name}", getattr(self, name), 0.0, 1.0)
        for name in ("per_level", "kept", "train_per_level", "train_kept", "sampled"):
            _within(f"proposals.{name}", getattr(self, name), 1, 100_000)


@dataclass(frozen=True, kw_only=True)
class ClassHeadConfig:
    """Deformable, adaptively weighted pooling and two hidden layers; no box regression."""

    hidden: int = 1024
    offset_hidden: int = 1024
    positive_iou: float = 0.5
    sampled: int = 512  # proposals an image in the loss
    positive_share: float = 0.25

    def __post_init__(self) -> None:
        _within("class_head.hidden", self.hidden, 1, 65_536)
        _within("class_head.offset_hidden", self.offset_hidden, 1, 65_536)
        _within("class_head.positive_iou", self.positive_iou, 0.0, 1.0)
        _within("class_head.sampled", self.sampled, 1, 100_000)
        _within("class_head.positive_share", self.positive_share, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class MaskHeadConfig:
    """The head that votes for the box, draws the mask and predicts the mask's IoU."""

    convs: int = 10  # 3x3 convolutions of the trunk, the first with stride 2
    hidden: int = 1024
    iou_outputs: int = 0  # 0: one a class and one for the background; files may carry more
    sampled: int = 192  # positives of a whole batch in the loss
    jitter: float = 0.15  # of the positives' centre and size, as a share of the size

    def __post_init__(self) -> None:
        _within("mask_head.convs", self.convs, 1, 32)
        _within("mask_head.hidden", self.hidden, 1, 65_536)
        _within("mask_head.iou_outputs", self.iou_outputs, 0, 100_000)
        _within("mask_head.sampled", self.sampled, 1, 100_000)
        _within("mask_head.jitter", self.jitter, 0.0, 0.5)


@dataclass(frozen=True, kw_only=True)
class DetectionConfig:
    """What becomes of the class scores: the threshold, the NMS of one class, the limit."""

    min_score: float = 0.05  # kept where the class score is greater
    nms_iou: float = 0.3
    max_instances: int = 100
    iou_weight: float = 0.3  # ranking score = class score + iou_weight * predicted mask IoU
    # "whole", the release's: a mask fills its box cut to whole image pixels; "exact": each pixel
    # takes the mask where its own centre falls, which small objects need
    paste: PasteKind = "whole"

    def __post_init__(self) -> None:
        _within("detection.min_score", self.min_score, 0.0, 1.0)
        _within("detection.nms_iou", self.nms_iou, 0.0, 1.0)
        _within("detection.max_instances", self.max_instances, 1, 100_000)
        _within("detection.iou_weight", self.iou_weight, 0.0, 10.0)
        _one_of("detection.paste", self.paste, PasteKind)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One CoMask; the defaults are the paper's ResNet-50 on COCO."""

    num_classes: int = 80  # objects only, the background is not counted
    collaborative: bool = True  # mask-weighted votes and a second pass on the refined box
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    neck: NeckConfig = field(default_factory=NeckConfig)
    proposals: ProposalConfig = field(default_factory=ProposalConfig)
    class_head: ClassHeadConfig = field(default_factory=ClassHeadConfig)
    mask_head: MaskHeadConfig = field(default_factory=MaskHeadConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)

    def __post_init__(self) -> None:
        _within("num_classes", self.num_classes, 1, 99_999)
        outputs = self.mask_head.iou_outputs
        if outputs and outputs <= self.num_classes:
            raise ConfigError(
                f"mask_head.iou_outputs must be 0 or more than num_classes "
                f"({self.num_classes}), got {outputs}"
            )


@dataclass(frozen=True, kw_only=True)
class PreprocessingConfig:
    """From an 8-bit RGB image to network pixels."""

    short_side: int = 800  # the shorter side becomes this long ...
    long_side: int = 1333  # ... unless the longer one would pass this
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)  # RGB, 0 .. 255
    std: tuple[float, ...] = (58.395, 57.12, 57.375)

    def __post_init__(self) -> None:
        _within("preprocessing.short_side", self.short_side, 1, 16_384)
        _within("preprocessing.long_side", self.long_side, self.short_side, 32_768)
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ConfigError("preprocessing.mean and .std must be three numbers, std above 0")


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """What each loss counts for in the sum."""

    proposal_score: float = 1.0
    proposal_box: float = 1.0
    class_score: float = 2.0
    box: float = 2.0
    mask: float = 1.0
    mask_iou: float = 0.5

    def __post_init__(self) -> None:
        for loss in dataclasses.fields(self):
            _within(f"train.losses.{loss.name}", getattr(self, loss.name), 0.0, 1_000.0)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How a training image is varied before the network sees it."""

    flip: float = 0.5  # probability of a mirror image
    turns: bool = False  # also mirror top to bottom and turn by quarters, for views from above
    scale_low: float = 1.0  # the preprocessing's scale is multiplied by a number in this range
    scale_high: float = 1.0
    crop: int = 0  # network pixels a side at most, a random part is taken; 0: the whole image
    colour: float = 0.0  # strength of random contrast, brightness and tint, 0 .. 1
    paste: float = 0.0  # probability that objects of another image are pasted in

    def __post_init__(self) -> None:
        _within("augment.flip", self.flip, 0.0, 1.0)
        _within("augment.scale_low", self.scale_low, 0.05, 20.0)
        _within("augment.scale_high", self.scale_high, self.scale_low, 20.0)
        _within("augment.crop", self.crop, 0, 16_384)
        _within("augment.colour", self.colour, 0.0, 1.0)
        _within("augment.paste", self.paste, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training; the defaults are the paper's schedule on COCO with 8 images a step."""

    steps: int = 352_000  # 24 epochs of 117,266 images
    images: int = 2  # of one process in one forward pass
    accumulate: int = 1  # forward passes before the weights move
    optimizer: OptimizerKind = "sgd"
    learning_rate: float = 0.01
    backbone_rate: float = 1.0  # the backbone's share of the rate: it has learnt already
    weight_decay: float = 1e-4
    schedule: ScheduleKind = "steps"
    drops: tuple[float, ...] = (20 / 24, 23 / 24)  # "steps": x 0.1 after these shares
    warmup: int = 1000  # steps of linear growth ...
    warmup_start: float = 1 / 80  # ... from this share of the rate
    max_norm: float = 0.0  # gradients are shortened to this length; 0: never
    # images with a class that is on fewer than this share of the images are shown more often, by
    # the square root of what it lacks (repeat factor sampling, Gupta et al. 2019); 0: never
    repeat_rare: float = 0.0
    average: float = 0.0  # decay of a running mean of the weights, which is what is kept; 0: none
    reading: Reading = "paper"
    losses: LossWeights = field(default_factory=LossWeights)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    bfloat16: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "images", "accumulate"):
            _within(f"train.{name}", getattr(self, name), 1, 10**9)
        _one_of("train.optimizer", self.optimizer, OptimizerKind)
        _one_of("train.schedule", self.schedule, ScheduleKind)
        _one_of("train.reading", self.reading, Reading)
        _within("train.learning_rate", self.learning_rate, 1e-12, 100.0)
        _within("train.backbone_rate", self.backbone_rate, 0.0, 100.0)
        _within("train.repeat_rare", self.repeat_rare, 0.0, 1.0)
        _within("train.weight_decay", self.weight_decay, 0.0, 10.0)
        _within("train.warmup", self.warmup, 0, self.steps)
        _within("train.warmup_start", self.warmup_start, 0.0, 1.0)
        _within("train.max_norm", self.max_norm, 0.0, 1e9)
        _within("train.average", self.average, 0.0, 0.999999)
        for drop in self.drops:
            _within("train.drops", drop, 0.0, 1.0)


def r50() -> ModelConfig:
    """Describe the paper's CoMask_4 on a ResNet-50."""
    return ModelConfig()


def r101() -> ModelConfig:
    """Describe the paper's CoMask_4 on a ResNet-101."""
    return ModelConfig(backbone=BackboneConfig(kind="resnet101"))


def tiny() -> ModelConfig:
    """Describe a CoMask for CPUs: MobileNetV2, a neck of 96 channels and small heads."""
    return ModelConfig(
        backbone=BackboneConfig(kind="mobilenet_v2"),
        neck=NeckConfig(channels=96),
        class_head=ClassHeadConfig(hidden=256, offset_hidden=256, sampled=256),
        mask_head=MaskHeadConfig(convs=6, hidden=256),
    )


PRESETS: Mapping[str, Callable[[], ModelConfig]] = types.MappingProxyType(
    {"r50": r50, "r101": r101, "tiny": tiny}
)


Config = TypeVar("Config")


def to_dict(config: Any) -> dict[str, Any]:
    """Turn any settings value into plain JSON values."""
    return dataclasses.asdict(config)


def from_dict(kind: type[Config], values: object, *, at: str = "config") -> Config:
    """Read what ``to_dict`` wrote; unknown, missing and ill-typed settings are refused by name."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{at} must be an object, got {type(values).__name__}")
    hints = typing.get_type_hints(kind)
    names = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in sorted(set(map(str, values)) ^ names):
        raise ConfigError(f"{at}.{name} is {'missing' if name in names else 'no setting'}")
    read = {name: _read(hints[name], values[name], f"{at}.{name}") for name in sorted(names)}
    return kind(**read)


def _read(hint: Any, value: object, at: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, at=at)  # type: ignore[arg-type]
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{at} must be a list, got {value!r:.60}")
        return tuple(_read(typing.get_args(hint)[0], item, at) for item in value)
    if typing.get_origin(hint) is Literal:
        _one_of(at, value, hint)
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:  # a bool is no int here
        raise ConfigError(f"{at} must be {hint.__name__}, got {value!r:.60}")
    return value


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} must be in {low} .. {high}, got {value!s:.60}")


def _positive_list(name: str, values: tuple[float, ...]) -> None:
    if not values or min(values) <= 0:
        raise ConfigError(f"{name} must hold numbers above 0, got {values}")


def _one_of(name: str, value: object, choices: Any) -> None:
    allowed = typing.get_args(choices)
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join(allowed)}, got {value!r:.60}")
