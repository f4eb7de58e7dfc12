"""What runs found against what is true, image by image, ready for any question about it.

Overlaps are computed from the masks once and kept in the store; a set of them is joined in memory
and asked again and again while sliders move. No model is called here.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from app.services.recent import Recent
from comask.annotation.index import DatasetIndex
from comask.annotation.records import Category
from comask.annotation.store import OutcomeRow, Store
from comask.errors import InputError
from comask.evaluate import matching, metrics
from comask.evaluate.categories import match_categories
from comask.evaluate.matching import Kind, Pairs, PairSet
from comask.evaluate.metrics import Judgement

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.predict import Prediction

SETS = 6  # joined ones that are held ready
ANSWERS = 24  # to questions about them
KEPT_AT_ONCE = 64  # images whose overlaps are written in one transaction
FRESH = 0.5  # seconds for which nobody asks the store what is new,
PATIENCE, LONGEST = 20.0, 60.0  # or so many times the seconds that asking took, up to these

FindRun = Callable[[str, str], int | None]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Question:
    """How the sliders stand."""

    score: float
    iou: float
    kind: Kind


@dataclass(frozen=True)
class JudgedSet:
    """The images of a dataset that one run has seen, row by row in the dataset's order.

    token  differs where anything else does
    rows   in the dataset
    names  file names
    pairs  image i is row rows[i]
    """

    token: str
    dataset: str
    rows: tuple[int, ...]
    names: tuple[str, ...]
    categories: tuple[Category, ...]
    pairs: PairSet

    @property
    def complaint(self) -> str:
        """Say why nothing of this can be right or wrong; "" where something can."""
        if not self.categories:
            return "The dataset has no annotations, so nothing can be judged"
        known = self.pairs.found_categories != matching.UNKNOWN
        if known.size and not known.any():
            some = ", ".join(one.name for one in self.categories[:3])
            more = f" and {len(self.categories) - 3} more" if len(self.categories) > 3 else ""
            return (
                "The checkpoint finds no class that the annotation file has, so nothing can be "
                f"judged; the file has {some}{more}"
            )
        return ""

    def key(self, image: int) -> str:
        """Name an image as the page knows it."""
        return f"d{self.dataset}-{self.rows[image]}"

    def part(self, rows: Sequence[int]) -> "JudgedSet":
        """Take some rows only."""
        wanted = set(rows)
        images = [image for image, row in enumerate(self.rows) if row in wanted]
        if len(images) == len(self.rows):
            return self
        kept = [matching.cut(self.pairs, image) for image in images]
        return replace(
            self,
            token=f"{self.token}/{hash(tuple(images))}",
            rows=tuple(self.rows[image] for image in images),
            names=tuple(self.names[image] for image in images),
            pairs=matching.join(kept, [int(self.pairs.image_ids[image]) for image in images]),
        )


class PairShelf:
    """Find the judged set of a run; several threads may ask at once."""

    def __init__(self, store: Store, find_run: FindRun) -> None:
        """Take a store, and what finds a run by checkpoint identity and dataset fingerprint."""
        self._store, self._find_run = store, find_run
        self._sets: Recent[tuple[str, int], JudgedSet] = Recent(SETS)
        self._answers: Recent[tuple[object, ...], object] = Recent(ANSWERS)
        self._asked: dict[tuple[str, int], tuple[float, int]] = {}  # until when nobody asks again
        self._turn = 0  # what was asked in an earlier one is not fresh
        self._lock = threading.Lock()

    def renew(self) -> None:
        """Ask the store again the next time, however fresh the sets are: a run has ended."""
        self._turn += 1

    def get(self, dataset: str, found: DatasetIndex, identity: str) -> JudgedSet:
        """Find what a checkpoint's run over a dataset has so far; without truth nothing is right.

        Overlaps that nobody has computed yet are computed now. While a run goes on, a set may be
        some seconds old; ``renew`` ends that.
        """
        run = self._find_run(identity, found.fingerprint)
        if run is None:
            return _nothing(dataset, found)
        key = (dataset, run)
        with self._lock:
            known = self._sets.get(key)
            start, turn = time.monotonic(), self._turn
            same_truth = known is not None and f"/{found.content[:16]}/" in known.token
            until, asked_in = self._asked.get(key, (0.0, turn))
            if known is not None and same_truth and start < until and asked_in == turn:
                return known
            outcomes = self._store.outcomes(run)
            done = {name: one for name, one in outcomes.items() if one.state == "done"}
            token = _token(dataset, run, found, done)
            took = time.monotonic() - start
            if known is None or known.token != token:
                known = self._join(token, dataset, found, run, done)
                self._sets.put(key, known)
            fresh = min(max(FRESH, PATIENCE * took), LONGEST)
            self._asked[key] = time.monotonic() + fresh, turn
            return known

    def prepare(
        self, found: DatasetIndex, identity: str, row: int, prediction: "Prediction"
    ) -> None:
        """Compute the overlaps of an image that was run over just now, so that nobody waits."""
        run = self._find_run(identity, found.fingerprint)
        if run is not None:
            record = found.image(row)
            made = matching.pack(_pair(found, row, prediction))
            self._store.put_pairs(run, record.file_name, _truth_token(found, record.id), made)

    def judge(self, kept: JudgedSet, asked: Question) -> Judgement:
        """Match a set, or give back the match that was asked for a moment ago."""
        return self.remember(
            ("judge", kept.token, asked),
            lambda: metrics.judge(
                kept.pairs, iou=asked.iou, min_score=asked.score, kind=asked.kind
            ),
        )

    def remember(self, key: tuple[object, ...], work: Callable[[], Value]) -> Value:
        """Do some work, or give back what came of it a moment ago; keys hold a set's token."""
        known = self._answers.get(key)
        if known is None:
            known = work()
            self._answers.put(key, known)
        return known  # type: ignore[return-value]

    def _join(
        self,
        token: str,
        dataset: str,
        found: DatasetIndex,
        run: int,
        done: Mapping[str, OutcomeRow],
    ) -> JudgedSet:
        rows = found.rows_named(done) if done else []
        records = found.images(rows)
        truths = {one.file_name: _truth_token(found, one.id) for one in records}
        packed = self._store.pairs(run, truths)
        names = [one.file_name for one in records]
        known: dict[int, Pairs] = {}
        for row, record in zip(rows, records, strict=True):
            if truths[record.file_name] == _truth_token(found, record.id):
                data = packed.get(record.file_name)
                if data is not None:
                    known[row] = matching.unpack(data)
        missing = [(row, one.file_name, one.id) for row, one in zip(rows, records, strict=True)]
        missing = [one for one in missing if one[0] not in known]
        known |= self._compute(found, run, missing)
        kept = [place for place, row in enumerate(rows) if row in known]
        return JudgedSet(
            token=token,
            dataset=dataset,
            rows=tuple(rows[place] for place in kept),
            names=tuple(names[place] for place in kept),
            categories=found.categories,
            pairs=matching.join(
                [known[rows[place]] for place in kept], [records[place].id for place in kept]
            ),
        )

    def _compute(
        self, found: DatasetIndex, run: int, missing: Sequence[tuple[int, str, int]]
    ) -> dict[int, Pairs]:
        if not missing:
            return {}
        from comask.run import unpack  # brings torch

        computed: dict[int, Pairs] = {}
        by_name: dict[str, list[tuple[int, int]]] = {}
        for row, name, number in missing:
            by_name.setdefault(name, []).append((row, number))
        kept: dict[str, tuple[str, bytes]] = {}
        for name, payload in self._store.payloads(run, list(by_name)):
            prediction = unpack(payload)
            for row, number in by_name[name]:
                computed[row] = _pair(found, row, prediction)
                kept[name] = _truth_token(found, number), matching.pack(computed[row])
            if len(kept) >= KEPT_AT_ONCE:
                self._store.put_many_pairs(run, kept)
                kept = {}
        if kept:
            self._store.put_many_pairs(run, kept)
        return computed


def _pair(found: DatasetIndex, row: int, prediction: "Prediction") -> Pairs:
    ids = _shared_categories(prediction.categories, found.categories)
    return matching.pair_prediction(found.annotations(row), prediction, ids)


def _shared_categories(own: Sequence[Category], truth: Sequence[Category]) -> dict[int, int]:
    try:
        return match_categories(own, truth)
    except InputError:  # the set has a complaint then
        return {}


def _nothing(dataset: str, found: DatasetIndex) -> JudgedSet:
    return JudgedSet(f"{dataset}/-", dataset, (), (), found.categories, matching.join([]))


def _token(dataset: str, run: int, found: DatasetIndex, done: Mapping[str, OutcomeRow]) -> str:
    seen = hash(frozenset((name, one.stamp, one.instances) for name, one in done.items()))
    return f"{dataset}/{run}/{found.content[:16]}/{len(done)}/{seen}"


def _truth_token(found: DatasetIndex, image_id: int) -> str:
    """Name what an image's overlaps were computed with: this format, this COCO file, this image."""
    return f"{matching.FORMAT}-{found.content[:24]}-{image_id}"
