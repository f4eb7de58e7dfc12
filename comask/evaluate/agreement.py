"""One checkpoint in two precisions over a COCO folder: does bfloat16 find as well?"""

from dataclasses import replace
from pathlib import Path

from comask.annotation import coco, files
from comask.checkpoint import native
from comask.checkpoint.agreement import IMAGES, Agreement, Precision
from comask.errors import InputError
from comask.evaluate.run import judge_checkpoint
from comask.predict import PredictionSettings, Predictor


def agree(
    checkpoint: Path,
    annotations: Path,
    folder: Path,
    *,
    device: str = "auto",
    settings: PredictionSettings | None = None,
    progress: bool = True,
) -> Agreement:
    """Judge a checkpoint in float32 and in bfloat16; raises InputError for too few images."""
    truth = coco.read(annotations)
    if len(truth.images) < IMAGES:
        raise InputError(
            f"{annotations.name} holds {len(truth.images)} images; at least {IMAGES} are needed "
            "to tell whether two precisions agree"
        )
    model, info = native.load(checkpoint)
    reached = []
    for bfloat16 in (False, True):
        chosen = replace(settings or PredictionSettings(), bfloat16=bfloat16)
        predictor = Predictor(model, info, device=device, settings=chosen)
        verdicts = judge_checkpoint(predictor, annotations, folder, progress=progress)
        reached.append(Precision.of({kind: one.numbers for kind, one in verdicts.items()}))
    return Agreement(
        checkpoint=files.digest(checkpoint),
        data=annotations.name,
        images=len(truth.images),
        float32=reached[0],
        bfloat16=reached[1],
    )
