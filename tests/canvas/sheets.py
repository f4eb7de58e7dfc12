"""Labels that a made-up server keeps: the routes of the page Label, with their rules."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page

from app.canvas import payload
from comask.annotation import rle
from tests.canvas import documents, harness
from tests.canvas.documents import Mask
from tests.canvas.harness import Asked
from tests.canvas.planted import CATEGORIES, DATASET, SIZE, Planted

STATES = ("proposed", "accepted", "edited", "rejected", "new")


def label(uid: str, mask: Mask, score: float | None = 0.5, **more: Any) -> dict[str, Any]:
    """Make one label as the server says it: the model's proposal unless told otherwise."""
    code = rle.encode(mask)
    return {
        "id": uid,
        "layer": "label",
        "category_id": 1,
        "class_score": score,
        "mask_iou": None if score is None else 0.5,
        "score": score,
        "box": None,
        "bbox": list(rle.bbox(code)),
        "area": rle.area(code),
        "rle": {"size": list(code.size), "counts": code.counts},
        "iscrowd": False,
        "state": "proposed",
        "origin": "model",
        "z": 1,
        "checkpoint": "c" * 12,
        "instability": 0.1,
        "disagreement": None,
        "kept": None,
        "proposed_rle": None,
        "proposed_category_id": None,
        **more,
    }


