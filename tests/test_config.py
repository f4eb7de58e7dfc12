"""Settings: every range is checked at birth, and a refusal names the setting."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from comask import config
from comask.config import (
    AugmentConfig,
    BackboneConfig,
    ClassHeadConfig,
    DetectionConfig,
    LossWeights,
    MaskHeadConfig,
    ModelConfig,
    NeckConfig,
    PreprocessingConfig,
    ProposalConfig,
    TrainConfig,
)
from comask.errors import ConfigError

WRONG: list[tuple[type, str, Any]] = [
    (BackboneConfig, "backbone.kind", "vgg"),
    (BackboneConfig, "backbone.frozen_stages", 5),
    (NeckConfig, "neck.channels", 0),
    (NeckConfig, "neck.channels", 100),
    (NeckConfig, "neck.channels", 8192),
    (NeckConfig, "neck.branches", 0),
    (NeckConfig, "neck.branches", 6),
    (NeckConfig, "neck.attention", "se"),
    (ProposalConfig, "proposals.anchor_scales", ()),
    (ProposalConfig, "proposals.anchor_ratios", (1.0, -1.0)),
    (ProposalConfig, "proposals.nms_iou", 1.1),
    (ProposalConfig, "proposals.kept", 0),
    (ClassHeadConfig, "class_head.hidden", 0),
    (ClassHeadConfig, "class_head.positive_share", -0.1),
    (MaskHeadConfig, "mask_head.convs", 0),
    (MaskHeadConfig, "mask_head.jitter", 0.6),
    (DetectionConfig, "detection.min_score", -0.01),
    (DetectionConfig, "detection.nms_iou", math.nan),
    (DetectionConfig, "detection.max_instances", 0),
    (DetectionConfig, "detection.iou_weight", -1.0),
    (DetectionConfig, "detection.paste", "half"),
    (PreprocessingConfig, "preprocessing.short_side", 0),
    (PreprocessingConfig, "preprocessing.long_side", 400),
    (LossWeights, "train.losses.mask", -1.0),
    (LossWeights, "train.losses.box", math.inf),
    (AugmentConfig, "augment.flip", 1.5),
    (AugmentConfig, "augment.scale_high", 0.5),
    (TrainConfig, "train.steps", 0),
    (TrainConfig, "train.learning_rate", 0.0),
    (TrainConfig, "train.learning_rate", math.nan),
    (TrainConfig, "train.optimizer", "lion"),
    (TrainConfig, "train.average", 1.0),
]


@pytest.mark.parametrize(("kind", "name", "value"), WRONG)
def test_a_value_out_of_range_is_refused_by_name(kind: type, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        kind(**{name.rpartition(".")[2]: value})


def test_the_iou_branch_must_speak_of_every_class_and_the_background() -> None:
    with pytest.raises(ConfigError, match=r"iou_outputs must be 0 or more than num_classes \(80\)"):
        ModelConfig(mask_head=MaskHeadConfig(iou_outputs=80))
    assert ModelConfig(mask_head=MaskHeadConfig(iou_outputs=81)).mask_head.iou_outputs == 81


@pytest.mark.parametrize("preset", config.PRESETS.values())
def test_every_preset_survives_json(preset: Callable[[], ModelConfig]) -> None:
    made = preset()
    stored = json.loads(json.dumps(config.to_dict(made)))
    assert config.from_dict(ModelConfig, stored) == made


def test_what_is_unknown_missing_or_of_another_type_is_refused_by_its_full_name() -> None:
    def refusal(change: dict[str, Any]) -> str:
        values = config.to_dict(ModelConfig())
        values["neck"] = {k: v for k, v in (values["neck"] | change).items() if v is not None}
        with pytest.raises(ConfigError) as caught:
            config.from_dict(ModelConfig, values)
        return str(caught.value)

    assert refusal({"width": 3}) == "config.neck.width is no setting"
    assert refusal({"branches": None}) == "config.neck.branches is missing"
    assert refusal({"branches": True}) == "config.neck.branches must be int, got True"
    assert refusal({"branches": "4"}) == "config.neck.branches must be int, got '4'"


def test_whole_numbers_are_numbers_too() -> None:
    values = config.to_dict(TrainConfig()) | {"max_norm": 10}
    read = config.from_dict(TrainConfig, values)
    assert (type(read.max_norm), read.max_norm) == (float, 10.0)
