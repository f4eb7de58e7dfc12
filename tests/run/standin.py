"""A detector that needs no model, and a process that runs it: ``python standin.py STORE FOLDER``.

It finds two boxes in every image whose places hang on the pixels. The process prints what it ran
over; told to, it kills itself with signal 9 at some image.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comask.annotation import coco, rle, store
from comask.annotation.records import Category, ImageRecord
from comask.predict import Candidates, Fate, Prediction, PredictionTrace
from comask.run import Run

CATEGORIES = (Category(1, "cell"), Category(90, "nucleus", "thing"))


class Boxes:
    """Find two boxes; the second one has a score between 0.05 and 0.5."""

    def __init__(self) -> None:
        self.seen = 0
        self.before = lambda _count: None

    def predict(self, image: NDArray[np.uint8], /, *, candidates: bool = False) -> Prediction:
        self.seen += 1
        self.before(self.seen)
        height, width = image.shape[:2]
        x, y = int(image[0, 0, 0]) % (width - 4), int(image[0, 0, 1]) % (height - 4)
        boxes = np.array([[x, y, x + 4, y + 3], [y % 5, x % 5, 9, 9]], np.float32)
        scores = np.array([0.9, 0.06 + image[0, 0, 2] / 1000], np.float32)
        ious = np.array([0.7, 0.1], np.float32)
        masks = [
            rle.encode_crop(np.ones((y2 - y1, x2 - x1), bool), x1, y1, (height, width))
            for x1, y1, x2, y2 in boxes.astype(int).tolist()
        ]
        return Prediction(
            size=(height, width),
            boxes=boxes,
            labels=np.array([1, 0]),
            class_scores=scores,
            mask_ious=ious,
            scores=scores + np.float32(0.3) * ious,
            masks=tuple(masks),
            categories=CATEGORIES,
            trace=_trace(boxes),
            candidates=_candidates(boxes, scores) if candidates else None,
        )


def _trace(boxes: NDArray[np.float32]) -> PredictionTrace:
    random = np.random.default_rng(int(boxes.sum()))
    return PredictionTrace(
        proposals=boxes + 1,
        proposal_rows=np.array([0, 2]),
        levels=np.array([[2, 3], [5, 5]]),
        first_masks=random.normal(size=(2, 28, 28)).astype(np.float32),
        votes=random.normal(size=(2, 7, 7, 4)).astype(np.float32),
        weights=random.random((2, 7, 7), np.float32),
        second_masks=random.normal(size=(2, 28, 28)).astype(np.float32),
    )


def _candidates(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> Candidates:
    return Candidates(
        proposals=np.concatenate([boxes[:1], boxes]) + 1,
        rows=np.array([0, 1, 2], np.int32),
        labels=np.array([1, 1, 0], np.int32),
        scores=scores[[0, 0, 1]],
        fates=np.array([Fate.KEPT, Fate.SUPPRESSED, Fate.KEPT], np.int8),
        by=np.array([0, 0, 1], np.int32),
        suppressor_iou=np.array([0, 1, 0], np.float32),
    )


def export(run: Run, files: list[tuple[Path, str]]) -> bytes:
    records = [ImageRecord(10 * row, name, 1, 1) for row, (_, name) in enumerate(files, start=1)]
    return coco.dump(run.export(records))


def _kill_at_commit(image: int) -> None:
    """Die after an image's rows were written and before they count."""
    plain = store.Store.put

    def put(self: Any, run: int, outcome: Any, payload: bytes = b"") -> None:
        if outcome.name != f"{image - 1}.png":
            return plain(self, run, outcome, payload)
        inside = self.database.in_transaction

        def transaction(work: Any) -> Any:
            return inside(lambda connection: (work(connection), _die()))

        self.database.in_transaction = transaction
        return plain(self, run, outcome, payload)

    store.Store.put = put  # type: ignore[method-assign]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(place: str, folder: str, how: str = "", image: str = "0") -> None:
    files = [(path, path.name) for path in sorted(Path(folder).iterdir())]
    detector = Boxes()
    if how == "predict":
        detector.before = lambda count: _die() if count == int(image) else None
    elif how == "commit":
        _kill_at_commit(int(image))
    elif how == "slow":
        detector.before = lambda _count: time.sleep(0.1)
    with store.Store.open(place) as opened:
        run = Run.open(opened, dataset="folder", checkpoint="boxes")
        print(len(list(run.work(detector, files))), detector.seen)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
