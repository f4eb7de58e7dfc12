"""How soon does the Studio answer beside ``import torch, gradio``, and a click beside one pass?

Every round starts both in turn, on a new workspace. The Studio's time ends when its page and the
page's main script were fetched; then it is killed, so that its processor time is what was spent
until then, the model's opening beside the page included. After that a Studio of its own is asked,
some seconds after its page answered, for a sample as the page asks for one that is clicked
(``GET /api/documents/KEY``), and the network passes over the same image in this process. How long
after its start such a Studio had masks is held against the bare import as well. What is printed are
medians of the ratios round by round, with the least and the largest.

    python benchmarks/startup.py
    python benchmarks/startup.py --rounds 9 --pauses 0,2,5
    python benchmarks/startup.py --here      # a click on an open model, in processor time
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

from fastapi import FastAPI
from fastapi.testclient import TestClient
from studio import PATIENCE, ROOT

from app import api
from app.services import Services
from app.services.images import key_of
from app.settings import Settings
from comask.data import images
from comask.predict import PredictionSettings, Predictor

BARE = "import torch, gradio"
SAMPLE = ROOT / "assets/samples/photographs/coins.png"
CHECKPOINT = ROOT / "assets/checkpoints/comask-tiny-coco.safetensors"
MAIN_SCRIPT = re.compile(r'<script type="module"[^>]*\ssrc="([^"]+)"')

Spent = tuple[float, float]  # seconds on the clock, seconds of processor time


def main() -> None:
    """Take turns and print two tables."""
    given = _arguments().parse_args()
    if given.here:
        print(f"beside one pass, processor time: {spread(here(given))}, {given.rounds} rounds")
        return
    pauses = [float(pause) for pause in given.pauses.split(",")]
    start: list[Spent] = []
    clicks: dict[float, list[tuple[float, float]]] = {pause: [] for pause in pauses}
    network = Network(given.checkpoint, given.image)
    for turn in range(given.rounds):
        took = {}
        for what in ("bare", "studio") if turn % 2 else ("studio", "bare"):
            took[what] = bare() if what == "bare" else answered(given.checkpoint)
        start.append(ratio(took["studio"], took["bare"]))
        for pause in pauses:
            waited, since_start = click(given.checkpoint, given.image, pause)
            clicks[pause].append((waited / network.seconds(), since_start / took["bare"][0]))
        last = [*start[-1], *(one for ratios in clicks.values() for one in ratios[-1])]
        words = ", ".join(f"{value:.2f}" for value in last)
        print(f"round {turn + 1} of {given.rounds}: {words}", file=sys.stderr)
    print("| process start to page and script, beside `import torch, gradio` | ratio |\n|---|---:|")
    for name, column in zip(("clock", "processor time"), zip(*start, strict=True), strict=True):
        print(f"| {name} | {spread(column)} |")
    print(
        "\n| first masks of a sample, clicked after the page answered | beside one pass |", end=""
    )
    print(" process start to them, beside the import |\n|---|---:|---:|")
    for pause, pairs in clicks.items():
        waits, totals = zip(*pairs, strict=True)
        print(f"| {pause:g} s after | {spread(waits)} | {spread(totals)} |")
    print(f"\n{given.rounds} rounds")


class Network:
    """The model of a checkpoint in this process, warm, over one image."""

    def __init__(self, checkpoint: Path, image: Path) -> None:
        settings = PredictionSettings(min_score=0.05)  # the Studio's own
        self._predictor = Predictor.from_checkpoint(checkpoint, settings=settings)
        self._pixels = images.load(image).pixels
        self.seconds()

    def seconds(self, clock: Callable[[], float] = time.perf_counter) -> float:
        """Pass over the image three times; the median."""
        times = []
        for _ in range(3):
            with self._predictor.opened(self._pixels) as (model, batch, _scale):
                began = clock()
                model(batch, True)
                times.append(clock() - began)
        return statistics.median(times)


def bare() -> Spent:
    """Import the two libraries that nothing can do without."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", BARE], cwd=ROOT)
    return _ended(process, began)


