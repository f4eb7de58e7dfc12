"""A checkpoint in two precisions over real images."""

import json
from pathlib import Path

import numpy as np
import pytest

from comask.checkpoint import native
from comask.errors import InputError
from comask.evaluate.agreement import agree
from comask.evaluate.run import judge_checkpoint
from comask.model import fold
from comask.predict import PredictionSettings, Predictor
from tests.factories import coco_content, write_checkpoint, write_json

NUCLEI = Path(__file__).resolve().parents[2] / "assets/checkpoints/comask-tiny-nuclei.safetensors"


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    truth = write_json(tmp_path / "val.json", coco_content())
    with pytest.raises(InputError, match="at least 20 are needed"):
        agree(write_checkpoint(tmp_path / "small.safetensors"), truth, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("everywhere", [False, True])
def test_nuclei_are_found_as_well_in_bfloat16(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everywhere: bool
) -> None:
    """On three images; `comask agree` asked all thirty, and its record is bundled.

    That checkpoint's convolutions are too narrow for tiles to pay in bfloat16, and in float32 but
    on maps; they can be had all the same.
    """
    if everywhere:
        monkeypatch.setattr(fold, "CHANNELS", dict.fromkeys(fold.CHANNELS, 1))
        for name in ("REGION_CHANNELS", "PLACES", "REGIONS"):
            monkeypatch.setattr(fold, name, 1)
    content = json.loads((shared_data / "nuclei/instances_val.json").read_bytes())
    content["images"] = sorted(content["images"], key=lambda one: one["file_name"])[:3]
    shown = {one["id"] for one in content["images"]}
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in shown]
    truth = write_json(tmp_path / "few.json", content)
    model, info = native.load(NUCLEI)
    reached = []
    for bfloat16 in (False, True):
        settings = PredictionSettings(bfloat16=bfloat16)
        predictor = Predictor(model, info, device="cpu", settings=settings)
        with predictor.opened(np.zeros((32, 32, 3), np.uint8)) as (network, *_):
            kinds = {type(part) for part in network.modules()}
        assert (fold.TiledConv in kinds) == (everywhere or not bfloat16)
        found = judge_checkpoint(predictor, truth, shared_data / "nuclei/val", progress=False)
        reached.append(found["segm"].numbers["AP"])
    assert reached[0] > 0.3
    assert reached[1] == pytest.approx(reached[0], abs=0.02)
