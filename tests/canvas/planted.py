"""A dataset that does not exist: the routes of one, of any size, with numbers known beforehand."""

import base64
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import cv2
import numpy as np

from app.canvas import payload
from comask.analysis import stages
from comask.annotation import rle
from comask.annotation.records import Annotation, Category
from tests.canvas import documents, harness
from tests.canvas.harness import Asked, Site

DATASET = "0123456789ab"
CATEGORIES = (Category(1, "cell"), Category(2, "nucleus"))
SIZE = (120, 160)
STATES = {3: ("failed", "The model ran out of memory."), 5: ("missing", ""), 7: ("waiting", "")}
ERRORS = {
    "class": 4,
    "localisation": 9,
    "both": 1,
    "duplicate": 2,
    "background": 6,
    "missed": 11,
}
CELLS = [[31, 3, 5], [2, 24, 6], [4, 1, 0]]
HOSTILE = "<img src=x onerror=\"document.title='run'\">.png"


def scene(key: str = "a") -> payload.Document:
    """Draw one image: right, wrong, missed, and a found one of another class."""
    square = documents.rectangle(SIZE, 10, 10, 30, 30)
    near = documents.rectangle(SIZE, 10, 10, 30, 24)  # IoU 0.8 with it
    disc = documents.disc(SIZE, 110, 60, 18)
    alone = documents.rectangle(SIZE, 60, 90, 20, 16)
    missed = documents.rectangle(SIZE, 20, 70, 24, 24)
    found = documents.found([near, disc, alone], [0.9, 0.8, 0.6], [0, 1, 0])
    found = documents.traced(found)
    truth = [*documents.drawn([square, missed]), Annotation(3, 1, 2, *_record(disc))]
    return documents.compared(key, SIZE, found, truth, CATEGORIES)


def _record(mask: documents.Mask) -> tuple[Any, Any, Any]:
    code = rle.encode(mask)
    return code, rle.area(code), rle.bbox(code)


