"""How instances were made, step by step, in image pixels: as numbers and as films to take away."""

import base64
import io
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from app.services import CheckpointFile, Services, StoredImage
from comask.annotation.records import Rle, Size
from comask.errors import CheckpointError, InputError

if TYPE_CHECKING:  # these bring torch, which the first page does not wait for
    from comask.analysis.trace import Making, Pasting
    from comask.predict import Prediction

Kind = Literal["gif", "png"]

MOST_FILMED = 1000  # instances of one film
STRIP_OF_ONE, STRIP_OF_ALL = 360, 560  # pixels: longer side of each stage in a strip


@dataclass(frozen=True)
class FilmAsked:
    """Which film: an animation or a strip, of one instance (its row) or of all above a score."""

    kind: Kind
    row: int | None
    min_score: float


@dataclass(frozen=True)
class FilmFile:
    """A film's content, what it is, and the name that it is saved under."""

    content: bytes
    media_type: str
    file_name: str


def pasting(file: CheckpointFile, size: Size) -> "Pasting":
    """Say how a checkpoint draws masks into an image; of a file that is gone, the plain way."""
    from comask.analysis.trace import Pasting
    from comask.checkpoint import native

    try:
        return Pasting.of(native.read_info(file.path), size)
    except CheckpointError:
        return Pasting()


def trace(prediction: "Prediction", row: int, how: "Pasting") -> dict[str, Any]:
    """Tell of an instance: proposal, votes and weights, refined box, both masks, numbers."""
    from comask.analysis.trace import makings

    (one,) = makings(prediction, how, (row,))
    return {
        **_words((one,)),
        **_facts(one),
        "proposal": one.proposal.tolist(),
        "votes": one.votes.tolist(),
        "weights": one.weights.tolist(),
        "box": one.box.tolist(),
    }


def traces(prediction: "Prediction", how: "Pasting") -> dict[str, Any]:
    """Tell of all instances: as ``trace`` does, with the numbers of boxes and votes packed.

    ``packed`` holds N x 249 little-endian float32 in base64: proposal, box, weights, votes.
    """
    from comask.analysis.trace import VOTES, makings

    found = makings(prediction, how)
    rows = [np.concatenate([m.proposal, m.box, m.weights, m.votes.ravel()]) for m in found]
    packed = np.asarray(rows, "<f4").reshape(len(found), 8 + 5 * VOTES)
    return {
        **_words(found),
        "rows": [_facts(one) for one in found],
        "packed": base64.b64encode(packed.tobytes()).decode(),
    }


def film(
    services: Services,
    file: CheckpointFile,
    image: StoredImage,
    prediction: "Prediction",
    asked: FilmAsked,
) -> FilmFile:
    """Draw a film; raises InputError for more instances than a film can show."""
    from comask.analysis.film import film_frames, shown_rows, write_gif, write_strip

    row, strip = asked.row, asked.kind == "png"
    count = len(shown_rows(prediction, asked.min_score)) if row is None else 1
    if count > MOST_FILMED:
        raise InputError(
            f"A film shows up to {MOST_FILMED:,} instances and here are {count:,}; raise the score."
        )
    frames = film_frames(
        services.images.pixels(image),
        prediction,
        row,
        pasting=pasting(file, prediction.size),
        min_score=asked.min_score,
        **({"side": STRIP_OF_ALL if row is None else STRIP_OF_ONE, "between": 0} if strip else {}),
    )
    stream = io.BytesIO()
    (write_strip if strip else write_gif)(frames, stream)
    stem = PurePosixPath(image.file_name).stem or image.key
    name = f"{stem}-{'all' if row is None else f'p{row + 1}'}.{asked.kind}"
    return FilmFile(stream.getvalue(), f"image/{asked.kind}", name)


def _words(found: "tuple[Making, ...]") -> dict[str, Any]:
    """Tell the stages as they were for these instances, and the colours of weights."""
    from comask.analysis.stages import SCALE, stages_of

    weighted, second = (found[0].weighted, found[0].second) if found else (True, True)
    stages = stages_of(weighted=weighted, second=second)
    return {
        "stages": [asdict(stage) for stage in stages],
        "scale": SCALE,
        "weighted": weighted,
        "second": second,
    }


def _facts(one: "Making") -> dict[str, Any]:
    travel, edge = one.travel
    return {
        "id": f"p{one.row + 1}",
        "first_mask": _coco(one.first),
        "mask": _coco(one.mask),
        "levels": list(one.levels),
        "mask_iou": one.mask_iou,
        "weight": float(one.weights.sum()),
        "travel": travel,
        "edge": edge,
        "agreement": one.agreement,
    }


def _coco(mask: Rle) -> dict[str, Any]:
    return {"size": list(mask.size), "counts": mask.counts}
