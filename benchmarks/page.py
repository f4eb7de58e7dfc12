"""How soon does the Studio show masks, how many bytes does that take, and does its slider keep up?

Starts ``launch.py`` on a new workspace and opens it in Chromium: first with nothing cached and the
model not yet run, then again and again with new browsers, then with one that was here before.
Times are from the navigation to the frame that holds the first predicted mask. The slider is moved
over a made-up document of many instances, with everything drawn that can be; its time is from the
input event to the end of the frame that shows it, so two frames (33 ms) are the least there is.

    python benchmarks/page.py
    python benchmarks/page.py --checkpoint mine.safetensors --instances 1000
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import cv2
import numpy as np
from playwright.sync_api import BrowserContext, Page, Route, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.canvas import payload  # noqa: E402
from comask.annotation import rle  # noqa: E402
from comask.annotation.records import Annotation, Category  # noqa: E402

WINDOW = {"width": 1440, "height": 900}
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 180_000  # milliseconds
SIZE = (1040, 1392)  # of the made-up image: a microscope's

# remembers when the first frame with a predicted mask was over
FIRST_MASK = """
(() => {
  const look = () => {
    const state = window.studio?.state();
    const shown = state?.ready && state.shown.some((id) => id.startsWith("p"));
    if (shown) requestAnimationFrame(() => (window.firstMask = performance.now()));
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""

# moves the slider through its range; milliseconds of each move until its frame is over
SLIDE = """
async (moves) => {
  const slider = document.querySelector("[data-testid=threshold]");
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const times = [];
  for (let move = 0; move < moves; move++) {
    await frame();
    slider.value = (0.05 + 0.9 * Math.abs(1 - (2 * move) / moves)).toFixed(2);
    const began = performance.now();
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await frame();  // the canvas draws in this frame ...
    await frame();  // ... and it is over when the next one begins
    times.push(performance.now() - began);
  }
  return times;
}
"""


def main() -> None:
    """Measure visits, then the slider, and print a table."""
    given = _arguments().parse_args()
    lines = ["| | ms | requests | kB over the wire |", "|---|---:|---:|---:|"]
    with studio(given.checkpoint) as (address, seconds), chromium() as browser:
        lines.append(row("first visit, model runs", [visit(browser.new_context(), address)]))
        fresh = [visit(browser.new_context(), address) for _ in range(given.rounds)]
        lines.append(row("new browser, image seen before", fresh))
        known = browser.new_context()
        visit(known, address)
        again = [visit(known, address) for _ in range(given.rounds)]
        lines.append(row("same browser again", again))
        times, drawing, requests = slide(browser.new_context(), address, given)
    print(f"From the command to the first answer: {seconds:.1f} s\n")
    print("\n".join(lines))
    print(
        f"\nSlider to paint, {given.instances} instances of {SIZE[1]} x {SIZE[0]} px: "
        f"median {statistics.median(times):.0f} ms, "
        f"19 of 20 under {np.percentile(times, 95):.0f} ms "
        f"(drawing alone {drawing:.1f} ms), {requests} requests"
    )


Visit = tuple[float, int, float]  # milliseconds, requests, kilobytes


def visit(context: BrowserContext, address: str) -> Visit:
    """Open the page in a new tab and wait for the first predicted mask."""
    page = context.new_page()
    page.set_viewport_size(WINDOW)  # type: ignore[arg-type]
    page.add_init_script(FIRST_MASK)
    sent = wire(context, page)
    page.goto(address, wait_until="commit", timeout=PATIENCE)
    page.wait_for_function("window.firstMask", timeout=PATIENCE)
    milliseconds = float(page.evaluate("window.firstMask"))
    found = milliseconds, len(sent), sum(sent) / 1000
    page.close()
    return found


def wire(context: BrowserContext, page: Page) -> list[float]:
    """Collect the bytes of every answer that comes over the network, headers included."""
    sent: list[float] = []
    cached: set[str] = set()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.requestServedFromCache", lambda told: cached.add(told["requestId"]))

    def done(told: dict[str, Any]) -> None:
        if told["requestId"] not in cached and told["encodedDataLength"] > 0:
            sent.append(told["encodedDataLength"])

    session.on("Network.loadingFinished", done)
    return sent


def row(name: str, visits: list[Visit]) -> str:
    """Write a row of medians."""
    milliseconds, requests, kilobytes = (statistics.median(v) for v in zip(*visits, strict=True))
    return f"| {name} | {milliseconds:.0f} | {requests:.0f} | {kilobytes:.0f} |"


# --- the slider ------------------------------------------------------------------------------


def slide(
    context: BrowserContext, address: str, given: argparse.Namespace
) -> tuple[list[float], float, int]:
    """Move the slider over a made-up document: milliseconds a move, of drawing, and requests."""
    document, picture = crowd(given.instances)
    page = context.new_page()
    page.set_viewport_size(WINDOW)  # type: ignore[arg-type]
    page.route("**/api/documents/**", lambda route: route.fulfill(json=document))
    page.route("**/api/images/crowd", lambda route: _png(route, picture))
    page.goto(address, timeout=PATIENCE)
    page.wait_for_function(
        "window.studio?.state().ready && studio.state().document === 'crowd'", timeout=PATIENCE
    )
    for switch in ("boxes", "labels"):  # as much to draw as there can be
        page.get_by_test_id(f"switch-{switch}").check()
    page.evaluate(SLIDE, 10)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    times: list[float] = page.evaluate(SLIDE, given.moves)
    drawing = float(page.evaluate("studio.state().paint.drawMs"))
    return times, drawing, len(asked)


def crowd(count: int) -> tuple[payload.Document, np.ndarray]:
    """Make an image of overlapping discs, and the document that finds them, scores 0 .. 1."""
    generator = np.random.default_rng(0)
    height, width = SIZE
    radius = 0.45 * np.sqrt(height * width / count)
    picture = np.full((height, width, 3), 30, np.uint8)
    found = []
    for number in range(count):
        centre = (int(generator.integers(0, width)), int(generator.integers(0, height)))
        drawn = np.zeros(SIZE, np.uint8)
        cv2.circle(drawn, centre, max(2, int(radius * generator.uniform(0.5, 1.2))), 1, -1)
        picture[drawn > 0] = generator.integers(60, 255, 3)
        code = rle.encode(drawn)
        found.append(Annotation(number + 1, 1, 1, code, rle.area(code), rle.bbox(code)))
    scores = np.sort(generator.uniform(0, 1, count))[::-1]
    made = payload.document(
        {
            "key": "crowd",
            "file_name": "crowd.png",
            "width": width,
            "height": height,
            "url": "/api/images/crowd",
        },
        truth=found,
        truth_categories=[Category(1, "disc")],
    )
    made["layers"] = [{"name": "prediction", "editable": False}]
    for one, score in zip(made["instances"], scores.tolist(), strict=True):
        x, y, w, h = one["bbox"]
        one |= {"id": one["id"].replace("t", "p"), "layer": "prediction", "mask_iou": 0.8}
        one |= {"class_score": score, "score": score + 0.24, "box": [x, y, x + w, y + h]}
    return made, picture


def _png(route: Route, picture: np.ndarray) -> None:
    route.fulfill(body=cv2.imencode(".png", picture)[1].tobytes(), content_type="image/png")


# --- server and browser ----------------------------------------------------------------------


@contextmanager
def studio(checkpoint: Path | None) -> Iterator[tuple[str, float]]:
    """Run ``launch.py`` on a port of its own; gives the page's address and the seconds it took."""
    with tempfile.TemporaryDirectory() as workspace:
        command = [sys.executable, "launch.py", "--port=0", f"--workspace={workspace}"]
        command += [f"--checkpoint={checkpoint.resolve()}"] if checkpoint else []
        began = time.monotonic()
        server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            said = server.stdout.readline()
            if "http" not in said:
                raise SystemExit("launch.py did not start")
            address = said.split(" is at ")[1].split()[0]
            urlopen(f"{address}/manifest.json", timeout=PATIENCE / 1000).close()
            yield address, time.monotonic() - began
        finally:
            server.terminate()
            server.wait()


@contextmanager
def chromium() -> Iterator[Any]:
    """Run the machine's own Chromium."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="by default the bundled one")
    parser.add_argument("--rounds", type=int, default=5, help="visits of each kind")
    parser.add_argument("--instances", type=int, default=300, help="under the slider")
    parser.add_argument("--moves", type=int, default=100, help="of the slider")
    return parser


if __name__ == "__main__":
    main()