@dataclass
class Planted:
    """Routes over ``images`` images, each with the same scene, and what they were asked."""

    site: Site
    images: int = 24
    judged: int | None = None  # images with a result; None for all
    truth: bool = True
    collaborative: bool = True  # whether votes are weighed and masks drawn twice
    indexing: list[dict[str, Any]] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Serve everything."""
        site = self.site
        put = site.route
        put(r"POST /api/datasets", self.open)
        put(r"POST /api/datasets/samples", self.samples)
        put(r"GET /api/datasets", lambda _: (200, {"recent": [self.about()]}))
        put(r"GET /api/datasets/(\w+)", self.dataset)
        put(r"GET /api/grid", self.grid)
        put(r"GET /api/metrics", self.metrics)
        put(r"GET /api/instances", self.instances)
        put(r"GET /api/compare", self.compare)
        put(r"GET /api/autopsy/(\S+)/(t\d+)", self.autopsy)
        put(r"GET /api/traces/([^/]+)", self.traces)
        put(r"GET /api/traces/(\S+)/(p\d+)", self.trace)
        put(r"GET /api/reports/(\w+)\.html", lambda _: (200, b"<h1>AP 0.42</h1>"))
        put(r"POST /api/runs", self.start)
        put(r"GET /api/runs", lambda _: (200, self.standing()))
        put(r"GET /api/runs/(\w+)", lambda _: (200, self.run))
        put(r"POST /api/runs/(\w+)/(stop|retry)", self.steer)
        put(r"GET /api/documents/(\S+)", self.document)
        picture = harness.encode_png(self.picture())
        put(r"GET /api/images/(\S+)", lambda _: (200, picture))
        small = harness.encode_png(cv2.resize(self.picture(), (96, 72)))
        put(r"GET /api/thumbnails/(\S+)", lambda _: (200, small))

    def standing(self) -> dict[str, Any]:
        done = self.images - 1 if self.judged is None else self.judged
        return {"run": None, "done": done, "total": self.images - 1}

    @staticmethod
    def picture() -> np.ndarray:
        return np.random.default_rng(1).integers(90, 130, (*SIZE, 3), np.uint8)

    def about(self) -> dict[str, Any]:
        return {
            "id": DATASET,
            "name": "planted",
            "folder": "/data/planted",
            "annotations": "/data/planted/instances.json" if self.truth else None,
            "images": self.images,
        }

    def note(self, what: str, asked: Asked) -> None:
        self.asked.append((what, asked.said))
        time.sleep(self.seconds)

    def open(self, asked: Asked) -> tuple[int, Any]:
        self.note("open", asked)
        if asked.said["folder"] != "/data/planted":
            return 422, {"detail": f"There is no folder {asked.said['folder']}."}
        return 202, self.state()

    def samples(self, asked: Asked) -> tuple[int, Any]:
        self.note("samples", asked)
        return 503, {"detail": "The samples could not be fetched: there is no network."}

    def state(self) -> dict[str, Any]:
        if self.indexing:
            return {"id": DATASET, "name": "planted", **self.indexing.pop(0)}
        ready = {"state": "ready", "done": self.images, "total": self.images, "sentence": ""}
        count = 40 if self.truth else 0
        classes = [{"id": c.id, "name": c.name, "truth": count} for c in CATEGORIES]
        return {
            **self.about(),
            **ready,
            "annotations": 80,
            "categories": classes if self.truth else [],
            "missing": 1,
            "truth": self.truth,
        }

    def dataset(self, asked: Asked) -> tuple[int, Any]:
        if asked.caught[0] != DATASET:
            return 404, {"detail": "There is no such dataset."}
        return 200, self.state()

    def row(self, at: int) -> dict[str, Any]:
        state, note = STATES.get(at, ("done", ""))
        name = HOSTILE if at == 1 else f"folder/image-{at:06d}.png"
        wrong = 0 if at % 4 == 2 else 1
        return {
            "key": f"d{DATASET}-{at}",
            "file_name": name,
            "width": SIZE[1],
            "height": SIZE[0],
            "state": state,
            "note": note,
            "truth": 3,
            "found": 3,
            "tp": 2,
            "fp": wrong,
            "fn": wrong,
            "lowest_iou": 0.8,
            "gap": 0.1,
            "duplicates": 0,
        }

    def grid(self, asked: Asked) -> tuple[int, Any]:
        self.note("grid", asked)
        said = asked.said
        order = range(self.images)
        if said["sort"] == "errors":
            order = range(self.images - 1, -1, -1)
        if said.get("name"):
            order = [at for at in order if said["name"] in self.row(at)["file_name"]]
        offset, limit = int(said.get("offset", 0)), int(said["limit"])
        rows = [self.row(at) for at in order[offset : offset + limit]]
        content = {"total": len(order), "offset": offset, "rows": rows}
        if "find" in said:
            row = int(said["find"].rpartition("-")[2])
            content["at"] = list(order).index(row) if row in order else None
        return 200, content

    def metrics(self, asked: Asked) -> tuple[int, Any]:
        self.note("metrics", asked)
        tp = round(100 * (1 - float(asked.said["score"])))
        return 200, {
            "images": self.images if self.judged is None else self.judged,
            "counts": {"tp": tp, "fp": 8, "fn": 11},
            "precision": 0.875,
            "recall": 0.75,
            "f1": 0.8125,
            "errors": ERRORS,
            "confusion": {
                "labels": [{"id": c.id, "name": c.name} for c in CATEGORIES],
                "cells": CELLS,
            },
            "by_size": {
                name: {"precision": 0.5, "recall": 0.25, "ap": 0.4, "truth": 12}
                for name in ("small", "medium", "large")
            },
            "by_category": [
                {
                    "id": c.id,
                    "name": c.name,
                    "truth": 39,
                    "found": 37,
                    "tp": 31,
                    "fp": 6,
                    "fn": 8,
                    "precision": 0.84,
                    "recall": 0.79,
                    "f1": 0.81,
                }
                for c in CATEGORIES
            ],
            "milliseconds": 1,
        }

    def instances(self, asked: Asked) -> tuple[int, Any]:
        self.note("instances", asked)
        said = asked.said
        if "cell" in said:
            ids = ["1", "2", "none"]
            truth, found = said["cell"].split(",")
            total = CELLS[ids.index(truth)][ids.index(found)]
        else:
            total = ERRORS[said["error"]]
        rows = [
            {
                "key": f"d{DATASET}-{at}",
                "file_name": f"folder/image-{at:06d}.png",
                "instance": "p3",
                "truth": None,
                "class_score": 0.6,
                "score": 0.75,
                "iou": 0.0,
                "error": "background",
            }
            for at in range(total)
        ]
        offset, limit = int(said["offset"]), int(said["limit"])
        return 200, {"total": total, "rows": rows[offset : offset + limit]}

    def compare(self, asked: Asked) -> tuple[int, Any]:
        self.note("compare", asked)
        rows = [
            {
                "key": f"d{DATASET}-0",
                "file_name": "folder/image-000000.png",
                "kind": kind,
                "truth": None if kind.startswith("false") else "t1",
                "a": a,
                "b": b,
                "iou_a": 0.8,
                "iou_b": 0.7,
                "score_a": 0.9,
                "score_b": 0.5,
                "change": 0.4,
            }
            for kind, a, b in (
                ("lost", "p1", None),
                ("changed", "p2", "p1"),
                ("gained", None, "p3"),
                ("false_gained", None, "p4"),
            )
        ]
        only = asked.said.get("only")
        rows = [row for row in rows if only in (None, row["kind"])]
        counts = {"gained": 1, "lost": 1, "changed": 1, "false_gained": 1, "false_lost": 0}
        return 200, {**counts, "total": len(rows), "rows": rows}

    def autopsy(self, asked: Asked) -> tuple[int, Any]:
        self.note("autopsy", asked)
        return 200, {
            "cause": "suppressed",
            "sentence": "A proposal fitted it (IoU 0.71), but it was suppressed by a surer one.",
            "proposal": [18, 68, 46, 96],
            "score": 0.66,
            "suppressor": "p3",
            "box": [60, 90, 80, 106],
            "iou": 0.71,
        }

    def trace(self, asked: Asked) -> tuple[int, Any]:
        self.note("trace", asked)
        votes = [[8 + cell % 7, 8 + cell // 7, 42, 36] for cell in range(49)]
        return 200, {
            **self.words(),
            **self.facts(asked.caught[1]),
            "proposal": [5, 5, 45, 40],
            "votes": votes,
            "weights": [(cell + 1) / 49 for cell in range(49)],
            "box": [10, 10, 40, 34],
        }

    def traces(self, asked: Asked) -> tuple[int, Any]:
        self.note("traces", asked)
        rows = [self.facts(f"p{number}") for number in (1, 2, 3)]
        packed = np.zeros((3, 253), "<f4")
        packed[:, :8] = [5, 5, 45, 40, 10, 10, 40, 34]
        packed[:, 8:57] = 0.5
        packed[:, 57:] = np.tile([10, 10, 40, 34], 49)
        code = base64.b64encode(packed.tobytes()).decode()
        return 200, {**self.words(), "rows": rows, "packed": code}

    def words(self) -> dict[str, Any]:
        how = {"weighted": self.collaborative, "second": self.collaborative}
        told = [asdict(stage) for stage in stages.stages_of(**how)]
        return {"stages": told, "scale": stages.SCALE, **how}

    @staticmethod
    def facts(name: str) -> dict[str, Any]:
        mask = scene()["instances"][0]["rle"]
        return {
            "id": name,
            "first_mask": mask,
            "mask": mask,
            "levels": [2, 3],
            "mask_iou": 0.75,
            "weight": 25.0,
            "travel": 6.0,
            "edge": "bottom",
            "agreement": 1.0,
        }

    def start(self, asked: Asked) -> tuple[int, Any]:
        self.note("run", asked)
        self.run = {
            "stage": "running",
            "done": 4,
            "total": self.images,
            "failed": [],
            "seconds_left": 130,
        }
        return 200, {"run": "r1"}

    def steer(self, asked: Asked) -> tuple[int, Any]:
        self.note(asked.caught[1], asked)
        self.run = {**self.run, "stage": "stopped" if asked.caught[1] == "stop" else "running"}
        return 200, {"run": "r1"}

    def document(self, asked: Asked) -> tuple[int, Any]:
        self.note("document", asked)
        made = scene(asked.caught[0])
        made["image"]["file_name"] = self.row(int(asked.caught[0].rpartition("-")[2]))["file_name"]
        return 200, made


def value(**more: Any) -> dict[str, Any]:
    """Say what Python says of an open dataset."""
    return {
        "source": "dataset",
        "checkpoint": "first",
        "checkpoints": ["first", "second"],
        "status": ["first", "CPU"],
        **more,
    }