def answered(checkpoint: Path) -> Spent:
    """Start the Studio and fetch its page and the page's main script."""
    with tempfile.TemporaryDirectory() as workspace:
        began = time.perf_counter()
        process, address = _launched(checkpoint, workspace)
        _visit(address)
        seconds = time.perf_counter() - began
        process.kill()
        return seconds, _ended(process, began)[1]


def click(checkpoint: Path, image: Path, pause: float) -> tuple[float, float]:
    """Open the page, wait, and ask for an image as the page does, until its masks came.

    Gives the seconds since it was asked for, and since the Studio's process was started.
    """
    key = key_of(image.read_bytes(), "samples")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as workspace, _serving(checkpoint, workspace) as address:
        _visit(address)
        time.sleep(pause)
        began = time.perf_counter()
        asked = f"{address}/api/documents/{key}?checkpoint={checkpoint.stem}"
        said = b'"pending"'
        while b'"pending"' in said:  # the server waits two minutes; the page then asks again
            with urlopen(asked, timeout=PATIENCE / 1000) as answer:
                said = answer.read()
        ended = time.perf_counter()
        return ended - began, ended - started


def here(given: argparse.Namespace) -> list[float]:
    """Answer the page's question in this process, with the model open, in turn with one pass."""
    with tempfile.TemporaryDirectory() as workspace:
        services = Services(Settings(workspace=Path(workspace), checkpoint=given.checkpoint))
        app = FastAPI()
        app.include_router(api.router(services))
        browser, key = TestClient(app), key_of(given.image.read_bytes(), "samples")
        network = Network(given.checkpoint, given.image)
        ratios = []
        for _ in range(given.rounds + 1):
            services.predictions.remove(key)
            began = time.process_time()
            answer = browser.get(f"/api/documents/{key}")
            asked = time.process_time() - began
            if b'"pending"' in answer.content:
                raise SystemExit("the model was not done in two minutes")
            ratios.append(asked / network.seconds(time.process_time))
        services.close()
    return ratios[1:]  # the first one opened the model


def ratio(own: Spent, other: Spent) -> Spent:
    """Divide the clock's seconds and the processor's."""
    return own[0] / other[0], own[1] / other[1]


def spread(ratios: Sequence[float]) -> str:
    """Write a median with the least and the largest."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f})"


@contextmanager
def _serving(checkpoint: Path, workspace: str) -> Iterator[str]:
    process, address = _launched(checkpoint, workspace)
    try:
        yield address
    finally:
        process.terminate()
        process.wait()


def _launched(checkpoint: Path, workspace: str) -> tuple["subprocess.Popen[str]", str]:
    # the Studio opens with that one anyway; another is named, which reads it first
    flags = [] if checkpoint == CHECKPOINT else [f"--checkpoint={checkpoint}"]
    command = [sys.executable, "launch.py", "--port=0", f"--workspace={workspace}", *flags]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.readline()
    if "http" not in said:
        raise SystemExit("launch.py did not start")
    return process, said.split(" is at ")[1].split()[0]


def _visit(address: str) -> None:
    with urlopen(address, timeout=PATIENCE / 1000) as answer:
        script = MAIN_SCRIPT.search(answer.read().decode())
    if script is None:
        raise SystemExit("the page has no main script")
    urlopen(urljoin(f"{address}/", script[1]), timeout=PATIENCE / 1000).close()


def _ended(process: "subprocess.Popen[str] | subprocess.Popen[bytes]", began: float) -> Spent:
    """Wait for a process: seconds since it began, and the processor time that it took."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.stdout is not None:
        process.stdout.close()
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pauses", default="0,3", help="seconds from page to click: %(default)s")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--here", action="store_true", help="only a click, in this process")
    parser.add_argument("--image", type=Path, default=SAMPLE, help="one of the samples")
    return parser


if __name__ == "__main__":
    main()