def squares(count: int, size: tuple[int, int] = SIZE) -> list[dict[str, Any]]:
    """Propose squares of 10 pixels in rows, the best score first."""
    across = size[1] // 14
    return [
        label(
            f"m{at}",
            documents.rectangle(size, 2 + 14 * (at % across), 2 + 14 * (at // across), 10, 10),
            round(0.99 - 0.4 * at / max(1, count), 3),
            z=at + 1,
        )
        for at in range(count)
    ]


@dataclass
class Sheets:
    """Every image's labels, what was done to them, and how the server behaves."""

    site: harness.Site
    images: int = 3
    start: Sequence[dict[str, Any]] = field(default_factory=lambda: squares(4))
    categories: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": c.id, "name": c.name} for c in CATEGORIES]
    )
    down: bool = False  # whether requests fail
    lost: int = 0  # answers that get lost on the way back, the request having been applied
    gone: bool = False  # whether images are not there
    refuse: str = ""  # a sentence: what is sent next is refused with it, once
    seconds: float = 0.0
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.planted = Planted(self.site, images=self.images)
        self.rows = {self.key(at): {r["id"]: r for r in self.start} for at in range(self.images)}
        self.revisions = dict.fromkeys(self.rows, 0)
        self.done = dict.fromkeys(self.rows, "open")
        self.log: list[dict[str, Any]] = []  # gestures that stand or were undone
        self.seen: set[str] = set()
        self.efforts: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        put = self.site.route
        put(r"GET /api/prelabel", lambda _: (200, {"task": None}))
        put(r"GET /api/labels/queue", self.queue)
        put(r"GET /api/labels/images", self.list)
        put(r"POST /api/labels/(undo|redo)", self.revert)
        put(r"POST /api/labels/categories", self.classes)
        put(r"POST /api/labels/([^/]+)/ops", self.ops)
        put(r"POST /api/labels/([^/]+)/effort", self.effort)
        put(r"GET /api/labels/([^/]+)/history", self.history)
        put(r"GET /api/labels/([^/]+)", self.document)

    @staticmethod
    def key(at: int) -> str:
        return f"d{DATASET}-{at}"

    @staticmethod
    def address(at: int | None) -> str:
        """Say where the page shows the labels of an image, or of whichever it chooses."""
        image = "" if at is None else f"&image={Sheets.key(at)}"
        return f"?tab=label&source=dataset&dataset={DATASET}{image}"

    def states(self, key: str) -> dict[str, str]:
        return {uid: row["state"] for uid, row in self.rows[key].items()}

    def standing(self, actor: str) -> dict[str, str | None]:
        own = [g for g in self.log if g["actor"] == actor]
        stands = [g for g in own if not g["undone"]]
        undone = [g for g in own if g["undone"]]
        return {
            "undo": stands[-1]["kind"] if stands else None,
            "redo": undone[0]["kind"] if undone else None,
        }

    def document(self, asked: Asked) -> tuple[int, Any]:
        if self.down:
            return 503, {"detail": "down"}
        with self.lock:
            return 200, self.sheet(asked.caught[0], asked.said.get("actor", ""))

    def sheet(self, key: str, actor: str) -> dict[str, Any]:
        image: payload.DocumentImage = documents.image(key, SIZE)
        rows = sorted(self.rows[key].values(), key=lambda row: (row["z"], row["id"]))
        return {
            "schema": 1,
            "revision": self.revisions[key],
            "image": image,
            "categories": self.categories,
            "layers": [{"name": "label", "editable": True}],
            "instances": rows,
            "label": {
                "project": DATASET,
                "state": self.done[key],
                "note": "",
                **self.standing(actor),
            },
        }

    def ops(self, asked: Asked) -> tuple[int, Any]:
        said, key = asked.said, asked.caught[0]
        time.sleep(self.seconds)
        with self.lock:
            if self.down:
                return 503, {"detail": "down"}
            if self.gone:
                return 404, {"detail": "This image is not here."}
            self.sent.append((key, said))
            if self.refuse and said["key"] not in self.seen:
                sentence, self.refuse = self.refuse, ""
                return 422, {"detail": sentence}
            repeated = said["key"] in self.seen
            if not repeated and said["revision"] != self.revisions[key]:
                return 409, self.conflict(key, said)
            if not repeated:
                self.apply(key, said)
            if self.lost:
                self.lost -= 1
                return 503, {"detail": "lost on the way"}
            return 200, {
                "revision": self.revisions[key],
                "repeated": repeated,
                "instances": [self.rows[key][one["id"]] for one in said["put"]],
                "drop": said["drop"],
                "state": self.done[key],
                **self.standing(said["actor"]),
            }

    def conflict(self, key: str, said: dict[str, Any]) -> dict[str, Any]:
        later = [g for g in self.log if g["image"] == key and g["revision"] > said["revision"]]
        changed = {uid for gesture in later for uid in gesture["before"]}
        mine = {one["id"] for one in said["put"]} | set(said["drop"])
        return {
            "detail": "Somebody else changed this image.",
            "document": self.sheet(key, said["actor"]),
            "clashes": sorted(mine & changed),
            "by": sorted({g["actor"] for g in later}),
        }

    def apply(self, key: str, said: dict[str, Any]) -> None:
        rows = self.rows[key]
        before = {one["id"]: rows.get(one["id"]) for one in said["put"]}
        before |= {uid: rows[uid] for uid in said["drop"]}
        state_before = self.done[key]
        for one in said["put"]:
            rows[one["id"]] = self.put(rows.get(one["id"]), one)
        for uid in said["drop"]:
            del rows[uid]
        self.done[key] = said["state"] or self.done[key]
        self.revisions[key] += 1
        self.seen.add(said["key"])
        self.log = [g for g in self.log if not g["undone"] or g["actor"] != said["actor"]]
        after = {uid: rows.get(uid) for uid in before}
        self.log.append(
            {
                **{name: said[name] for name in ("actor", "kind", "actions", "seconds")},
                "image": key,
                "revision": self.revisions[key],
                "before": before,
                "after": after,
                "states": (state_before, self.done[key]),
                "undone": False,
            }
        )

    @staticmethod
    def put(before: dict[str, Any] | None, one: dict[str, Any]) -> dict[str, Any]:
        code = rle.Rle(tuple(one["rle"]["size"]), one["rle"]["counts"])
        shape = {"area": rle.area(code), "bbox": list(rle.bbox(code))}
        if before is None:
            fresh = {"origin": "person", "checkpoint": "", "instability": None, "mask_iou": None}
            blank = label(one["id"], rle.decode(code), None, **fresh)
            return {**blank, **one, **shape, "state": "new"}
        own = before["proposed_rle"] or before["rle"]
        category = before["proposed_category_id"] or before["category_id"]
        as_it_was = (one["rle"], one["category_id"]) == (own, category)
        changed = before["origin"] == "model" and not as_it_was
        memory = {
            "proposed_rle": own if changed else None,
            "proposed_category_id": category if changed else None,
        }
        return {**before, **one, **shape, **memory}

    def elsewhere(self, key: str, uid: str, actor: str = "Ada-0000aa", **change: Any) -> None:
        """Let somebody else change a label."""
        with self.lock:
            row = {**self.rows[key][uid], **change}
            said = {"put": [row], "drop": [], "state": None, "actor": actor, "kind": "relabel"}
            self.apply(key, {**said, "key": f"{actor}{time.time()}", "actions": 1, "seconds": 1})

    def revert(self, asked: Asked) -> tuple[int, Any]:
        said, what = asked.said, asked.caught[0]
        with self.lock:
            if self.down:
                return 503, {"detail": "down"}
            self.sent.append((what, said))
            own = [g for g in self.log if g["actor"] == said["actor"]]
            found = [g for g in own if g["undone"] == (what == "redo")]
            if not found:
                nothing = {"kind": None, "images": [], "count": 0, "skipped": 0}
                return 200, {**nothing, **self.standing(said["actor"])}
            gesture = found[-1] if what == "undo" else found[0]
            key = gesture["image"]
            gesture["undone"] = what == "undo"
            side = "before" if what == "undo" else "after"
            for uid, row in gesture[side].items():
                if row is None:
                    self.rows[key].pop(uid, None)
                else:
                    self.rows[key][uid] = row
            self.done[key] = gesture["states"][what == "redo"]
            self.revisions[key] += 1
            answer = {"kind": gesture["kind"], "images": [key], "count": 1, "skipped": 0}
            return 200, {**answer, **self.standing(said["actor"])}

    def queue(self, asked: Asked) -> tuple[int, Any]:
        said = asked.said
        wanted = said["states"].split(",")
        found = [
            {
                "key": key,
                **{name: row[name] for name in ("id", "category_id", "state", "class_score")},
                "instability": row["instability"],
                "disagreement": row["disagreement"],
            }
            for key, rows in self.rows.items()
            for row in sorted(rows.values(), key=lambda row: -(row["class_score"] or 0))
            if row["state"] in wanted
        ]
        if said["order"] == "score":
            found.sort(key=lambda row: row["class_score"] or 0)
        offset, limit = int(said["offset"]), int(said["limit"])
        return 200, {"total": len(found), "rows": found[offset : offset + limit]}

    def list(self, asked: Asked) -> tuple[int, Any]:
        offset, limit = int(asked.said["offset"]), int(asked.said["limit"])
        keys = [self.key(at) for at in range(offset, min(self.images, offset + limit))]
        rows = [
            {
                "key": key,
                "file_name": f"folder/image-{at:06d}.png",
                "state": self.done.get(key, "open"),
                "revision": self.revisions.get(key, 0),
                "counts": self.counts(key),
            }
            for at, key in enumerate(keys, start=offset)
        ]
        counts = {s: sum(self.counts(key).get(s, 0) for key in self.rows) for s in STATES}
        return 200, {
            "images": self.images,
            "touched": sum(1 for revision in self.revisions.values() if revision),
            "done": sum(1 for state in self.done.values() if state == "done"),
            "counts": counts,
            "categories": [{**one, "supercategory": ""} for one in self.categories],
            "rows": rows,
        }

    def counts(self, key: str) -> dict[str, int]:
        states = list(self.states(key).values())
        return {state: states.count(state) for state in STATES if state in states}

    def history(self, asked: Asked) -> tuple[int, Any]:
        mine = [g for g in self.log if g["image"] == asked.caught[0]]
        rows = [
            {
                "when": "2026-01-02T03:04:05+00:00",
                "put": list(g["after"]),
                "drop": [],
                **{name: g[name] for name in ("actor", "kind", "actions", "seconds")},
            }
            for g in reversed(mine)
        ]
        return 200, {"rows": rows}

    def effort(self, asked: Asked) -> tuple[int, Any]:
        self.efforts.append(asked.said)
        return 200, {}

    def classes(self, asked: Asked) -> tuple[int, Any]:
        free = max([0, *(one["id"] for one in self.categories)]) + 1
        self.categories = [
            {"id": free if one["id"] is None else one["id"], "name": one["name"]}
            for one in asked.said["categories"]
        ]
        return 200, {"categories": [{**one, "supercategory": ""} for one in self.categories]}


def shown(page: Page) -> dict[str, Any]:
    """Say what the page Label says of itself."""
    found: dict[str, Any] = page.evaluate("studio.state().label")
    return found


def saved(page: Page) -> None:
    """Wait until the server has everything."""
    page.wait_for_function("studio.state().label.saved")


def until(page: Page, condition: str) -> None:
    """Wait for a condition on the state `s` and its part of the page Label `l`."""
    page.wait_for_function(
        f"(() => {{ const s = studio.state(); const l = s.label; return {condition} }})()"
    )


def go(page: Page, name: str) -> None:
    """Go to another page of the window."""
    page.evaluate("name => dispatchEvent(new CustomEvent('studio-page', {detail: name}))", name)
