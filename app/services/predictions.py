"""What the model found, kept once per image and checkpoint: in memory and in the workspace.

A file holds a whole ``Prediction``, trace included, as plain arrays; nothing in it is executed.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from app.services.files import beside
from app.services.recent import Recent
from comask import __version__
from comask.annotation.records import Category, Rle

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.predict import Prediction

SCHEMA = 1

_ARRAYS = ("boxes", "labels", "class_scores", "mask_ious", "scores")


class PredictionShelf:
    """Keep predictions under (checkpoint identity, image key)."""

    def __init__(self, workspace: Path, in_memory: int) -> None:
        self._folder = workspace / "predictions"
        self._recent: Recent[tuple[str, str], Prediction] = Recent(in_memory)

    def has(self, identity: str, key: str) -> bool:
        """Say whether an image needs no run any more."""
        return (identity, key) in self._recent or self._place(identity, key).is_file()

    def keys(self, identity: str) -> list[str]:
        """List the images that a checkpoint was run over."""
        folder = self._place(identity, "x").parent
        if not folder.is_dir():
            return []
        return [place.stem for place in folder.glob("[!.]*.npz")]

    def get(self, identity: str, key: str) -> "Prediction | None":
        """Find a prediction; a damaged file is as good as none."""
        known = self._recent.get((identity, key))
        if known is not None:
            return known
        place = self._place(identity, key)
        try:
            prediction = read(place)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, BadZipFile):
            place.unlink(missing_ok=True)
            return None
        self._recent.put((identity, key), prediction)
        return prediction

    def put(self, identity: str, key: str, prediction: "Prediction") -> None:
        """Keep a prediction."""
        place = self._place(identity, key)
        place.parent.mkdir(parents=True, exist_ok=True)
        write(place, prediction)
        self._recent.put((identity, key), prediction)

    def remove(self, key: str) -> None:
        """Forget an image with all checkpoints."""
        for place in self._folder.glob(f"*/{key}.npz"):
            place.unlink(missing_ok=True)
            self._recent.drop((place.parent.name.split("-")[0], key))

    def _place(self, identity: str, key: str) -> Path:
        # another version of the library may find something else in the same image
        return self._folder / f"{identity}-{__version__}" / f"{key}.npz"


def write(place: Path, prediction: "Prediction") -> None:
    """Write a prediction to a file, without loss."""
    about = {
        "schema": SCHEMA,
        "size": prediction.size,
        "masks": [mask.counts for mask in prediction.masks],
        "categories": [[c.id, c.name, c.supercategory] for c in prediction.categories],
    }
    arrays: dict[str, Any] = {name: getattr(prediction, name) for name in _ARRAYS}
    for field in fields(prediction.trace):
        arrays[f"trace.{field.name}"] = getattr(prediction.trace, field.name)
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with beside(place) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)


def read(place: Path) -> "Prediction":
    """Read what ``write`` wrote; raises ValueError or KeyError for anything else."""
    from comask.predict import Prediction, PredictionTrace  # brings torch

    with np.load(place, allow_pickle=False) as stored:
        about = json.loads(stored["about"].tobytes())
        if about["schema"] != SCHEMA:
            raise ValueError(f"schema {about['schema']} is not {SCHEMA}")
        size = int(about["size"][0]), int(about["size"][1])
        trace = {f.name: stored[f"trace.{f.name}"] for f in fields(PredictionTrace)}
        return Prediction(
            size=size,
            **{name: stored[name] for name in _ARRAYS},
            masks=tuple(Rle(size, counts) for counts in about["masks"]),
            categories=tuple(Category(*values) for values in about["categories"]),
            trace=PredictionTrace(**trace),
        )
