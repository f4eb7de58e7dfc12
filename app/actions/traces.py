"""How one instance was made, step by step, in image pixels."""

from typing import TYPE_CHECKING, Any

from comask.annotation import rle
from comask.annotation.records import Rle

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.predict import Prediction


def trace(prediction: "Prediction", row: int) -> dict[str, Any]:
    """Tell of an instance: proposal, votes and weights, refined box, both masks, levels.

    The final mask is the stored one; the first one is drawn here as the model would draw it.
    """
    from comask.model import postprocess  # brings torch

    told = prediction.trace
    crop = postprocess.paste(told.first_masks[row], told.proposals[row], 1.0, prediction.size)
    first = rle.encode_crop(crop.pixels, crop.x, crop.y, prediction.size)
    return {
        "proposal": told.proposals[row].tolist(),
        "votes": told.votes[row].reshape(-1, 4).tolist(),
        "weights": told.weights[row].reshape(-1).tolist(),
        "box": prediction.boxes[row].tolist(),
        "first_mask": _coco(first),
        "mask": _coco(prediction.masks[row]),
        "levels": told.levels[row].tolist(),
    }


def _coco(mask: Rle) -> dict[str, Any]:
    return {"size": list(mask.size), "counts": mask.counts}
