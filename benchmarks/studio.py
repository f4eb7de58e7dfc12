"""The Studio in a process of its own, and a browser to open it in; what the scripts here measure.

Whoever imports this can import ``app`` and ``comask`` of this checkout too.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import cv2
import numpy as np
from playwright.sync_api import BrowserContext, Page, Route, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

WINDOW = {"width": 1440, "height": 900}
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 180_000  # milliseconds

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

# moves a slider through its range; milliseconds of each move until its frame is over
SLIDE = """
async ([name, moves]) => {
  const slider = document.querySelector(`[data-testid=${name}]`);
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


@dataclass(frozen=True)
class Server:
    """A Studio that answers: where it is, its process, and the seconds until it answered."""

    address: str
    pid: int
    seconds: float

    def ask(self, path: str, content: dict[str, Any] | None = None) -> Any:
        """Ask one of its routes; with content it is a POST."""
        data = None if content is None else json.dumps(content).encode()
        request = Request(self.address + path, data, {"Content-Type": "application/json"})
        with urlopen(request, timeout=PATIENCE / 1000) as answer:
            return json.load(answer)


@contextmanager
def launched(workspace: Path, checkpoint: Path | None = None) -> Iterator[Server]:
    """Run ``launch.py`` on a port of its own until the block ends."""
    command = [sys.executable, "launch.py", "--port=0", f"--workspace={workspace.resolve()}"]
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
        yield Server(address, server.pid, time.monotonic() - began)
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


def show(
    context: BrowserContext, address: str, document: Any, picture: np.ndarray, *scripts: str
) -> Page:
    """Open the page on a made-up document and its picture, whatever image it asks for."""
    image = cv2.imencode(".png", picture)[1].tobytes()
    page = context.new_page()
    page.set_viewport_size(WINDOW)  # type: ignore[arg-type]
    for script in scripts:
        page.add_init_script(script)
    page.route("**/api/documents/**", lambda route: route.fulfill(json=document))
    page.route(f"**{document['image']['url']}", lambda route: _png(route, image))
    page.goto(address, timeout=PATIENCE)
    key = json.dumps(document["image"]["key"])
    page.wait_for_function(
        f"window.studio?.state().ready && studio.state().document === {key}", timeout=PATIENCE
    )
    return page


def _png(route: Route, image: bytes) -> None:
    route.fulfill(body=image, content_type="image/png")
