"""The dialogs of the page Label without that page: planted routes and a stand-in around them."""

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page

from tests.canvas.harness import Asked, Site

PROJECT = "0123456789ab"
HOSTILE = "<img src=x onerror=\"document.title='run'\">"
STATES = ("proposed", "accepted", "edited", "rejected", "new")
CHECKS = ("read again", "masks", "AP with itself", "ids", "orientation")
NOTHING = {"stage": "finished", "done": 1, "total": 1, "seconds_left": 0, "added": 0, "images": 0}
PILES = {"images": 24, "waiting": 0, "extra": 12, "missed": 3, "low": 5, "agree": 92}

# what a dialog asks of the page around it: `asked` tells what it wanted done
STAND_IN = """([project, names]) => {
  const parts = studioParts;
  document.querySelector("[data-testid=prelabel-corner]").remove(); // the page's own
  const find = parts.dom.finder(document.querySelector(".studio"));
  const view = new parts.View();
  view.open(160, 120);
  const { width, height } = find("view").getBoundingClientRect();
  view.resize(width, height);
  const asked = [];
  const categories = [{ id: 1, name: "cell" }, { id: 2, name: "nucleus" }];
  const browse = { names, info: { id: project } };
  const labelling = {
    project, find, categories, actor: "me", checkpoint: names[0],
    viewer: { view, extras: [], redraw() {} },
    store: { document: { key: `d${project}-0`, revision: 3 }, listen() {}, set() {} },
    place: { listen() {} },
    studio: { browse, strip: { images: [] }, zoomTo: ({ bbox }) => asked.push(["zoom", bbox]) },
    say: (text) => asked.push(["say", text]),
    reload: async () => asked.push(["reload"]),
    openImage: (key, id) => asked.push(["open", key, id]),
    dialog: (title, ...children) => parts.labelDialog(find, title, ...children),
  };
  globalThis.asked = asked;
  globalThis.rooms = {
    prelabel: new parts.Prelabel(labelling), piles: new parts.Piles(labelling),
    exporting: new parts.Exporting(labelling), ledger: new parts.Ledger(labelling),
  };
}"""


