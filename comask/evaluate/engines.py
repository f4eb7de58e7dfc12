"""Who works out COCO's tables: pycocotools, the reference, or hotcoco, which is many times faster.

Both are given the same records and give the same tables, to the last bit; tests hold them to it.
hotcoco is an extra (``comask[fast-eval]``): "auto" takes it where it is installed.
"""

import contextlib
import importlib.util
import io
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from comask.errors import InputError

Engine = Literal["pycocotools", "hotcoco"]
Wanted = Literal["auto", "pycocotools", "hotcoco"]
Kind = Literal["segm", "bbox"]
Limits = tuple[int, int, int]  # how many instances an image may count, rising
Content = Mapping[str, Any]  # of a COCO file: images, categories, annotations

ENGINES: tuple[Wanted, ...] = ("auto", "pycocotools", "hotcoco")


class Tables(NamedTuple):
    """What pycocotools accumulates; -1 where there is no truth.

    precision   (10 IoU thresholds, 101 recalls, K categories, 4 sizes, 3 limits)
    recall      (10 IoU thresholds, K categories, 4 sizes, 3 limits)
    categories  K ids, rising
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    categories: tuple[int, ...]


def choose(wanted: Wanted) -> Engine:
    """Say who is taken; raises InputError for an engine that is not there."""
    if wanted not in ENGINES:
        raise InputError(f"an engine is one of {', '.join(ENGINES)}, not {wanted!r:.40}")
    is_there = importlib.util.find_spec("hotcoco") is not None
    if wanted == "hotcoco" and not is_there:
        raise InputError(
            "the engine hotcoco is not installed; pip install 'comask[fast-eval]' brings it"
        )
    return "hotcoco" if is_there and wanted != "pycocotools" else "pycocotools"


class Judge:
    """Two lists of instances that were read once, judged for masks, for boxes or for both."""

    def __init__(self, engine: Engine, truth: Content, found: Content) -> None:
        """Take annotations with ids from 1 on, crowds marked, and results with scores."""
        self._engine = engine
        self._truth, self._found = (self._index(content) for content in (truth, found))
        self._categories = tuple(sorted(category["id"] for category in truth["categories"]))

    def tables(self, kind: Kind, limits: Limits) -> Tables:
        """Match and accumulate."""
        if self._engine == "pycocotools":
            with contextlib.redirect_stdout(io.StringIO()):  # it talks
                judge = COCOeval(self._truth, self._found, kind)
                judge.params.maxDets = list(limits)
                judge.evaluate()
                judge.accumulate()
        else:
            from hotcoco import COCOeval as FastEval

            judge = FastEval(self._truth, self._found, kind)
            judge.params.max_dets = list(limits)
            judge.evaluate()
            judge.accumulate()
        return Tables(judge.eval["precision"], judge.eval["recall"], self._categories)

    def _index(self, content: Content) -> Any:
        if self._engine == "hotcoco":
            from hotcoco import COCO as FastIndex  # noqa: N811

            return FastIndex(dict(content))
        index = COCO()
        index.dataset = content
        with contextlib.redirect_stdout(io.StringIO()):
            index.createIndex()
        return index
