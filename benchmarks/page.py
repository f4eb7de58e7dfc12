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
import statistics
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import BrowserContext, Page
from studio import FIRST_MASK, PATIENCE, SLIDE, WINDOW, chromium, launched, show

from app.canvas import payload
from comask.annotation import rle
from comask.annotation.records import Annotation, Category

SIZE = (1040, 1392)  # of the made-up image: a microscope's


def main() -> None:
    """Measure visits, then the slider, and print a table."""
    given = _arguments().parse_args()
    lines = ["| | ms | requests | kB over the wire |", "|---|---:|---:|---:|"]
    with (
        tempfile.TemporaryDirectory() as workspace,
        launched(Path(workspace), given.checkpoint) as server,
        chromium() as browser,
    ):
        address = server.address
        lines.append(row("first visit, model runs", [visit(browser.new_context(), address)]))
        fresh = [visit(browser.new_context(), address) for _ in range(given.rounds)]
        lines.append(row("new browser, image seen before", fresh))
        known = browser.new_context()
        visit(known, address)
        again = [visit(known, address) for _ in range(given.rounds)]
        lines.append(row("same browser again", again))
        times, drawing, requests = slide(browser.new_context(), address, given)
    print(f"From the command to the first answer: {server.seconds:.1f} s\n")
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
    page = show(context, address, document, picture)
    for switch in ("boxes", "labels"):  # as much to draw as there can be
        page.get_by_test_id(f"switch-{switch}").check()
    page.evaluate(SLIDE, ["threshold", 10])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    times: list[float] = page.evaluate(SLIDE, ["threshold", given.moves])
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


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="by default the bundled one")
    parser.add_argument("--rounds", type=int, default=5, help="visits of each kind")
    parser.add_argument("--instances", type=int, default=300, help="under the slider")
    parser.add_argument("--moves", type=int, default=100, help="of the slider")
    return parser


if __name__ == "__main__":
    main()
