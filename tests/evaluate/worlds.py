"""Planted predictions with candidates: every object is missed for a reason that is known."""

from dataclasses import dataclass, field

import numpy as np

from comask.annotation import rle
from comask.annotation.records import Annotation, Category, Rle
from comask.evaluate import matching, metrics
from comask.evaluate.metrics import Judgement
from comask.predict import Candidates, Prediction, PredictionTrace
from comask.structures import Fate

SIDE = 400  # pixels of a planted image
CATEGORIES = (Category(1, "cell"), Category(90, "nucleus"))
IDS = {1: 1, 90: 90}
LABELS = {1: 0, 90: 1}
Corners = tuple[float, float, float, float]


@dataclass
class World:
    """An image under construction; boxes are x1, y1, x2, y2 in whole pixels."""

    truth: list[Annotation] = field(default_factory=list)
    proposals: list[Corners] = field(default_factory=list)
    candidates: list[list[float]] = field(default_factory=list)  # row, label, score, fate, by, iou
    instances: list[tuple[Corners, Rle, int, float, int]] = field(default_factory=list)

    def add_truth(self, box: Corners, category: int = 1, *, crowd: bool = False) -> int:
        mask = draw(box)
        number = 100 + len(self.truth)
        one = Annotation(number, 1, category, mask, rle.area(mask), rle.bbox(mask), crowd)
        self.truth.append(one)
        return len(self.truth) - 1

    def add_candidate(
        self, box: Corners, score: float, fate: Fate, *, category: int = 1, by: int = -1
    ) -> int:
        self.proposals.append(box)
        overlap = iou(box, self.proposals[int(self.candidates[by][0])]) if by >= 0 else 0.0
        row = len(self.proposals) - 1
        self.candidates.append([row, LABELS[category], score, fate, by, overlap])
        return len(self.candidates) - 1

    def add_instance(
        self,
        box: Corners,
        score: float,
        *,
        category: int = 1,
        proposal: Corners | None = None,
        mask: Rle | None = None,
    ) -> int:
        """Plant an instance and its candidate; returns the candidate."""
        candidate = self.add_candidate(proposal or box, score, Fate.KEPT, category=category)
        shape = draw(box) if mask is None else mask
        self.instances.append((box, shape, LABELS[category], score, candidate))
        return candidate

    def prediction(self) -> Prediction:
        """Rank the instances, and number everything accordingly."""
        ranked = sorted(self.instances, key=lambda one: -one[3])
        rows = np.array([one[4] for one in ranked], np.int64).reshape(-1)
        table = np.array(self.candidates, np.float64).reshape(-1, 6)
        table[rows, 4] = np.arange(len(rows))
        count = len(ranked)
        trace = PredictionTrace(
            proposals=np.array([self.proposals[row] for row in table[rows, 0].astype(int)])
            .reshape(-1, 4)
            .astype(np.float32),
            proposal_rows=table[rows, 0].astype(np.int64),
            levels=np.full((count, 2), 2),
            first_masks=np.zeros((count, 28, 28), np.float32),
            votes=np.zeros((count, 7, 7, 4), np.float32),
            weights=np.zeros((count, 7, 7), np.float32),
            second_masks=np.zeros((count, 28, 28), np.float32),
        )
        return Prediction(
            size=(SIDE, SIDE),
            boxes=np.array([one[0] for one in ranked], np.float32).reshape(-1, 4),
            labels=np.array([one[2] for one in ranked], np.int64),
            class_scores=np.array([one[3] for one in ranked], np.float32),
            mask_ious=np.zeros(count, np.float32),
            scores=np.array([one[3] for one in ranked], np.float32),
            masks=tuple(one[1] for one in ranked),
            categories=CATEGORIES,
            trace=trace,
            candidates=Candidates(
                proposals=np.array(self.proposals, np.float32).reshape(-1, 4),
                rows=table[:, 0].astype(np.int32),
                labels=table[:, 1].astype(np.int32),
                scores=table[:, 2].astype(np.float32),
                fates=table[:, 3].astype(np.int8),
                by=table[:, 4].astype(np.int32),
                suppressor_iou=table[:, 5].astype(np.float32),
            ),
        )

    def judge(
        self, prediction: Prediction, *, limit: int | None = 100, iou: float = 0.5
    ) -> Judgement:
        pairs = matching.join([matching.pair_prediction(self.truth, prediction, IDS)])
        return metrics.judge(pairs, iou=iou, min_score=0.5, limit=limit)


def draw(box: Corners) -> Rle:
    x1, y1, x2, y2 = (round(value) for value in box)
    return rle.encode_crop(np.ones((y2 - y1, x2 - x1), bool), x1, y1, (SIDE, SIDE))


def iou(left: Corners, right: Corners) -> float:
    width = min(left[2], right[2]) - max(left[0], right[0])
    height = min(left[3], right[3]) - max(left[1], right[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (left, right)]
    return shared / (sum(areas) - shared)


def moved(box: Corners, right: float, down: float = 0.0) -> Corners:
    """Move a box by parts of its own width and height, to whole pixels."""
    dx, dy = round(right * (box[2] - box[0])), round(down * (box[3] - box[1]))
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy
