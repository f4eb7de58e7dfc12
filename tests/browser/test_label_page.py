"""The page Label over the real server: a folder becomes a certified file; two people at once."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from pycocotools.coco import COCO

from app.services import Services
from app.settings import CHECKOUT, Settings
from tests.browser.folders import folder_of_blobs
from tests.browser.served import PATIENCE, Site, serve, state, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword)"),  # gradio of pandas
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

CHECKPOINT = CHECKOUT / "assets" / "checkpoints" / "comask-tiny-nuclei.safetensors"
SAMPLE = CHECKOUT / "assets" / "samples" / "microscopy" / "stained.png"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    if not CHECKPOINT.is_file():
        pytest.skip("the bundled checkpoint is not here")
    with serve(
        Services(Settings(workspace=tmp_path / "workspace", checkpoint=CHECKPOINT, device="cpu"))
    ) as served:
        yield served


def test_a_folder_is_labelled_and_exported(address: str, page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(SAMPLE, folder)
    said = httpx.post(f"{address}api/datasets", json={"folder": str(folder)}, timeout=60).json()
    page.goto(f"{address}?tab=label&source=dataset&dataset={said['id']}")
    until(page, "s.label.page && s.label.revision !== null")
    found = _prelabel(page)
    first = _reject_the_first_and_accept_the_others(page)
    _draw_again_by_the_model(page, first, found)

    page.get_by_test_id("label-export").click()
    page.get_by_test_id("export-start").click()
    expect(page.get_by_test_id("certificate-verdict")).to_be_visible(timeout=PATIENCE)
    assert "failed" not in (page.get_by_test_id("certificate-verdict").text_content() or "")
    with page.expect_download(timeout=PATIENCE) as waiting:
        page.get_by_test_id("export-file").click()
    saved = tmp_path / "labels.json"
    waiting.value.save_as(saved)
    written = COCO(str(saved))
    annotations = written.loadAnns(written.getAnnIds())
    assert len(annotations) == found  # one was rejected, one drawn
    assert {one["iscrowd"] for one in annotations} == {0}
    assert all(int(written.annToMask(one).sum()) == one["area"] for one in annotations)
    assert json.loads(saved.read_text())["categories"][0]["name"] == "nucleus"


def _prelabel(page: Page) -> int:
    page.get_by_test_id("label-prelabel").click()
    page.get_by_test_id("prelabel-start").click()
    expect(page.get_by_test_id("prelabel-progress")).to_contain_text("done", timeout=PATIENCE)
    page.keyboard.press("Escape")
    until(page, "s.total > 20 && Object.values(s.label.states).every((its) => its === 'proposed')")
    return int(state(page)["total"])


def _reject_the_first_and_accept_the_others(page: Page) -> str:
    page.get_by_test_id("canvas").focus()
    page.keyboard.press("j")
    until(page, "s.label.picked !== null")
    first = str(state(page)["label"]["picked"])
    page.keyboard.press("x")
    page.wait_for_function("(id) => window.studio.state().label.picked !== id", arg=first)
    page.keyboard.press("Shift+A")
    until(page, "!Object.values(s.label.states).includes('proposed')")
    return first


def _draw_again_by_the_model(page: Page, uid: str, found: int) -> None:
    """Drag the box of what was rejected: the model draws it anew, about where it was."""
    x, y, width, height = page.evaluate("(id) => window.studio.mask(id)", uid)["bbox"]
    page.keyboard.press("0")
    page.keyboard.press("r")
    until(page, "s.label.tool === 'refit'")
    page.mouse.move(*_screen(page, x, y))
    page.mouse.down()
    page.mouse.move(*_screen(page, x + width, y + height), steps=4)
    page.mouse.up()
    until(page, f"s.total === {found + 1} && s.label.saved")
    (drawn,) = [one for one, its in state(page)["label"]["states"].items() if its == "new"]
    left, top, wide, high = page.evaluate("(id) => window.studio.mask(id)", drawn)["bbox"]
    assert abs(left - x) + abs(top - y) <= 12
    assert abs(wide - width) + abs(high - height) <= 12


def test_the_second_of_two_people_is_told_and_keeps_their_work(
    site: Site, browser: Browser, tmp_path: Path
) -> None:
    folder = folder_of_blobs(tmp_path / "blobs")
    said = httpx.post(f"{site.address}api/datasets", json={"folder": str(folder)}).json()
    address = f"{site.address}?tab=label&source=dataset&dataset={said['id']}&image=d{said['id']}-0"
    # two browsers, which log that the server answered 409
    page, other = (browser.new_context().new_page() for _ in range(2))
    try:
        for one in (page, other):
            one.goto(address)
            until(one, "s.label.page && s.label.revision !== null && s.total > 2")
            one.get_by_test_id("canvas").focus()
        uids = sorted(state(page)["label"]["states"])
        _pick(page, uids[0])
        page.keyboard.press("x")
        until(page, "s.label.saved && s.label.revision === 1")

        # the same label: nothing is decided for them
        _pick(other, uids[0])
        other.keyboard.press(".")
        until(other, "s.label.conflict !== null")
        assert state(other)["label"]["pending"] > 0
        other.get_by_test_id("keep-mine").click()
        until(other, f"s.label.saved && s.label.states['{uids[0]}'] === 'edited'")

        # another label: both stay, and the first one is told
        _pick(page, uids[1])
        page.keyboard.press("x")
        until(page, f"s.label.saved && s.label.states['{uids[1]}'] === 'rejected'")
        until(page, f"s.label.states['{uids[0]}'] === 'edited'")
        expect(page.get_by_test_id("label-note")).to_contain_text("changed")
    finally:
        page.context.close()
        other.context.close()
    kept = httpx.get(f"{site.address}api/labels/d{said['id']}-0").json()["instances"]
    states = {one["id"]: one["state"] for one in kept}
    assert (states[uids[0]], states[uids[1]]) == ("edited", "rejected")


def _screen(page: Page, x: float, y: float) -> tuple[float, float]:
    seen = state(page)
    box = page.get_by_test_id("canvas").bounding_box()
    assert box is not None
    (left, top), zoom = seen["pan"], seen["zoom"]
    return box["x"] + left + x * zoom, box["y"] + top + y * zoom


def _pick(page: Page, uid: str) -> None:
    place = page.evaluate("(id) => window.studio.point(id)", uid)
    page.mouse.click(place["x"], place["y"])
    page.wait_for_function("(id) => window.studio.state().label.picked === id", arg=uid)
