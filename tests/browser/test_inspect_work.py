"""The page Inspect while it works, and where there is nothing to look into."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from app.actions import fields
from app.services.tasks import StoppedError
from tests.app.standins import studio
from tests.browser.inspecting import answered, on_screen, open_inspect, served
from tests.browser.served import PATIENCE, Site, serve, state, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword)"),  # gradio of pandas
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

STEPS = 8


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with served(tmp_path / "workspace") as site:
        yield site


class Slow:
    """Stands before an action: it reports the third of eight steps until it may go on."""

    def __init__(self, action: Any) -> None:
        self.action = action
        self.gate = threading.Event()
        self.stopped = 0

    def __call__(self, *given: Any) -> bytes:
        *_, report = given
        try:
            while not self.gate.is_set():
                report(2, STEPS)
                time.sleep(0.02)
        except StoppedError:
            self.stopped += 1
            raise
        answer: bytes = self.action(*given)
        return answer

    def wait(self, count: int) -> None:
        """Wait until so many pieces of work were stopped."""
        until = time.monotonic() + PATIENCE
        while self.stopped < count and time.monotonic() < until:
            time.sleep(0.02)
        assert self.stopped == count


@pytest.mark.slow
def test_long_work_shows_how_far_it_is_and_stops_when_nobody_wants_it(
    site: Site, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(fields.packet)
    monkeypatch.setattr(fields, "packet", slow)
    open_inspect(page, site)
    page.get_by_test_id("kind-field").click()
    busy, text = page.get_by_test_id("inspect-busy"), page.get_by_test_id("inspect-busy-text")
    expect(text).to_have_text(f"Looking, 2 of {STEPS}", timeout=PATIENCE)
    expect(busy).to_be_visible()
    assert page.get_by_test_id("inspect-busy-bar").evaluate("bar => bar.value") == 2 / STEPS
    page.get_by_test_id("inspect-stop").click()
    expect(busy).to_be_hidden()
    expect(page.get_by_test_id("matrix-note")).to_contain_text("Stopped.")
    slow.wait(1)
    page.get_by_test_id("inspect-again").click()
    expect(busy).to_be_visible(timeout=PATIENCE)
    page.mouse.click(*on_screen(page, 40, 50))  # another question takes the place of this one
    slow.wait(2)
    expect(text).to_have_text(f"Looking, 2 of {STEPS}", timeout=PATIENCE)
    page.locator("[data-page=browse]").click()
    slow.wait(3)
    page.locator("[data-page=inspect]").click()
    expect(busy).to_be_visible(timeout=PATIENCE)
    slow.gate.set()
    answered(page, "s.inspection.field")
    expect(busy).to_be_hidden()
    assert slow.stopped == 3


def test_without_an_image_it_says_the_next_step(page: Page, tmp_path: Path) -> None:
    with serve(studio(tmp_path, samples=0)) as address:
        page.goto(f"{address}?tab=inspect")
        note = page.get_by_test_id("matrix-note")
        expect(note).to_contain_text("No image is open", timeout=PATIENCE)
        expect(page.get_by_test_id("open-upload")).to_be_visible()
        page.get_by_test_id("kind-fit").click()
        expect(note).to_contain_text("looks at a whole dataset")
        page.get_by_test_id("open-dataset").click()
        expect(page.get_by_test_id("dataset-empty")).to_be_visible(timeout=PATIENCE)
        expect(page.get_by_test_id("folder")).to_be_visible()
        assert state(page)["place"]["page"] == "inspect"
        page.close()


def test_without_a_checkpoint_it_says_the_next_step(page: Page, tmp_path: Path) -> None:
    with serve(studio(tmp_path, checkpoint=False)) as address:
        page.goto(f"{address}?tab=inspect")
        until(page, "s.inspection")
        note = page.get_by_test_id("matrix-note")
        expect(note).to_contain_text("There is no checkpoint to look into: add one on the left.")
        for question in ("contribution", "field", "ablation"):
            page.get_by_test_id(f"kind-{question}").click()
            expect(note).to_contain_text("There is no checkpoint to look into")
            assert state(page)["inspection"]["url"] is None
        page.close()


def test_a_model_that_is_no_comask_is_one_sentence(browser: Browser, tmp_path: Path) -> None:
    with serve(studio(tmp_path)) as address, browser.new_context() as context:
        page = context.new_page()  # the refusal is an error in its console
        page.goto(f"{address}?tab=inspect")
        until(page, "s.total > 0 && s.inspection")
        note = page.get_by_test_id("matrix-note")
        for question in ("activation", "contribution", "field", "ablation"):
            page.get_by_test_id(f"kind-{question}").click()
            expect(note).to_contain_text("This model can't be looked into", timeout=PATIENCE)
            expect(page.get_by_test_id("inspect-again")).to_be_visible()
            expect(page.get_by_test_id("inspect-busy")).to_be_hidden()
            expect(page.get_by_test_id("inspect-panel")).to_be_hidden()
