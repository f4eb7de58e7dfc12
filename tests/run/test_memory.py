"""From the head to the store a mask is a crop with its place: no room for N whole masks anywhere.

Every mask here is as large as its image, so that whatever keeps N crops would be seen as well.
"""

import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from comask.annotation import coco
from comask.annotation.label_store import LabelStore
from comask.annotation.labels import Sheet
from comask.annotation.records import Category, ImageRecord
from comask.annotation.store import Store
from comask.config import DetectionConfig
from comask.evaluate import coco_ap, matching, overlay
from comask.predict import Prediction, to_prediction
from comask.run import (
    Batch,
    Model,
    Rules,
    Run,
    ToLabel,
    label_image,
    pack,
    to_annotations,
    to_results,
    unpack,
)
from comask.structures import Detections, Trace

SIZE = (1000, 1300)
CANVAS = SIZE[0] * SIZE[1]  # bytes of one whole mask
FEW, MANY = 2, 17
SCALE = 0.5

Stage = Callable[[Prediction, Path], object]


def detections(count: int) -> Detections:
    """Find things that fill the image but for a few pixels, each with another outline."""
    random = torch.Generator().manual_seed(count)
    inset = torch.arange(count)[:, None] * torch.tensor([0.1, 0.1, -0.1, -0.1])
    boxes = torch.tensor([0.0, 0.0, SIZE[1] * SCALE, SIZE[0] * SCALE]) + inset
    masks = 4 + torch.randn(count, 28, 28, generator=random)
    trace = Trace(
        proposals=boxes,
        proposal_rows=torch.arange(count),
        levels=torch.full((count, 2), 5),
        first_masks=masks,
        votes=boxes[:, None, None].expand(count, 7, 7, 4),
        weights=torch.ones(count, 7, 7),
    )
    scores = torch.linspace(0.9, 0.1, count)
    return Detections(
        boxes, torch.zeros(count, dtype=torch.int64), scores, scores, masks, boxes, trace
    )


def predicted(found: Detections) -> Prediction:
    return to_prediction(found, SCALE, SIZE, (Category(1, "cell"),), DetectionConfig())


def keep(prediction: Prediction, folder: Path) -> None:
    """Put it into a new store, with its labels, and export it."""
    with Store.open(folder / f"{len(prediction)}.sqlite") as store:
        run = Run.open(store, dataset="d", checkpoint="c")
        run.put("a.png", prediction)
        labels = LabelStore(store)
        image = ToLabel(folder / "a.png", "a.png", Sheet)
        rules = Rules(mapping={"cell": 1}, overlap=1.0)
        how = Model.of(run.row), rules
        made = label_image(labels, Batch("d", "k", "ann"), image, prediction, how)
        assert made.there + made.hidden == len(prediction)
        dataset = run.export([ImageRecord(1, "a.png", 1, 1)])
        assert len(dataset.annotations) == len(prediction)
        coco.write(folder / "found.json", dataset)
        assert coco.read(folder / "found.json") == dataset


def judge(engine: coco_ap.Wanted, prediction: Prediction, _folder: Path) -> None:
    annotations = tuple(to_annotations(prediction, 1, 1))
    image = ImageRecord(1, "a.png", SIZE[1], SIZE[0])
    truth = coco.Dataset((image,), annotations, (Category(1, "cell"),))
    coco_ap.judge(truth, to_results(prediction, 1), engine=engine)
    matching.pair_prediction(annotations, prediction, {1: 1})


STAGES: dict[str, Stage] = {
    "pack": lambda prediction, _: unpack(pack(prediction)),
    "keep": keep,
    "draw": lambda prediction, _: overlay.draw(np.zeros((*SIZE, 3), np.uint8), prediction),
    "pycocotools": partial(judge, "pycocotools"),
    "hotcoco": partial(judge, "hotcoco"),
}


def peak(work: Callable[[], object]) -> int:
    """Tell how many bytes were asked for at once."""
    work()  # whatever is made once and kept
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def assert_small(few: int, many: int) -> None:
    """An instance more takes less than a quarter of a canvas; its own trace is 10 kB."""
    assert (many - few) / (MANY - FEW) < CANVAS / 4


def test_masks_are_pasted_and_compressed_one_by_one() -> None:
    few, many = (detections(count) for count in (FEW, MANY))
    assert all(mask.counts.count("0") < 1e5 for mask in predicted(many).masks)
    assert_small(peak(lambda: predicted(few)), peak(lambda: predicted(many)))


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_makes_room_for_every_mask(stage: str, tmp_path: Path) -> None:
    few, many = (predicted(detections(count)) for count in (FEW, MANY))
    work = STAGES[stage]
    sizes = []
    for prediction in (few, many):
        (tmp_path / str(len(prediction))).mkdir()
        sizes.append(peak(lambda one=prediction: work(one, tmp_path / str(len(one)))))  # type: ignore[misc]
    assert_small(*sizes)


def test_the_measure_sees_a_canvas() -> None:
    def whole(count: int) -> object:
        return np.ones((count, *SIZE), np.uint8)

    with pytest.raises(AssertionError):
        assert_small(peak(lambda: whole(FEW)), peak(lambda: whole(MANY)))
