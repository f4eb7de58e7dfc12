"""Receptive fields and ablation on the page Inspect are those of comask.analysis."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from comask.analysis import Switches, ablate, difference
from comask.analysis.activation import Look, look
from comask.analysis.cells import cells_of_mask
from comask.analysis.effective_field import EffectiveField, Question, effective_fields
from comask.analysis.theoretical_field import theoretical_box
from comask.annotation import rle
from comask.predict import Prediction
from tests.browser.inspecting import (
    Bench,
    answered,
    ask,
    bench,
    in_colour,
    number,
    on_screen,
    open_inspect,
    pick_map,
    served,
    table,
)
from tests.browser.served import Site, slide, state, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword)"),  # gradio of pandas
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

BRANCHES = ["1x", "8x", "4x", "2x", "fused"]
SHARES = (0.5, 0.9, 0.99)
LOST, GAINED = (213, 94, 0), (86, 180, 233)
HALF = 0.5  # the score that the slider starts at


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("workspace")) as site:
        yield site


@pytest.fixture(scope="module")
def beside(site: Site) -> Bench:
    return bench()


@pytest.fixture(scope="module")
def seen(beside: Bench) -> Look:
    return look(beside.predictor, beside.pixels)


@pytest.fixture(scope="module")
def before(beside: Bench) -> Prediction:
    return beside.predictor.predict(beside.pixels)


@pytest.fixture
def inspect(site: Site, page: Page) -> Page:
    """Open the sample on the page Inspect."""
    open_inspect(page, site)
    return page


# -- receptive fields ---------------------------------------------------------------------------


def ask_field(page: Page, *presses: str) -> None:
    ask(page, "kind-field", *presses, where="s.inspection.field")


def click_image(page: Page, x: float, y: float) -> None:
    page.mouse.click(*on_screen(page, x, y))
    until(page, f"Math.hypot(s.inspection.point[0] - {x}, s.inspection.point[1] - {y}) < 0.6")
    answered(page, "s.inspection.field")


def nearest(point: tuple[float, float], stride: int, scale: float) -> tuple[int, int]:
    """Find the cell whose centre, (stride x i + 0.5) / scale, is nearest to a place (x, y)."""
    row, column = (round((place * scale - 0.5) / stride) for place in reversed(point))
    return row, column


def fields_at(
    beside: Bench, point: tuple[float, float], level: int, **asked: str
) -> dict[str, EffectiveField]:
    with beside.predictor.opened(beside.pixels) as (_, _, scale):
        cell = nearest(point, 2**level, scale)
    question = Question(**{"frame": "image", **asked})  # type: ignore[arg-type]
    found = effective_fields(
        beside.predictor, beside.pixels, level=level, cells=[cell], question=question
    )
    return {one.branch: one for one in found}


def assert_shown(page: Page, level: int, wanted: dict[str, EffectiveField]) -> None:
    """Compare the numbers of one level, and those of one map exactly."""
    shown = pick_map(page, level, "4x")["field"]
    one = wanted["4x"]
    assert shown["sides"] == pytest.approx([one.side(share) for share in SHARES], rel=1e-4)
    assert shown["mass"] == pytest.approx(one.mass, rel=1e-4)
    sizes = table(page, "field-sizes")
    assert list(sizes) == BRANCHES
    for name, (_, *sides) in sizes.items():
        told = [0.0 if side == "–" else number(side) for side in sides]
        assert told == pytest.approx([wanted[name].side(share) for share in SHARES], abs=0.51)
    ratios = table(page, "field-ratios")
    for name, shares in ratios.items():
        told = [number(share) for share in shares]
        covered = [100 * wanted[name].covered(share) for share in (0.2, 0.3, 0.5, 0.99)]
        assert told == pytest.approx(covered, abs=0.0051, rel=1e-3)


def test_a_click_asks_for_its_cell_and_a_frozen_field_ends_at_the_box(
    inspect: Page, beside: Bench
) -> None:
    ask_field(inspect)
    height, width = beside.size
    point = (round(width * 0.7), round(height * 0.4))
    click_image(inspect, *point)
    told = tuple(state(inspect)["inspection"]["point"])
    wanted = fields_at(beside, told, 2)
    assert_shown(inspect, 2, wanted)
    expect(inspect.get_by_test_id("field-outside")).to_have_text(
        "Outside the theoretical box: exactly 0."
    )
    assert all(one.outside == 0 for one in wanted.values())
    with beside.predictor.opened(beside.pixels) as (model, batch, scale):
        box = theoretical_box(
            model,
            batch.sizes[0],
            level=2,
            cells=[nearest(told, 4, scale)],
            branch="4x",
            frame="image",
        )
    shown = state(inspect)["inspection"]["field"]["theory"]
    assert shown == pytest.approx([side / scale for side in box], rel=1e-6)
    sides = table(inspect, "field-sizes")
    assert number(sides["4x"][0]) == pytest.approx((box[2] - box[0]) / scale, abs=0.51)


@pytest.mark.parametrize(
    ("presses", "asked"),
    [
        (("path-cascade",), {"path": "cascade"}),
        (("frame-level",), {"frame": "level"}),
        (("norm-live", "frame-level"), {"norm": "live", "frame": "level"}),
    ],
)
def test_path_norm_and_frame_are_what_is_asked(
    inspect: Page, beside: Bench, presses: tuple[str, ...], asked: dict[str, str]
) -> None:
    ask_field(inspect, *presses)
    middle = (beside.size[1] / 2, beside.size[0] / 2)  # where nobody has clicked yet
    wanted = fields_at(beside, middle, 3, **asked)
    assert_shown(inspect, 3, wanted)
    outside = inspect.get_by_test_id("field-outside")
    if asked.get("norm") == "live":
        most = 100 * max(one.outside for one in wanted.values())
        expect(outside).to_contain_text(f"Global: up to {most:.1f} %")
        assert most > 0
    else:
        expect(outside).to_have_text("Outside the theoretical box: exactly 0.")


def test_the_field_of_an_instance_follows_the_one_that_is_picked(
    inspect: Page, beside: Bench, seen: Look, before: Prediction
) -> None:
    inspect.get_by_test_id("kind-field").click()
    inspect.get_by_test_id("frame-level").click()
    inspect.get_by_test_id("target-instance").click()
    expect(inspect.get_by_test_id("matrix-note")).to_contain_text("Pick an instance")
    asked = "new URLSearchParams(s.inspection.url?.split('?')[1]).get('instance')"
    shown = []
    for _ in range(2):
        inspect.keyboard.press("j")
        until(inspect, f"s.selected && {asked} === s.selected")
        answered(inspect, "s.inspection.field")
        shown.append(state(inspect)["selected"])
        mask = before.masks[int(shown[-1][1:]) - 1]
        one = seen.level(3)
        found = effective_fields(
            beside.predictor,
            beside.pixels,
            level=3,
            cells=cells_of_mask(mask, one.stride, seen.scale, one.cells),
            question=Question(frame="level"),
        )
        assert_shown(inspect, 3, {one.branch: one for one in found})
        side = float(np.sqrt(rle.area(mask)))
        expect(inspect.get_by_test_id("field-object")).to_contain_text(f"{side:.0f} px")
    assert shown[0] != shown[1]


# -- ablation -----------------------------------------------------------------------------------


def counted(page: Page) -> dict[str, int]:
    """Read how many instances are gained, lost, moved and kept."""
    found = {}
    for kind in ("gained", "lost", "moved", "kept"):
        text = page.get_by_test_id(f"ablation-{kind}").locator(".cs-number").text_content()
        found[kind] = int((text or "").replace(" ", ""))
    return found


def ask_ablation(page: Page, *presses: str) -> dict[str, int]:
    for name in presses:
        page.get_by_test_id(name).click()
        answered(page, "s.inspection.counts")
    return counted(page)


def wanted_counts(beside: Bench, before: Prediction, switches: Switches) -> dict[str, int]:
    after = ablate(beside.predictor, beside.pixels, switches).prediction
    return dict(difference(before, after, min_score=HALF).count())


def test_with_everything_on_nothing_changes(inspect: Page, before: Prediction) -> None:
    ask(inspect, "kind-ablation", where="s.inspection.counts")
    kept = int((before.class_scores > np.float32(HALF)).sum())
    assert counted(inspect) == {"gained": 0, "lost": 0, "moved": 0, "kept": kept}
    expect(inspect.get_by_test_id("redone")).to_contain_text("byte for byte the stored run")
    expect(inspect.get_by_test_id("all-on")).to_be_hidden()
    assert in_colour(inspect, LOST) == in_colour(inspect, GAINED) == 0


def test_a_branch_off_changes_what_the_library_says(
    inspect: Page, beside: Bench, before: Prediction
) -> None:
    ask(inspect, "kind-ablation", where="s.inspection.counts")
    off = Switches.without_branch(3)
    counts = ask_ablation(inspect, "switch-all-2x")
    assert counts == wanted_counts(beside, before, off)
    assert sum(counts[kind] for kind in ("gained", "lost", "moved")) > 0
    for level in (2, 3, 4, 5):
        expect(inspect.get_by_test_id(f"switch-P{level}-2x")).to_have_attribute(
            "aria-checked", "false"
        )
    deepest = Switches.without_branch(1, reach="cascade")
    counts = ask_ablation(inspect, "switch-all-2x", "switch-all-8x", "reach-cascade")
    assert counts == wanted_counts(beside, before, deepest)
    counts = ask_ablation(inspect, "reach-fusion")
    assert counts == wanted_counts(beside, before, dataclasses.replace(deepest, reach="fusion"))
    ask_ablation(inspect, "all-on")
    assert counted(inspect)["lost"] == 0


def test_without_collaboration_is_the_paper_s_row(
    inspect: Page, beside: Bench, before: Prediction
) -> None:
    ask(inspect, "kind-ablation", where="s.inspection.counts")
    counts = ask_ablation(inspect, "without-cl")
    assert counts == wanted_counts(beside, before, Switches().without_collaboration())
    assert counts["moved"] > 0
    expect(inspect.get_by_test_id("votes-plain")).to_have_attribute("aria-pressed", "true")
    expect(inspect.get_by_test_id("switch-second-pass")).to_have_attribute("aria-checked", "false")


def test_what_is_lost_is_drawn_as_a_ghost_and_zoomed_to(
    inspect: Page, beside: Bench, before: Prediction
) -> None:
    ask(inspect, "kind-ablation", where="s.inspection.counts")
    slide(inspect, 0.3)
    off = Switches(attention_off=frozenset({2}))
    after = ablate(beside.predictor, beside.pixels, off).prediction
    told = difference(before, after, min_score=0.3)
    counts = ask_ablation(inspect, "switch-P2-attention")
    assert counts == told.count()
    assert counts["lost"] > 0
    assert in_colour(inspect, LOST) > 0
    assert (in_colour(inspect, GAINED) > 0) == (counts["gained"] > 0)
    first = inspect.get_by_test_id("change-row").first
    expect(first).to_contain_text("lost")
    first.click()
    lost = next(change for change in told.changes if change.kind == "lost")
    until(inspect, f"s.selected === 'p{(lost.before or 0) + 1}'")
    inspect.get_by_test_id("all-on").click()
    answered(inspect, "s.inspection.counts.lost === 0")
    until(inspect, "true")
    assert in_colour(inspect, LOST) == 0
    inspect.get_by_test_id("kind-activation").click()
    answered(inspect, "s.inspection.chosen")
    expect(inspect.get_by_test_id("board")).to_have_count(0)
