"""Open datasets and say what is in them, as plain values for the page."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.services import Services
from app.services.datasets import DatasetState
from comask.annotation.indexing import Progress
from comask.annotation.layout import Layout
from comask.errors import InputError

LONGEST_PATH = 4_096  # characters
SHOWN_FAULTS = 20


def opened(services: Services, folder: object, annotations: object = None) -> DatasetState:
    """Open a folder that was typed in; raises InputError with one sentence."""
    place = _place(folder, "folder")
    if not place.is_absolute():
        raise InputError("Write the whole path of the folder, from the root on or from ~.")
    file = None if annotations in (None, "") else _place(annotations, "annotations")
    return services.datasets.open(place, file)


def fetched(services: Services) -> DatasetState:
    """Open the photographs of COCO val2017, after fetching them where they are not there yet."""
    folder = services.settings.workspace / "samples" / "coco-val2017"

    def fetch(progress: Progress) -> None:
        from comask.data import coco_samples  # brings torch

        coco_samples.fetch(folder, progress)

    file, images = folder / "annotations/instances_val2017.json", folder / "val2017"
    found = Layout(file, images, "")
    word = "Fetching photographs of COCO val2017"
    return services.datasets.prepare("COCO val2017 samples", found, fetch, word)


def described(services: Services, dataset: str) -> dict[str, Any] | None:
    """Tell all of a dataset that is not told by its images; None for an unknown one."""
    state = services.datasets.state(dataset)
    if state is None:
        return None
    found = services.datasets.get(dataset)
    content: dict[str, Any] = asdict(state)
    if found is None:
        return content
    counts = found.truth_counts
    file = found.annotations_file
    return content | {
        "folder": str(found.folder),
        "annotations_file": None if file is None else str(file),
        "images": len(found),
        "annotations": found.annotation_count,
        "truth": found.has_truth,
        "missing": len(found.missing),
        "categories": [
            {"id": one.id, "name": one.name, "truth": counts[one.id]} for one in found.categories
        ],
        "left_out": found.fault_count,
        "faults": [fault.sentence for fault in found.faults[:SHOWN_FAULTS]],
    }


def recent(services: Services) -> dict[str, Any]:
    """List what was opened before, the latest first, and where the samples are."""
    samples = services.settings.assets / "samples"
    return {
        "recent": [
            {
                "id": one.id,
                "name": one.name,
                "folder": one.folder,
                "annotations": one.annotations_file,
                "images": one.images,
                "objects": one.annotations,
                "opened": one.opened,
            }
            for one in services.datasets.recent()
        ],
        "samples": str(samples) if (samples / "instances.json").is_file() else None,
    }


def _place(text: object, name: str) -> Path:
    if not isinstance(text, str) or not 0 < len(text.strip()) <= LONGEST_PATH or "\0" in text:
        raise InputError(f"{name} must be a path of at most {LONGEST_PATH:,} characters.")
    try:
        text.encode()
        return Path(text.strip().strip("\"'").removeprefix("file://")).expanduser()
    except (RuntimeError, UnicodeEncodeError) as error:
        raise InputError(f"{name} is no path on this machine.") from error
