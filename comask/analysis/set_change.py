"""What switching something off does to a set: COCO's numbers before and after, instances in sum."""

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from comask.analysis.ablation import Pixels, ablate, base_run
from comask.analysis.difference import KINDS, Kind, difference
from comask.analysis.switches import Switches
from comask.annotation.records import Dataset
from comask.errors import InputError
from comask.evaluate import coco_ap
from comask.evaluate.categories import match_categories
from comask.evaluate.coco_ap import COCO_LIMITS
from comask.predict import Prediction, Predictor
from comask.run import to_results

Progress = Callable[[int, int], None]
Numbers = Mapping[str, float]
Results = list[dict[str, Any]]

UNMEASURED = -1.0  # COCO's own word for a size that no true object has


@dataclass(frozen=True)
class SetChange:
    """What some switches do to a set.

    switches  settled: as the model tells them apart
    images    how many were run over
    before    COCO's twelve numbers of the masks as the checkpoint has it; -1 where there is no
              truth to measure with
    after     the same with something switched off
    counts    instances of all images that were lost, gained, moved and kept
    """

    switches: Switches
    images: int
    before: Numbers
    after: Numbers
    counts: Mapping[Kind, int]

    @property
    def change(self) -> dict[str, float]:
        """Subtract before from after; what is not measured is left out."""
        return {
            name: after - self.before[name]
            for name, after in self.after.items()
            if UNMEASURED not in (after, self.before[name])
        }


def set_change(
    predictor: Predictor,
    images: Iterable[tuple[int, Pixels]],
    truth: Dataset,
    switches: Switches,
    *,
    progress: Progress | None = None,
    max_detections: Sequence[int] = COCO_LIMITS,
    min_score: float = 0.0,
) -> SetChange:
    """Run over images with and without switches, and judge both; see ``set_changes``."""
    return set_changes(
        predictor,
        images,
        truth,
        [switches],
        progress=progress,
        max_detections=max_detections,
        min_score=min_score,
    )[0]


def set_changes(
    predictor: Predictor,
    images: Iterable[tuple[int, Pixels]],
    truth: Dataset,
    switches: Sequence[Switches],
    *,
    progress: Progress | None = None,
    max_detections: Sequence[int] = COCO_LIMITS,
    min_score: float = 0.0,
) -> tuple[SetChange, ...]:
    """Run over images once for several ways of switching, each of which gets its own answer.

    Only the images given are judged. Categories go by their names, as in an evaluation. Raises
    InputError for none, for one that the truth does not have, has in another size or was given
    before, and for switches that the model does not have.

    Args:
        predictor: a loaded checkpoint; all that it finds is judged.
        images: (image id of the truth, (H, W, 3) uint8) each; they are taken one after the other.
        truth: a COCO file's content.
        switches: none is an answer too, and a quick one.
        progress: is told (done, total) before the first image and after each, and may raise to
            stop; total is 0 where ``images`` has no length.
        max_detections: COCO's limits of instances an image.
        min_score: instances whose class score is not above it are not counted as lost, gained,
            moved or kept; the numbers are of all.
    """
    settled = [one.settled(predictor.info.config) for one in switches]
    tally = _Tally(truth, match_categories(predictor.info.categories, truth.categories), settled)
    total = operator.length_hint(images)
    told = progress or (lambda done, total: None)
    told(0, total)
    for number, pixels in images:
        tally.check(number, pixels)
        base = base_run(predictor, pixels)
        others = [ablate(predictor, pixels, one, base=base).prediction for one in settled]
        tally.add(number, base.prediction, others, min_score)
        told(len(tally.seen), total)
    return tally.judged(max_detections)


class _Tally:
    """What was found so far: before, and after each of several ways of switching."""

    def __init__(
        self, truth: Dataset, ids: Mapping[int, int], switches: Sequence[Switches]
    ) -> None:
        self.seen: set[int] = set()
        self._truth, self._ids, self._switches = truth, ids, switches
        self._records = {record.id: record for record in truth.images}
        self._found: list[Results] = [[] for _ in range(1 + len(switches))]
        self._counts = [Counter[Kind](dict.fromkeys(KINDS, 0)) for _ in switches]

    def check(self, number: int, pixels: Pixels) -> None:
        """Refuse an image that the truth does not have so, or that was added before."""
        record = self._records.get(number)
        if record is None or number in self.seen:
            raise InputError(f"image {number!r:.40} is not in the truth, or was given before")
        if pixels.shape[:2] != (record.height, record.width):
            raise InputError(
                f"{record.file_name} is {pixels.shape[1]} x {pixels.shape[0]} pixels, and the "
                f"annotation file says {record.width} x {record.height}"
            )

    def add(
        self, number: int, before: Prediction, others: Sequence[Prediction], min_score: float
    ) -> None:
        """Take in one image."""
        for results, one in zip(self._found, (before, *others), strict=True):
            results += _results(one, number, self._ids)
        for count, after in zip(self._counts, others, strict=True):
            count.update(difference(before, after, min_score=min_score).count())
        self.seen.add(number)

    def judged(self, limits: Sequence[int]) -> tuple[SetChange, ...]:
        """Measure what was taken in against the truth of those images."""
        if not self.seen:
            raise InputError("no images were given, so there is nothing to measure")
        truth = replace(
            self._truth,
            images=tuple(one for one in self._truth.images if one.id in self.seen),
            annotations=tuple(one for one in self._truth.annotations if one.image_id in self.seen),
        )
        before, *others = (
            coco_ap.judge(truth, results, max_detections=limits)["segm"].numbers
            for results in self._found
        )
        return tuple(
            SetChange(one, len(self.seen), before, after, dict(count))
            for one, after, count in zip(self._switches, others, self._counts, strict=True)
        )


def _results(prediction: Prediction, number: int, ids: Mapping[int, int]) -> Results:
    """Write a prediction under the truth's own categories, those that it has."""
    return [
        result | {"category_id": ids[result["category_id"]]}
        for result in to_results(prediction, number)
        if result["category_id"] in ids
    ]
