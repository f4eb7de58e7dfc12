"""A COCO folder whose predictions are planted: two checkpoints, every miss with a known reason."""

from pathlib import Path

import numpy as np

from app.services import CheckpointFile, Services
from comask.annotation import coco
from comask.annotation.records import Annotation, Dataset, ImageRecord
from comask.structures import Fate
from tests.app.standins import STAND_IN, encode, open_dataset, studio
from tests.evaluate.worlds import CATEGORIES, SIDE, World, moved

SQUARES = [(10.0, 10.0, 50.0, 50.0), (110.0, 10.0, 150.0, 50.0), (210.0, 10.0, 250.0, 50.0)]


def worlds(checkpoint: str) -> list[World]:
    """Plant three images; the second checkpoint finds one object more, one less, one better."""
    first, second, third = World(), World(), World()
    for box in SQUARES:
        first.add_truth(box)
    first.add_truth((310.0, 10.0, 350.0, 50.0), 90)
    a = checkpoint == "first"
    by = first.add_instance(SQUARES[0], 0.9)  # found by both
    first.add_candidate(moved(SQUARES[0], 0.2), 0.7, Fate.SUPPRESSED, by=by)
    if a:
        first.add_instance(moved(SQUARES[1], 0.1), 0.8)  # lost by the second
        first.add_candidate(SQUARES[2], 0.04, Fate.BELOW)
    else:
        first.add_candidate(moved(SQUARES[1], 0.6), 0.3, Fate.BELOW)
        first.add_instance(SQUARES[2], 0.75)  # gained by the second
    first.add_instance((310.0, 10.0, 350.0, 50.0), 0.6)  # a cell on a nucleus
    second.add_truth(SQUARES[0])
    second.add_truth((100.0, 100.0, 300.0, 300.0), crowd=True)
    second.add_instance(moved(SQUARES[0], 0.2 if a else 0.1), 0.7)  # better by the second
    second.add_instance((120.0, 120.0, 160.0, 160.0), 0.65)  # within the crowd
    second.add_instance((350.0, 350.0, 390.0, 390.0), 0.55 if a else 0.52)  # nothing there
    third.add_instance((10.0, 10.0, 50.0, 50.0), 0.3)
    return [first, second, third]


def plant(folder: Path) -> tuple[Services, str]:
    """Open the folder in a Studio that has run both checkpoints over it; returns its id too."""
    services = studio(folder, samples=0)
    (services.settings.assets / "checkpoints" / "second.safetensors").write_bytes(
        STAND_IN + b"second"
    )
    annotations: list[Annotation] = []
    for image, world in enumerate(worlds("first"), start=1):
        for one in world.truth:
            number = len(annotations) + 1
            annotations.append(coco.annotate(number, image, one.category_id, one.rle))
            if one.iscrowd:
                annotations[-1] = Annotation(**{**vars(annotations[-1]), "iscrowd": True})
    home = folder / "set"
    (home / "images").mkdir(parents=True, exist_ok=True)
    records = tuple(ImageRecord(number, f"{number}.png", SIDE, SIDE) for number in (1, 2, 3))
    for number, record in enumerate(records):
        picture = np.full((SIDE, SIDE, 3), number, np.uint8)
        (home / "images" / record.file_name).write_bytes(encode(picture))
    coco.write(home / "instances.json", Dataset(records, tuple(annotations), CATEGORIES))
    dataset = open_dataset(services, home / "images", home / "instances.json")
    for name in ("first", "second"):
        identity = services.checkpoints.identity(checkpoint(services, name))
        for row, world in enumerate(worlds(name)):
            services.predictions.put(identity, f"d{dataset}-{row}", world.prediction())
    return services, dataset


def checkpoint(services: Services, name: str) -> CheckpointFile:
    """Find a checkpoint file by its name."""
    file = services.checkpoints.find(f"{name}.safetensors") or services.checkpoints.find(name)
    assert file is not None
    return file
