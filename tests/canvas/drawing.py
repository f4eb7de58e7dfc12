"""A board to draw on: the surface's viewer, pointer and tools; the page around is a stand-in."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from playwright.sync_api import CDPSession, Page

from app.canvas import component
from comask.annotation import rle
from comask.annotation.records import Rle
from tests.canvas import documents, harness
from tests.canvas.documents import Mask

Point = tuple[float, float]

# A picture of `size` with labels l1, l2, ... and what the page Label would do with a gesture
BOARD = """({size, codes, photo}) => {
  const parts = studioParts;
  const [height, width] = size;
  document.body.replaceChildren();
  const make = parts.dom.element;
  const canvas = (layer) => make("canvas", { "data-layer": layer,
    tabindex: layer === "marks" ? "0" : null });
  const stage = make("div", { class: "cs-view" },
    canvas("photo"), canvas("masks"), canvas("marks"));
  const tooltip = make("div", { hidden: true });
  document.body.append(stage, tooltip);
  const store = new parts.state.Store({ threshold: 0 });
  const viewer = new parts.Viewer(stage, store);
  const marks = viewer.canvases[2];
  const pointer = new parts.Pointer(marks, viewer, store, { tooltip, onmove: () => {} });
  const records = new Map();
  codes.forEach((rle, at) => records.set(`l${at + 1}`, record(`l${at + 1}`, rle, 1, at + 1)));
  function record(id, rle, category_id, z) {
    const { bbox, area } = parts.rle.decode(rle);
    return { id, layer: "label", category_id, rle, bbox, area, z, class_score: null, iscrowd: 0 };
  }
  let revision = 0;
  function show(selected) {
    const opened = parts.document.open({ schema: 1, revision: revision++,
      image: { key: "a", file_name: "a", width, height, url: photo },
      categories: [{ id: 1, name: "cell" }, { id: 2, name: "dust" }], layers: [{ name: "label" }],
      instances: [...records.values()] });
    for (const one of opened.instances) one.z = one.record.z;
    store.set({ document: opened, selected });
  }
  const labelling = {
    store, viewer, size, studio: { pointer }, place: { page: "label", listen: () => {} },
    chosen: new Set(), category: 1, checkpoint: "c", commits: [], said: [], gestures: 0,
    get targets() {
      const ids = new Set([...this.chosen, ...(store.selected === null ? [] : [store.selected])]);
      return [...ids].map((id) => store.document.byId.get(id)).filter(Boolean);
    },
    choose(...ids) {
      ids.forEach((id) => this.chosen.add(id));
      store.set({ selected: ids.at(-1) });
    },
    gesture() { this.gestures += 1; },
    say(text) { this.said.push(text); },
    commit({ kind, put = [], drop = [], select }) {
      const top = Math.max(0, ...[...records.values()].map(({ z }) => z));
      for (const { id, mask, categoryId, z } of put) {
        const before = records.get(id);
        const rle = mask ? parts.rle.encode(mask) : before.rle;
        const category = categoryId ?? before?.category_id ?? this.category;
        records.set(id, record(id, rle, category, z ?? before?.z ?? top + 1));
      }
      for (const id of drop) records.delete(id);
      this.commits.push({ kind, put: put.map(({ id }) => id), drop });
      show(select === undefined ? store.selected : select);
    },
  };
  labelling.tools = new parts.Tools(labelling);
  viewer.extras.push((context, view) => labelling.tools.draw(context, view));
  pointer.onclick = () => false;
  show(null);
  if (photo) viewer.photo.open(photo).then((image) => viewer.showPhoto(image, photo));
  globalThis.board = { labelling, viewer, store, records, pointer, marks, tools: labelling.tools };
}"""
NEEDED = frozenset(
    f"{name}.js"
    for name in [
        "dom",
        "levels",
        "rle",
        "palette",
        "raster",
        "verdicts",
        "view",
        "hit",
        "matching",
        "judge",
        "panes",
        "state",
        "document",
        "photo",
        "marks",
        "halo",
        "viewer",
        "fingers",
        "pointer",
        "api",
        "masks",
        "outlines",
        "regions",
        "cutting",
        "sweep",
        "sketch",
        "brushes",
        "vertices",
        "shapes",
        "lines",
        "cleaning",
    ]
)
STYLE = """.cs-view { position: relative; width: 900px; height: 700px; overflow: hidden }
.cs-view canvas { position: absolute; inset: 0; width: 100%; height: 100%; touch-action: none }"""
TOUCHES = {"start": "touchStart", "move": "touchMove", "end": "touchEnd"}


class Board:
    """Drive the tools with real events; points are in image pixels."""

    def __init__(self, page: Page, site: harness.Site, masks: Sequence[Mask]) -> None:
        self.page = page
        self.size = masks[0].shape
        page.goto(_put_page(site))
        page.wait_for_function("Boolean(window.studioParts?.Tools)")
        site.answers["/photo.png"] = (200, "image/png", harness.encode_png(_photograph(self.size)))
        codes = [rle.encode(mask).to_coco() for mask in masks if mask.any()]
        page.evaluate(BOARD, {"size": list(self.size), "codes": codes, "photo": "/photo.png"})
        self.fingers: CDPSession | None = None

    def use(self, tool: str, picked: str | None = None, radius: float = 6) -> None:
        self.page.evaluate(
            """([tool, picked, radius]) => {
              board.store.set({ selected: picked });
              board.tools.use(tool);
              board.tools.setRadius(radius);
            }""",
            [tool, picked, radius],
        )

    def zoom(self, scale: float, x: float, y: float) -> None:
        """Look at a place of the image."""
        self.page.evaluate(
            """([scale, x, y]) => {
              board.viewer.view.zoomTo(scale);
              board.viewer.view.centre(x, y);
            }""",
            [scale, x, y],
        )

    def screen(self, x: float, y: float) -> Point:
        left, top = self.page.evaluate(
            """([x, y]) => {
              const { left, top } = board.marks.getBoundingClientRect();
              const [column, row] = board.viewer.view.toScreen(x, y);
              return [left + column, top + row];
            }""",
            [x, y],
        )
        return left, top

    def drag(self, *points: Point, steps: int = 1) -> None:
        self.page.mouse.move(*self.screen(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.screen(*point), steps=steps)
        self.page.mouse.up()

    def click(self, *points: Point) -> None:
        for point in points:
            self.page.mouse.click(*self.screen(*point))

    def touch(self, kind: str, *points: Point) -> None:
        """Touch the screen with one finger for each point."""
        if self.fingers is None:
            self.fingers = self.page.context.new_cdp_session(self.page)
        places = [self.screen(*point) for point in points]
        fingers = [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(places)]
        self.fingers.send(
            "Input.dispatchTouchEvent", {"type": TOUCHES[kind], "touchPoints": fingers}
        )

    def masks(self) -> dict[str, Mask]:
        """What the labels are now."""
        codes = self.page.evaluate(
            "Object.fromEntries([...board.records].map(([id, r]) => [id, r.rle]))"
        )
        return {
            key: rle.decode(Rle(tuple(code["size"]), code["counts"])).astype(bool)
            for key, code in codes.items()
        }

    def said(self, name: str) -> Any:
        """Ask the stand-in: commits, said, gestures, chosen, ..."""
        return self.page.evaluate(f"structuredClone(board.labelling.{name})")

    @property
    def kinds(self) -> list[str]:
        return [one["kind"] for one in self.said("commits")]

    @property
    def view(self) -> tuple[float, float, float]:
        found = self.page.evaluate(
            "[board.viewer.view.scale, board.viewer.view.x, board.viewer.view.y]"
        )
        return tuple(found)


def _put_page(site: harness.Site) -> str:
    """Serve a page with what drawing needs and nothing of the page around."""
    last = component.SCRIPTS.index("tools.js")
    names = [name for name in component.SCRIPTS[:last] if name in NEEDED] + ["tools.js"]
    scripts = "".join(f'<script src="{component.ADDRESS}/{name}"></script>' for name in names)
    head = f'<meta charset="utf-8"><link rel="icon" href="data:,"><style>{STYLE}</style>'
    page = f"<!doctype html><html><head>{head}</head><body>{scripts}</body></html>"
    site.answers["/board"] = (200, "text/html", page.encode())
    return site.address + "/board"


def _photograph(size: tuple[int, ...]) -> Any:
    rows, columns = np.indices(size[:2])
    grey = 110 + 60 * np.sin(columns / 17) * np.cos(rows / 23)
    noise = np.random.default_rng(1).normal(0, 6, size[:2])
    return np.repeat((grey + noise).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def disc(size: tuple[int, ...], x: float, y: float, radius: float) -> Mask:
    """Take every pixel whose centre is within the radius."""
    rows, columns = np.indices(size[:2]) + 0.5
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def swept(size: tuple[int, ...], points: Sequence[Point], radius: float) -> Mask:
    """Take every pixel whose centre is within the radius of a path."""
    rows, columns = np.indices(size[:2]) + 0.5
    found = disc(size, *points[0], radius)
    for (x1, y1), (x2, y2) in pairwise(points):
        dx, dy = x2 - x1, y2 - y1
        length = dx * dx + dy * dy
        if length == 0:
            continue
        share = np.clip(((columns - x1) * dx + (rows - y1) * dy) / length, 0, 1)
        found |= (columns - x1 - share * dx) ** 2 + (rows - y1 - share * dy) ** 2 <= radius**2
    return found


rectangle = documents.rectangle
