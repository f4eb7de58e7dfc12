"""Does the Studio stay smooth on a crowded image and on a huge dataset?

Starts ``launch.py`` on a new workspace and opens it in Chromium, without a graphics card. Shows
- 1,000 found and as many true instances on an image of 4096 x 4096 pixels, in the colours of what
  became of them: the first paint, frames while zooming and panning, both sliders, the hit test;
- a COCO file of 100,000 images and 800,000 annotations, whose images are not there: its index, the
  first tiles after a restart, a jump to the 90,000th image, a class filter, nodes, memory.

    python benchmarks/browse.py
    python benchmarks/browse.py --part dataset --folder DIR  # keeps the COCO file for the next time

A frame takes 17 ms at least, and a slider's move two of them: until the canvas is drawn, and until
that frame is over. Where many numbers were measured, the goal is for 19 of 20 of them.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
from crowded import SIDE, drawn
from memory import held_megabytes
from playwright.sync_api import Browser, Page
from studio import FIRST_MASK, PATIENCE, SLIDE, WINDOW, Server, chromium, launched, show

ALL_NODES = "document.querySelectorAll('*').length"
SETTLED = 3.0  # seconds in which a process that is done with starting takes no more memory

# a change in every frame, by the wheel or by a drag that has begun: milliseconds between frames
STEPS = """
async ([kind, steps]) => {
  const canvas = document.querySelector("[data-testid=canvas]");
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const [x, y] = [left + width / 2, top + height / 2];
  const common = { bubbles: true, cancelable: true, pointerId: 1 };
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const step = (at) => {
    if (kind === "wheel") {
      const deltaY = at % 20 < 10 ? -120 : 120;  // ten in, ten out
      return new WheelEvent("wheel", { ...common, clientX: x, clientY: y, deltaY });
    }
    const turn = (at * Math.PI) / 20;
    const place = { clientX: x + 160 * Math.sin(turn), clientY: y + 120 * Math.sin(1.5 * turn) };
    return new PointerEvent("pointermove", { ...common, ...place });
  };
  const times = [];
  await frame();
  let before = performance.now();
  for (let at = 0; at < steps; at++) {
    canvas.dispatchEvent(step(at));  // drawn in the next frame
    await frame();
    times.push(performance.now() - before);
    before = performance.now();
  }
  return times.slice(1);  // in the first one nothing was drawn before
}
"""

# from here on the page remembers how long each hit test and each answer to the mouse took
WATCH_HOVER = """
() => {
  const watch = (kind, name) => {
    const [before, times] = [kind.prototype[name], []];
    kind.prototype[name] = function (...given) {
      const began = performance.now();
      const answer = before.apply(this, given);
      times.push(performance.now() - began);
      return answer;
    };
    return times;
  };
  const [hit, all] = [watch(studioParts.Viewer, "under"), watch(studioParts.Pointer, "hover")];
  window.hover = { hit, all };
}
"""

# tiles are in sight and each of them knows its image
TILES = """
(() => {
  const tiles = [...document.querySelectorAll("[data-testid=tile]")];
  return tiles.length > 0 && tiles.every((tile) => tile.dataset.state !== "loading");
})()
"""

# remembers when the first frame with such tiles was over
FIRST_TILES = """
(() => {
  const look = () => {
    if (%s) requestAnimationFrame(() => (window.firstTiles = performance.now()));
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
""" % TILES.strip()  # noqa: UP031

# from the next event of an element to the end of the frame that shows what is waited for
WATCH = """
([name, event, there]) => {
  const holds = new Function(`return ${there.trim()}`);
  window.waited = null;
  const begin = ({ timeStamp }) => {
    const end = () => (window.waited = performance.now() - timeStamp);
    const look = () => requestAnimationFrame(holds() ? end : look);
    requestAnimationFrame(look);
  };
  const element = document.querySelector(`[data-testid=${name}]`);
  element.addEventListener(event, begin, { once: true, capture: true });
}
"""


@dataclass(frozen=True)
class Measured:
    """A row of the table: one number or many, and the most that the last one should be."""

    what: str
    values: list[float]
    unit: str
    goal: float | None = None

    def __str__(self) -> str:
        """Write the row."""
        found = f"{self.values[0]:,.4g}" if self.values[0] < 100 else f"{self.values[0]:,.0f}"
        worst = self.values[0]
        if len(self.values) > 1:
            worst = float(np.percentile(self.values, 95))
            found = f"median {statistics.median(self.values):,.1f}, p95 {worst:,.1f}"
        goal = "" if self.goal is None else f"≤ {self.goal:,.0f} {self.unit}"
        missed = ", missed" if self.goal is not None and worst > self.goal else ""
        return f"| {self.what} | {found} {self.unit} | {goal}{missed} |"


def main() -> None:
    """Measure what was asked for and print a table."""
    given = _arguments().parse_args()
    rows: list[Measured] = []
    if given.part in ("crowd", "all"):
        rows += crowd(given)
    if given.part in ("dataset", "all"):
        rows += dataset(given)
    print("\n".join(["| | measured | goal |", "|---|---:|---:|", *map(str, rows)]))


# --- a crowded image -------------------------------------------------------------------------


def crowd(given: argparse.Namespace) -> Iterator[Measured]:
    """Look around in one crowded image."""
    document, picture = drawn(given.instances)
    named = f"{given.instances:,} found, {given.instances:,} true, {SIDE} x {SIDE} px: first paint"
    with (
        tempfile.TemporaryDirectory() as workspace,
        launched(Path(workspace)) as server,
        chromium() as browser,
    ):
        settled(server)
        page = show(browser.new_context(), server.address, document, picture, FIRST_MASK)
        page.wait_for_function("window.firstMask", timeout=PATIENCE)
        yield Measured(named, [float(page.evaluate("window.firstMask"))], "ms")
        page.get_by_test_id("colour-verdict").click()
        totals = page.evaluate("studio.state().totals")
        assert totals["tp"] > 0 < totals["fp"], "nothing was matched"
        yield from frames(page, given.moves)
        yield from sliders(page, given.moves)
        yield from hover(page, given.moves)
        yield Measured("JavaScript heap", [heap_megabytes(page)], "MB", 512)


def frames(page: Page, count: int) -> Iterator[Measured]:
    """Zoom and pan, everything in sight to begin with."""
    show_all(page)
    page.evaluate(STEPS, ["wheel", 10])
    page.get_by_test_id("zoom-fit").click()
    before = page.evaluate("studio.state().paint.frames")
    yield Measured("frame while zooming", page.evaluate(STEPS, ["wheel", count]), "ms", 100)
    page.get_by_test_id("zoom-fit").click()
    x, y, width, height = box_of(page)
    page.mouse.move(x + width / 2, y + height / 2)
    page.mouse.down()
    times = page.evaluate(STEPS, ["drag", count])
    page.mouse.up()
    yield Measured("frame while panning", times, "ms", 100)
    assert page.evaluate("studio.state().paint.frames") - before >= 2 * count, "nothing moved"


def sliders(page: Page, count: int) -> Iterator[Measured]:
    """Move both sliders, everything in sight."""
    page.get_by_test_id("zoom-fit").click()
    for name, what in (("iou", "IoU slider to paint"), ("threshold", "score slider to paint")):
        page.evaluate(SLIDE, [name, 10])
        yield Measured(what, page.evaluate(SLIDE, [name, count]), "ms")
    show_all(page)


def show_all(page: Page) -> None:
    """Move the score slider to its end."""
    page.get_by_test_id("threshold").fill("0")
    page.wait_for_function("studio.state().shown.length === studio.state().total")


def hover(page: Page, count: int) -> Iterator[Measured]:
    """Move the mouse over the crowd; what the page's own functions take of it."""
    page.evaluate(WATCH_HOVER)
    x, y, width, height = box_of(page)
    for share in np.random.default_rng(1).uniform(0.25, 0.75, (count, 2)):
        page.mouse.move(x + share[0] * width, y + share[1] * height)
    yield Measured("hit test under the mouse", page.evaluate("window.hover.hit"), "ms", 16)
    yield Measured("all that a mouse move does", page.evaluate("window.hover.all"), "ms")


def heap_megabytes(page: Page) -> float:
    """Tell how much the page's scripts hold, garbage included."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    told = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(told["JSHeapUsedSize"]) / 2**20


def box_of(page: Page) -> tuple[float, float, float, float]:
    """Tell where the canvas is in the window: x, y, width, height."""
    box = page.get_by_test_id("canvas").bounding_box()
    assert box is not None
    return box["x"], box["y"], box["width"], box["height"]


# --- a huge dataset --------------------------------------------------------------------------


def dataset(given: argparse.Namespace) -> Iterator[Measured]:
    """Open a huge COCO file, restart, and look through it."""
    with kept(given.folder) as folder, tempfile.TemporaryDirectory() as made:
        file = datasets.generate(folder, given.images, given.each)
        workspace = Path(made)
        with launched(workspace) as server:
            usual = settled(server)
            began = time.monotonic()
            opened = server.ask("/api/datasets", {"folder": str(file.parent)})
            most = indexed(server, opened["id"])
            name = f"{given.images:,} images, {given.images * given.each:,} annotations: index"
            yield Measured(name, [time.monotonic() - began], "s")
            yield Measured("server grew by, making it, at most", [most - usual], "MB", 1024)
        with launched(workspace) as server, chromium() as browser:
            _, seconds = first_tiles(server, browser, opened["id"])
            yield Measured("first tiles after a restart, the model still loading", [seconds], "s")
        with launched(workspace) as server, chromium() as browser:
            settled(server)
            yield from look_through(server, browser, opened["id"], given.images * 9 // 10)
            yield Measured("server grew by, looking", [settled(server) - usual], "MB", 1024)


@contextmanager
def kept(folder: Path | None) -> Iterator[Path]:
    """Take a folder to keep the file in, or a new one that is gone afterwards."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made).resolve()


def settled(server: Server) -> float:
    """Wait until the model is there; the megabytes that the server holds before any dataset."""
    held, since = 0.0, time.monotonic()
    while time.monotonic() - since < SETTLED:
        now = held_megabytes(server.pid)
        if now > held + 1:
            held, since = now, time.monotonic()
        time.sleep(0.1)
    return held


def indexed(server: Server, dataset: str) -> float:
    """Wait for the index; the most megabytes that the server was seen to hold meanwhile."""
    most = 0.0
    while (state := server.ask(f"/api/datasets/{dataset}"))["state"] == "indexing":
        most = max(most, held_megabytes(server.pid))
        time.sleep(0.2)
    if state["state"] != "ready":
        raise SystemExit(state["sentence"])
    return max(most, held_megabytes(server.pid))


def look_through(server: Server, browser: Browser, dataset: str, far: int) -> Iterator[Measured]:
    """See the first tiles, jump, filter; and the most nodes that the page had."""
    page, seconds = first_tiles(server, browser, dataset)
    yield Measured("first tiles after a restart, the model loaded", [seconds], "s", 5)
    nodes = [page.evaluate(ALL_NODES)]
    jump = page.get_by_test_id("jump")
    jump.fill(str(far))
    there = f"document.querySelector('[data-testid=tile][data-at=\"{far - 1}\"]')"
    loaded = f"{there} && {there}.dataset.state !== 'loading'"
    page.evaluate(WATCH, ["jump", "keydown", loaded])
    jump.press("Enter")
    yield Measured(f"jump to image {far:,}", [waited(page)], "ms", 500)
    nodes.append(page.evaluate(ALL_NODES))
    listed = f"studio.state().grid.total < {page.evaluate('studio.state().grid.total')}"
    page.evaluate(WATCH, ["filter-category", "change", f"{listed} && {TILES.strip()}"])
    page.get_by_test_id("filter-category").select_option(str(datasets.CATEGORIES[3]))
    yield Measured("list of one class", [waited(page)], "ms")
    nodes.append(page.evaluate(ALL_NODES))
    yield Measured("the page held, at most", [max(nodes)], "nodes", 3000)


def first_tiles(server: Server, browser: Browser, dataset: str) -> tuple[Page, float]:
    """Open a dataset by its address; the page, and the seconds until its tiles are painted."""
    page = browser.new_page()
    page.set_viewport_size(WINDOW)  # type: ignore[arg-type]
    page.add_init_script(FIRST_TILES)
    page.goto(f"{server.address}/?source=dataset&dataset={dataset}", timeout=PATIENCE)
    page.wait_for_function("window.firstTiles", timeout=PATIENCE)
    return page, float(page.evaluate("window.firstTiles")) / 1000


def waited(page: Page) -> float:
    """Wait for what ``WATCH`` watches; its milliseconds."""
    page.wait_for_function("window.waited !== null", timeout=PATIENCE)
    return float(page.evaluate("window.waited"))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", choices=("crowd", "dataset", "all"), default="all")
    parser.add_argument("--instances", type=int, default=1000, help="found, and true, in the crowd")
    parser.add_argument("--moves", type=int, default=100, help="of the mouse and of each slider")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--each", type=int, default=8, help="annotations of an image, on average")
    parser.add_argument("--folder", type=Path, help="where the COCO file is made, and kept")
    return parser


if __name__ == "__main__":
    main()
