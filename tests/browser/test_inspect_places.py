"""Addresses of the page Inspect open it again, and a dataset's objects filter its grid."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.inspecting import ANSWERED, open_inspect, served
from tests.browser.served import PATIENCE, Site, state, until
from tests.browser.test_addresses import HANDS, TRIES, settled
from tests.browser.test_real_runs import NUCLEI, part_of, run_over

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword)"),  # gradio of pandas
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

Scale = Callable[[float], float]

FEW = list(NUCLEI[1:])  # images of 41 and 5 nuclei
# what is done to the page, one after the other: (name, JavaScript, what then holds of s.inspection)
STEPS = (
    ("a map", "press('map-P4-8x')", "i.chosen.level === 4 && i.chosen.name === '8x'"),
    ("a channel", "press('how-channel'); choose('channel', '7')", "i.url.includes('channel=7')"),
    ("one scale", "press('range-all'); slide('heat-opacity', 30)", "i.chosen"),
    ("a held scale", "press('range-held'); press('map-P2-fused')", "i.chosen.level === 2"),
    (
        "parts",
        "press('kind-contribution')",
        "i.url.includes('contribution') && i.chosen.name === 'fused'",
    ),
    ("who wins", "press('map-P5-winner')", "i.chosen.name === 'winner'"),
    (
        "a live field of cells",
        "press('kind-field'); press('path-cascade'); press('norm-live'); press('frame-level')",
        "i.field && i.url.includes('live') && i.url.includes('frame=level')",
    ),
    ("an instance's field", "press('target-instance'); key('j'); key('j')", "i.field"),
    ("everything on", "press('kind-ablation')", "i.counts"),
    ("a branch off", "press('switch-P2-2x')", "i.counts && s.place.cut"),
    (
        "without collaboration",
        "press('without-cl'); press('reach-cascade'); press('matrix-fold')",
        "i.counts && s.place.cut.includes('plain') && s.place.cut.includes('cascade')",
    ),
    (
        "maps again, zoomed",
        "press('matrix-fold'); press('kind-activation'); press('zoom-in')",
        "i.chosen",
    ),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("workspace")) as site:
        yield site


def test_every_state_has_an_address_that_opens_it_again(
    site: Site, page: Page, browser: Browser
) -> None:
    open_inspect(page, site)
    page.evaluate(HANDS)
    for name, step, holds in STEPS:
        page.evaluate(step)
        condition = f"{ANSWERED} && (i => {holds})(s.inspection)"
        until(page, condition)
        for looks in range(1, TRIES + 1):
            before, _ = settled(page, looks)
            with browser.new_context(viewport=page.viewport_size) as fresh:
                again = fresh.new_page()
                again.goto(page.url)
                expect(again.get_by_test_id("studio")).to_be_visible(timeout=PATIENCE)
                until(again, condition)
                after, _ = settled(again, looks)
            if after == before:
                break
        assert after["inspection"] == before["inspection"], name
        assert after["place"] == before["place"], name
        assert after == before, name


def test_an_address_that_makes_no_sense_is_a_sentence_or_the_start(
    site: Site, browser: Browser
) -> None:
    with browser.new_context() as fresh:
        page = fresh.new_page()  # what the server refuses is an error in its console
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        words = "?tab=inspect&source=samples"
        page.goto(f"{site.address}{words}&question=ablation&cut={json.dumps({'branches_off': 5})}")
        note = page.get_by_test_id("matrix-note")
        expect(note).to_contain_text("branches_off", timeout=PATIENCE)
        page.goto(f"{site.address}{words}&question=everything&level=9&heat=7&limits=a,b&point=x")
        until(page, f"{ANSWERED} && s.inspection.chosen")
        place = state(page)["place"]
        assert (place["question"], place["level"], place["heat"]) == ("activation", 2, 0.65)
        assert (place["limits"], place["point"]) == ("", "")
        assert faults == []


# -- objects of a dataset -----------------------------------------------------------------------


def objects(page: Page, site: Site) -> list[dict[str, str]]:
    """Fetch the table that the page offers."""
    address = page.get_by_test_id("fit-csv").get_attribute("href") or ""
    with urlopen(site.address.rstrip("/") + address) as answer:
        return list(csv.DictReader(io.StringIO(answer.read().decode())))


@pytest.fixture
def fitted(site: Site, page: Page, shared_data: Path, tmp_path: Path) -> Page:
    """Run over two images of nuclei and wait for their objects."""
    source = shared_data / "nuclei"
    folder = part_of(tmp_path / "set", source / "val", source / "instances_val.json", FEW)
    run_over(page, site.address, folder, len(FEW))
    page.locator("[data-page=inspect]").click()
    page.get_by_test_id("kind-fit").click()
    expect(page.get_by_test_id("scatter")).to_be_visible(timeout=3 * PATIENCE)
    return page


def test_every_object_is_a_point_of_its_size_and_field(
    site: Site, fitted: Page, tmp_path: Path
) -> None:
    rows = objects(fitted, site)
    truth = json.loads((tmp_path / "set" / "instances.json").read_text())
    areas = {str(one["id"]): one["area"] for one in truth["annotations"]}
    assert {row["object"] for row in rows} == set(areas)
    for row in rows:
        assert float(row["object_px"]) == pytest.approx(math.sqrt(areas[row["object"]]), rel=0.02)
    fit = state(fitted)["inspection"]["fit"]
    assert fit["count"] == len(rows) == 46
    assert fit["found"] == sum(row["found"] == "1" for row in rows)
    np.testing.assert_allclose(fit["fields"], [float(row["field_px"]) for row in rows], rtol=1e-5)


def test_brushed_objects_filter_the_grid_and_a_click_opens_one(site: Site, fitted: Page) -> None:
    rows = objects(fitted, site)
    x, y = brush(fitted)
    low, high, narrow, wide = (float(one) for one in state(fitted)["place"]["fit"].split(","))
    chosen = [
        row
        for row in rows
        if low <= float(row["object_px"]) <= high and narrow <= float(row["field_px"]) <= wide
    ]
    images = {row["image"] for row in chosen}
    assert 0 < len(chosen) < len(rows)
    assert len(images) < len(FEW)
    expect(fitted.get_by_test_id("fit-chosen")).to_contain_text(
        f"{len(chosen)} chosen in {len(images)} images"
    )
    fitted.get_by_test_id("fit-browse").click()
    tiles, pill = fitted.get_by_test_id("tile"), fitted.get_by_test_id("filter-fit")
    expect(tiles).to_have_count(len(images), timeout=PATIENCE)
    assert all(any(image in name for image in images) for name in tiles.all_text_contents())
    expect(pill).to_contain_text("Objects of")
    pill.click()
    expect(tiles).to_have_count(len(FEW), timeout=PATIENCE)
    expect(pill).to_be_hidden()
    fitted.locator("[data-page=inspect]").click()
    expect(fitted.get_by_test_id("scatter")).to_be_visible(timeout=PATIENCE)
    largest = max(rows, key=lambda row: float(row["object_px"]))
    point = x(float(largest["object_px"])), y(float(largest["field_px"]))
    fitted.mouse.move(*point)
    expect(fitted.get_by_test_id("fit-tip")).to_contain_text(f"object {largest['object']},")
    fitted.mouse.click(*point)
    until(fitted, f"s.front === 'viewer' && s.selected === 't{largest['object']}'")
    expect(fitted.get_by_test_id("title")).to_have_text(largest["image"])


def brush(page: Page) -> tuple[Scale, Scale]:
    """Drag over the wider fields; which value lies where along both axes, in CSS pixels."""
    box = page.get_by_test_id("scatter").bounding_box()
    assert box is not None
    left, top = box["x"] + 60, box["y"] + 20
    right, bottom = box["x"] + box["width"] - 20, box["y"] + 0.45 * box["height"]
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(right, bottom, steps=4)
    page.mouse.up()
    low, high, narrow, wide = (float(one) for one in state(page)["place"]["fit"].split(","))
    return between((low, left), (high, right)), between((narrow, bottom), (wide, top))


def between(first: tuple[float, float], last: tuple[float, float]) -> Scale:
    """Interpolate along a logarithmic axis between two (value, place)."""
    step = (last[1] - first[1]) / math.log(last[0] / first[0])
    return lambda value: first[1] + step * math.log(value / first[0])
