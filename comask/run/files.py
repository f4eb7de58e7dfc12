"""A checkpoint over many image files, in order, each in three steps that overlap.

While the network runs over one image, the next ones are decoded and prepared beside it, and the
one before is drawn and kept by whoever takes the outcomes. The network takes up an image when the
one before it was taken, so no more than a few images are ever held. A file that can't be used does
not end a run: its outcome carries one sentence instead of instances.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from tqdm import tqdm

from comask.annotation import coco, rle
from comask.annotation.records import Annotation
from comask.data import images
from comask.data.images import LoadedImage
from comask.errors import ComaskError, ImageError
from comask.predict import Prediction

_AHEAD = 2  # images that are decoded before the model asks for them


class Detector(Protocol):
    """What finds instances: a ``Predictor``, or a test's stand-in."""

    def predict(self, image: Any, /, *, candidates: bool = False) -> Prediction:
        """Find the instances of an upright RGB image: (H, W, 3) uint8 -> Prediction."""


@runtime_checkable
class InSteps(Detector, Protocol):
    """A detector whose ``predict`` is three steps; only ``find`` waits for the network."""

    def prepare(self, image: Any, /) -> Any:
        """Make what the network sees; in any thread."""

    def find(self, prepared: Any, /, *, candidates: bool = False) -> Any:
        """Run the network; one image at a time, in order."""

    def draw(self, found: Any, prepared: Any, /) -> Prediction:
        """Make a prediction of what it put out; in any thread."""


@dataclass(frozen=True)
class Outcome:
    """What became of one image file; ``failure`` is empty where there is a prediction."""

    name: str
    image: LoadedImage | None
    prediction: Prediction | None
    failure: str = ""


def predict_files(
    detector: Detector, files: Sequence[tuple[Path, str]], *, progress: bool = True
) -> Iterator[Outcome]:
    """Run over image files, (path, name) each, in their order; progress goes to stderr."""
    bar = tqdm(total=len(files), unit="image", disable=not progress)
    with bar, closing(seen(detector, files)) as found:
        for name, waiting in found:
            yield look(detector, name, waiting)
            bar.update()


def to_annotations(
    prediction: Prediction, image_id: int, first_id: int, min_score: float | None = None
) -> list[Annotation]:
    """Write a prediction as annotations of a COCO dataset, best first; empty masks are none.

    With ``min_score``, instances whose class score is not above it are left out: that is what
    the model finds when it runs at this threshold.
    """
    above = [True] * len(prediction)
    if min_score is not None:  # scores are float32, and so is this comparison, as the model's own
        above = (prediction.class_scores > min_score).tolist()
    rows = [row for row, mask in enumerate(prediction.masks) if above[row] and rle.area(mask)]
    return [
        coco.annotate(
            first_id + place,
            image_id,
            prediction.categories[prediction.labels[row]].id,
            prediction.masks[row],
            score=prediction.scores[row],
            class_score=prediction.class_scores[row],
            mask_iou=prediction.mask_ious[row],
        )
        for place, row in enumerate(rows)
    ]


def to_results(prediction: Prediction, image_id: int) -> list[dict[str, Any]]:
    """Write a prediction as COCO results: predicted boxes, clipped, and the ranking score."""
    ids = [prediction.categories[label].id for label in prediction.labels]
    scores = prediction.scores.tolist()
    return coco.results(image_id, ids, prediction.boxes, prediction.masks, scores)


@dataclass(frozen=True)
class Looked:
    """An image, what the network saw of it, and what it put out; None until it did."""

    image: LoadedImage
    prepared: Any
    found: Any = None


def seen(
    detector: Detector, files: Iterable[tuple[Path, str]], *, candidates: bool = False
) -> Generator[tuple[str, Future[Looked]], None, None]:
    """Run the network over image files, (path, name) each, in their order; ``look`` ends it.

    It is at the next image while whoever takes one is busy with it. Left early, it ends the image
    that it is at, and that is dropped.
    """
    network = detector.find if isinstance(detector, InSteps) else detector.predict

    def find(waiting: Future[Looked]) -> Looked:
        ready = waiting.result()
        return replace(ready, found=network(ready.prepared, candidates=candidates))

    model = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
    current: tuple[str, Future[Looked]] | None = None
    try:
        with closing(_prepared(detector, files)) as prepared:
            for name, waiting in prepared:
                before = current
                if before is not None:
                    wait([before[1]])
                current = name, model.submit(find, waiting)
                if before is not None:
                    yield before
            if current is not None:
                yield current
    finally:
        model.shutdown(cancel_futures=True)


def look(detector: Detector, name: str, waiting: Future[Looked]) -> Outcome:
    """Draw what the network found in one image, or say why there is nothing."""
    try:
        seen = waiting.result()
        found: Prediction = seen.found
        if isinstance(detector, InSteps):
            found = detector.draw(seen.found, seen.prepared)
        return Outcome(name, seen.image, found)
    except ImageError as error:  # it says which file
        return Outcome(name, None, None, str(error))
    except ComaskError as error:
        return Outcome(name, None, None, f"{name}: {error}")
    except (MemoryError, torch.OutOfMemoryError):
        return Outcome(name, None, None, f"{name} needs more memory than there is")


def _prepared(
    detector: Detector, files: Iterable[tuple[Path, str]]
) -> Generator[tuple[str, Future[Looked]], None, None]:
    """Decode image files and prepare them, a few ahead of whoever takes them."""
    prepare = detector.prepare if isinstance(detector, InSteps) else None

    def make(path: Path) -> Looked:
        image = images.load(path)
        return Looked(image, image.pixels if prepare is None else prepare(image.pixels))

    pool = ThreadPoolExecutor(max_workers=_AHEAD, thread_name_prefix="decode")
    waiting: deque[tuple[str, Future[Looked]]] = deque()
    try:
        for path, name in files:
            waiting.append((name, pool.submit(make, path)))
            if len(waiting) > _AHEAD:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    except BaseException:  # left early, nobody takes the rest
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()  # those handed out last may not even have begun
