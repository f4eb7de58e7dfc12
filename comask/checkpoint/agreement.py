"""Whether a checkpoint finds as well in bfloat16 as in float32: measured once, kept beside it.

The record is a small JSON file, ``NAME.agreement.json`` beside ``NAME.safetensors``. It names the
checkpoint by its content, so that one that was trained on is to be judged anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from comask.annotation import files
from comask.config import from_dict, to_dict
from comask.errors import AnnotationError, CheckpointError, ConfigError

SCHEMA = 1
LIMIT = 0.003  # of AP, for masks and for boxes
IMAGES = 20  # fewer prove nothing


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The AP that was reached in one precision."""

    segm: float
    bbox: float

    @classmethod
    def of(cls, numbers: Mapping[str, Mapping[str, float]]) -> "Precision":
        """Take the AP out of the twelve numbers of masks and boxes."""
        return cls(segm=numbers["segm"]["AP"], bbox=numbers["bbox"]["AP"])


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What a checkpoint reached in both precisions on one dataset.

    checkpoint   SHA-256 of its file
    data         name of the COCO file
    images       how many it holds
    float32      AP of masks and boxes, "segm" and "bbox"
    bfloat16     likewise
    """

    schema: int = SCHEMA
    checkpoint: str
    data: str
    images: int
    float32: Precision
    bfloat16: Precision

    @property
    def difference(self) -> float:
        """Tell the larger of the two differences in AP, as a number above 0."""
        pairs = ((self.float32.segm, self.bfloat16.segm), (self.float32.bbox, self.bfloat16.bbox))
        return max(abs(whole - half) for whole, half in pairs)

    @property
    def holds(self) -> bool:
        """Say whether bfloat16 may be used."""
        return self.images >= IMAGES and self.difference <= LIMIT


def place(checkpoint: Path) -> Path:
    """Tell where the record of a checkpoint is."""
    return checkpoint.with_suffix(".agreement.json")


def write(checkpoint: Path, agreement: Agreement) -> Path:
    """Keep a record beside its checkpoint; returns where."""
    path = place(checkpoint)
    files.replace_file(path, files.dump_json(to_dict(agreement)))
    return path


def read(checkpoint: Path) -> Agreement | None:
    """Read the record of a checkpoint, None where there is none of this very file."""
    path = place(checkpoint)
    if not path.exists():
        return None
    try:
        content, flaw = files.parse_json(files.load(path), path.name)
        agreement = from_dict(Agreement, content, at="agreement")
    except (AnnotationError, ConfigError) as error:
        raise CheckpointError(f"{path} is no record of an agreement: {error}") from error
    if flaw or agreement.schema != SCHEMA:
        raise CheckpointError(f"{path} is no record of an agreement that this version reads")
    return agreement if agreement.checkpoint == files.digest(checkpoint) else None


def demand(checkpoint: Path) -> None:
    """Refuse bfloat16 for a checkpoint that was not judged, or lost too much."""
    agreement = read(checkpoint)
    if agreement is None:
        raise CheckpointError(
            f"{checkpoint.name} was never judged in bfloat16; `comask agree` measures it on your "
            "images and keeps the answer beside it"
        )
    if not agreement.holds:
        raise CheckpointError(
            f"{checkpoint.name} is not run in bfloat16: its AP differs by "
            f"{agreement.difference:.4f} on {agreement.images} images, at most {LIMIT} on at least "
            f"{IMAGES} are allowed"
        )
