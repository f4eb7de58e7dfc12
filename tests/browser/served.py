"""A Studio that is served for a browser, and what tests ask of its page."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import uvicorn
from playwright.sync_api import Page

from app.main import build
from app.services import Services
from comask.predict import Prediction
from tests.app.standins import BlobDetector

PATIENCE = 60_000  # milliseconds; a busy machine is slow, not wrong


@dataclass(frozen=True)
class Site:
    """A Studio that is served, and what it is served from."""

    address: str
    services: Services
    detector: BlobDetector


@contextmanager
def serve(services: Services) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(
            build(services), port=port, log_level="critical", timeout_graceful_shutdown=1
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 60
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(20)


def state(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("window.studio.state()")
    return found


def until(page: Page, condition: str) -> None:
    """Wait until a condition on the state ``s`` holds and everything is drawn."""
    page.wait_for_function(
        f"(() => {{ const s = window.studio?.state(); return s && s.ready && ({condition}); }})()",
        timeout=PATIENCE,
    )


def show(page: Page, site: Site) -> Prediction:
    """Open the page and wait for the first sample's instances."""
    page.goto(site.address)
    until(page, "s.total > 0")
    return prediction_of(site, state(page)["document"])


def prediction_of(site: Site, key: str) -> Prediction:
    file = site.services.checkpoints.find(None)
    assert file is not None
    found = site.services.prediction(file, key)
    assert found is not None
    return found


def slide(page: Page, value: float) -> None:
    page.get_by_test_id("threshold").evaluate(
        "(slider, value) => { slider.value = value;"
        " slider.dispatchEvent(new Event('input', {bubbles: true})); }",
        value,
    )
    until(page, f"Math.abs(s.threshold - {value}) < 1e-9")


def above(prediction: Prediction, score: float) -> list[str]:
    scores = prediction.class_scores
    return [f"p{row + 1}" for row in range(len(prediction)) if scores[row] > np.float32(score)]


def requests_during(page: Page, act: Callable[[], None]) -> list[str]:
    seen: list[str] = []

    def note(request: Any) -> None:
        seen.append(request.url)

    page.on("request", note)
    act()
    page.wait_for_timeout(300)
    page.remove_listener("request", note)
    return seen


def quiet(page: Page, seconds: float = 1.5) -> None:
    """Wait until the page has asked for nothing for a while."""
    asked = [time.monotonic()]

    def note(_request: Any) -> None:
        asked.append(time.monotonic())

    page.on("request", note)
    while time.monotonic() - asked[-1] < seconds:
        page.wait_for_timeout(100)
    page.remove_listener("request", note)


def upload(page: Page, files: list[tuple[str, bytes]]) -> None:
    page.get_by_test_id("upload-input").set_input_files(
        [{"name": n, "mimeType": "image/png", "buffer": content} for n, content in files]
    )