@dataclass
class Planted:
    """Routes of a project of ``images`` images, and what they were asked."""

    site: Site
    images: int = 24
    classes: list[tuple[str, int | None]] = field(default_factory=lambda: [("cell", 1)])
    categories: list[dict[str, Any]] = field(default_factory=list)
    task: dict[str, Any] = field(default_factory=lambda: dict(NOTHING))
    steps: list[dict[str, Any]] = field(default_factory=list)
    piles: dict[str, Any] = field(default_factory=lambda: dict(PILES))
    export: dict[str, Any] = field(default_factory=dict)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    going: str | None = None
    standing: str | None = "prelabel"
    refusals: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Serve everything."""
        self.categories = self.categories or [
            {"id": 1, "name": "cell", "supercategory": ""},
            {"id": 2, "name": "nucleus", "supercategory": ""},
        ]
        put = self.site.route
        put(r"GET /api/labels/images", self.listed)
        put(r"POST /api/labels/categories", self.classify)
        put(r"GET /api/labels/ledger", lambda _: (200, self.effort()))
        put(r"POST /api/labels/exports", self.exported)
        put(r"POST /api/labels/(undo|redo)", self.turned)
        put(r"GET /api/labels/(d\S+)", self.document)
        put(r"GET /api/prelabel/mapping", self.mapping)
        put(r"POST /api/prelabel/region", self.region)
        put(r"POST /api/prelabel/(\w+)/(stop|retry)", self.steer)
        put(r"GET /api/prelabel", lambda _: (200, {"task": self.going}))
        put(r"GET /api/prelabel/(\w+)", self.look)
        put(r"POST /api/prelabel", self.begin)
        put(r"GET /api/piles", self.pile)
        put(r"POST /api/piles", self.act)
        put(r"POST /api/runs", self.run)
        put(r"GET /api/runs/(\w+)", self.look)

    def effort(self) -> dict[str, Any]:
        """Seven actions more than labels took: somebody only looked."""
        actions = sum(row["actions"] for row in self.ledger)
        return {"rows": self.ledger, "actions": actions + 7, "seconds": 1140.0}

    def note(self, what: str, asked: Asked) -> tuple[int, Any] | None:
        self.asked.append((what, asked.said))
        refusal = self.refusals.get(what)
        return (422, {"detail": refusal}) if refusal else None

    def said(self, what: str) -> list[dict[str, Any]]:
        return [said for asked, said in self.asked if asked == what]

    def row(self, at: int) -> dict[str, Any]:
        """Every fourth image has one accepted label, every other of the rest a proposal."""
        counts = dict.fromkeys(STATES, 0)
        if at % 4 == 0:
            counts["accepted"] = 1
        elif at % 2:
            counts["proposed"] = 2
        name = f"{HOSTILE}.png" if at == 1 else f"image-{at:05d}.png"
        key = f"d{PROJECT}-{at}"
        return {"key": key, "file_name": name, "state": "open", "revision": 1, "counts": counts}

    def listed(self, asked: Asked) -> tuple[int, Any]:
        offset, limit = int(asked.said.get("offset", 0)), int(asked.said.get("limit", 200))
        last = min(self.images, offset + limit)
        rows = [self.row(at) for at in range(offset, last)]
        content = {"images": self.images, "touched": self.images // 4, "done": 0, "counts": {}}
        return 200, {**content, "categories": self.categories, "rows": rows}

    def classify(self, asked: Asked) -> tuple[int, Any]:
        refused = self.note("categories", asked)
        if refused:
            return refused
        made = []
        for one in asked.said["categories"]:
            free = 1 + max(other["id"] or 0 for other in [*asked.said["categories"], *made])
            made.append({**one, "id": one["id"] or free})
        self.categories = made
        return 200, {"categories": made}

    def mapping(self, asked: Asked) -> tuple[int, Any]:
        self.note("mapping", asked)
        classes = [{"name": name, "category_id": to} for name, to in self.classes]
        return 200, {"classes": classes, "categories": self.categories}

    def begin(self, asked: Asked) -> tuple[int, Any]:
        self.going = "k1"
        return self.note("prelabel", asked) or (200, {"task": "k1"})

    def run(self, asked: Asked) -> tuple[int, Any]:
        return self.note("run", asked) or (200, {"run": "r1"})

    def look(self, asked: Asked) -> tuple[int, Any]:
        if self.steps:
            self.task = self.steps.pop(0)
        return (200, self.task) if self.task else (404, {"detail": "There is no such task."})

    def steer(self, asked: Asked) -> tuple[int, Any]:
        self.note(asked.caught[1], asked)
        stage = "stopped" if asked.caught[1] == "stop" else "running"
        self.task = {**self.task, "stage": stage, "failed": [], "failed_count": 0}
        return 200, {"task": "k1"}

    def region(self, asked: Asked) -> tuple[int, Any]:
        refused = self.note("region", asked)
        note = "The cut-out is larger to the model, so its levels change."
        return refused or (200, {"instances": [{}, {}], "levels_note": note})

    def turned(self, asked: Asked) -> tuple[int, Any]:
        self.note(asked.caught[0], asked)
        return 200, {"kind": self.standing, "images": [], "count": 3, "skipped": 1}

    def document(self, asked: Asked) -> tuple[int, Any]:
        return 200, {"label": {"undo": self.standing, "redo": self.standing}}

    def pile(self, asked: Asked) -> tuple[int, Any]:
        refused = self.note("piles", asked)
        if refused:
            return refused
        said = asked.said
        total = self.piles[said["pile"]]
        offset, last = int(said["offset"]), min(total, int(said["offset"]) + int(said["limit"]))
        rows = [self.pile_row(said["pile"], at) for at in range(offset, last)]
        return 200, {**self.piles, "rows": rows}

    def pile_row(self, pile: str, at: int) -> dict[str, Any]:
        return {
            "pile": pile,
            "key": f"d{PROJECT}-{at}",
            "file_name": f"image-{at:05d}.png",
            "label": None if pile == "extra" else f"t{at}",
            "found": None if pile == "missed" else f"p{at + 1}",
            "iou": 0.31 if pile == "low" else 0.0,
            "category_id": 1 + at % 2,
            "class_score": None if pile == "missed" else 0.75,
            "bbox": None if pile == "missed" else [at, 5, 10, 10],
        }

    def act(self, asked: Asked) -> tuple[int, Any]:
        refused = self.note("act", asked)
        if refused:
            return refused
        pile, rows = asked.said["pile"], asked.said["rows"]
        count = self.piles[pile] if rows is None else len(rows)
        self.piles = {**self.piles, pile: self.piles[pile] - count}
        return 200, {"count": count, "images": count}

    def exported(self, asked: Asked) -> tuple[int, Any]:
        return self.note("export", asked) or (200, self.export)


def show(page: Page, site: Site, *names: str) -> None:
    """Open a page with the dialogs' stand-in; ``names`` are the checkpoints."""
    page.goto(site.put_page(None))
    page.wait_for_function("Boolean(window.studio)")
    page.evaluate(STAND_IN, [PROJECT, list(names or ("first", "second"))])


def wanted(page: Page) -> list[list[Any]]:
    """Tell what the dialogs asked the page around them to do."""
    found: list[list[Any]] = page.evaluate("asked")
    return found


def certificate(*bad: str, rows: int = 0) -> dict[str, Any]:
    """Make a certificate; the checks in ``bad`` failed, each with some rows."""
    row = {"key": f"d{PROJECT}-2", "id": "t7", "annotation_id": 7, "sentence": "its bbox is wider"}
    checks = [
        {
            "name": name,
            "passed": name not in bad,
            "sentence": f"{HOSTILE} looked at.",
            "rows": [row] * rows if name in bad else [],
        }
        for name in CHECKS
    ]
    classes = [
        {"id": 1, "name": "cell", "instances": 20, "evaluated": 20, "ap": 1.0},
        {"id": 2, "name": HOSTILE, "instances": 9, "evaluated": 8, "ap": 0.875},
        {"id": 3, "name": "nothing", "instances": 0, "evaluated": 0, "ap": None},
    ]
    return {"passed": not bad, "checks": checks, "categories": classes}


def exported(made: dict[str, Any], polygons: dict[str, Any] | None = None) -> dict[str, Any]:
    """Make the answer to an export."""
    return {
        "id": "e1",
        "file_name": "planted.json",
        "url": "/api/labels/exports/e1",
        "bytes": 34_200,
        "images": 24,
        "annotations": 29,
        "certificate": made,
        "polygons": polygons,
    }


def effort(checkpoint: str, category: int, **more: Any) -> dict[str, Any]:
    """Make a row of the ledger; what is not said is 0."""
    names = ("accepted", "nudged", "redrawn", "rejected", "waiting", "drawn", "actions", "seconds")
    named = {"checkpoint_name": checkpoint, "category": ("cell", "nucleus")[category - 1]}
    return {
        "checkpoint": checkpoint,
        "category_id": category,
        **named,
        **dict.fromkeys(names, 0),
        **more,
    }
