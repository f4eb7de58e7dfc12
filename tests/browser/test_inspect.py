"""The page Inspect: what it draws, says and counts is what comask.analysis gives."""

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from comask.analysis import contributions, look, reduced
from comask.analysis.activation import Look, components
from comask.checkpoint import native
from tests.browser.inspecting import (
    CHECKPOINT,
    SAMPLES,
    Bench,
    answered,
    ask,
    bar,
    bench,
    centre,
    number,
    open_inspect,
    pick_map,
    pixel,
    served,
    slide_to,
    table,
    value_at,
)
from tests.browser.served import Site, state, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword)"),  # gradio of pandas
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]

NAMES = ["lateral", "1x", "8x", "4x", "2x", "fused", "gated", "output"]
LEVELS = [2, 3, 4, 5]
THREE = ((0.2, 0.3), (0.5, 0.55), (0.9, 0.8))  # places of a map, as shares of its rows and columns
OTHER = "photographs/coffee.jpg"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve the samples with two checkpoints: the bundled one, and one with a louder fusion."""
    assets = tmp_path_factory.mktemp("assets")
    (assets / "checkpoints").mkdir()
    (assets / "samples").symlink_to(SAMPLES)
    if CHECKPOINT.is_file():
        (assets / "checkpoints" / "first.safetensors").symlink_to(CHECKPOINT)
        model, info = native.load(CHECKPOINT)
        for msfem in model.neck.msfem:
            msfem.fuse.weight.data *= 2.0
        native.save(assets / "checkpoints" / "second.safetensors", model, info)
    with served(tmp_path_factory.mktemp("workspace"), assets=assets) as site:
        yield site


@pytest.fixture(scope="module")
def beside(site: Site) -> Bench:
    return bench()


@pytest.fixture(scope="module")
def seen(beside: Bench) -> Look:
    return look(beside.predictor, beside.pixels)


@pytest.fixture
def inspect(site: Site, page: Page) -> Page:
    """Open the sample on the page Inspect."""
    open_inspect(page, site)
    return page


def places(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(int(down * shape[0]), int(across * shape[1])) for down, across in THREE]


def read(page: Page, seen: Look, level: int, cell: tuple[int, int]) -> str:
    """Point at the middle of a cell; what the page says is there."""
    return value_at(page, *centre(*cell, seen.level(level).stride, seen.scale))


def test_every_map_of_every_level_is_there_and_a_click_draws_it_large(
    inspect: Page, seen: Look
) -> None:
    there = state(inspect)["inspection"]["maps"]
    assert [(one["level"], one["name"]) for one in there] == [
        (level, name) for level in LEVELS for name in NAMES
    ]
    assert {(one["level"], *one["shape"]) for one in there} == {
        (one.level, *one.cells) for one in seen.levels
    }
    for level, name in ((4, "2x"), (5, "lateral"), (2, "gated"), (3, "output")):
        shown = pick_map(inspect, level, name)
        expect(inspect.get_by_test_id("inspect-title")).to_have_text(f"P{level} · {name}")
        step = 2**level / seen.scale
        assert shown["frame"]["step"] == pytest.approx(step)
        assert shown["frame"]["first"] == pytest.approx([0.5 / seen.scale - step / 2] * 2)


def test_arrow_keys_walk_through_the_maps(inspect: Page) -> None:
    pick_map(inspect, 2, "lateral")
    walk = (("ArrowRight", 2, "1x"), ("ArrowDown", 3, "1x"), ("ArrowDown", 4, "1x"))
    walk += (("ArrowLeft", 4, "lateral"), ("ArrowLeft", 4, "lateral"), ("ArrowUp", 3, "lateral"))
    for key, level, name in walk:
        before = state(inspect)["pan"]
        inspect.keyboard.press(key)
        until(inspect, f"s.inspection.chosen.level === {level}")
        assert state(inspect)["inspection"]["chosen"]["name"] == name
        assert state(inspect)["pan"] == before  # the picture stays where it is
        focused = inspect.evaluate("document.activeElement.dataset.testid")
        assert focused == f"map-P{level}-{name}"


@pytest.mark.parametrize(
    ("how", "level", "name"),
    [("norm", 3, "8x"), ("mean", 2, "output"), ("max", 4, "fused"), ("channel", 3, "2x")],
)
def test_the_value_under_the_pointer_is_the_library_s(
    inspect: Page, seen: Look, how: str, level: int, name: str
) -> None:
    inspect.get_by_test_id(f"how-{how}").click()
    if how == "channel":
        inspect.get_by_test_id("channel").fill("7")
        inspect.get_by_test_id("channel").press("Enter")
    answered(inspect, f"s.inspection.url.includes('how={how}')")
    if how == "channel":
        answered(inspect, "s.inspection.url.includes('channel=7')")
    pick_map(inspect, level, name)
    values = reduced(seen.level(level).map(name), how, 7)  # type: ignore[arg-type]
    for row, column in places(values.shape):
        said, where = read(inspect, seen, level, (row, column)).split(" at ")
        assert where == f"cell {column}, {row} of P{level}"
        assert number(said) == pytest.approx(float(values[row, column]), rel=6e-3, abs=1e-6)


def test_components_are_colours_and_read_as_three_numbers(inspect: Page, seen: Look) -> None:
    ask(inspect, "how-pca", where="s.inspection.url.includes('pca')")
    pick_map(inspect, 3, "fused")
    values, shares = components(seen.level(3).map("fused"))
    held = ", ".join(f"{100 * share:.0f} %" for share in shares)
    expect(inspect.get_by_test_id("inspect-meaning")).to_contain_text(held)
    expect(inspect.get_by_test_id("scale")).to_be_hidden()
    for row, column in places(values.shape):
        said = read(inspect, seen, 3, (row, column)).split(" at ")[0]
        found = [number(one) for one in said.split(",")]
        np.testing.assert_allclose(found, values[row, column], rtol=6e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("question", "level", "name"), [("activation", 4, "output"), ("contribution", 4, "8x")]
)
def test_colours_read_back_with_the_scale_s_bar_are_the_values(
    inspect: Page, beside: Bench, seen: Look, question: str, level: int, name: str
) -> None:
    ask(inspect, f"kind-{question}", where=f"s.inspection.url.includes('what={question}')")
    for layer in ("prediction", "truth"):
        inspect.get_by_test_id(f"layer-{layer}").uncheck()
    slide_to(inspect, "heat-opacity", 100)
    for _ in range(8):  # until cells are squares
        inspect.get_by_test_id("zoom-in").click()
    low, high = pick_map(inspect, level, name)["chosen"]["limits"]
    if question == "activation":
        values = reduced(seen.level(level).map(name), "norm")
        ends = np.array([reduced(seen.level(level).map(one), "norm") for one in NAMES])
        assert [low, high] == pytest.approx([ends.min(), ends.max()], rel=1e-5)
    else:
        parts = contributions(beside.predictor, beside.pixels)[level - 2]
        values = parts.share[parts.branches.index(name)]
        most = max(abs(one).max() for one in (parts.share, parts.bias, parts.fused))
        assert [low, high] == pytest.approx([-most, most], rel=1e-5)
    colours = bar(inspect)
    height, width = values.shape
    stride, scale = seen.level(level).stride, seen.scale
    near = [(height // 2 + down, width // 2 + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    until(inspect, "true")
    for row, column in near:
        found = pixel(inspect, "photo", *centre(row, column, stride, scale))
        (at,) = np.flatnonzero((colours == found[:3]).all(axis=1))[:1]
        told = low + at / 255 * (high - low)
        assert abs(told - values[row, column]) <= (high - low) / 255


def test_scales_are_a_map_s_a_level_s_or_all_s(inspect: Page, seen: Look) -> None:
    maps = {(one.level, n): reduced(one.map(n), "norm") for one in seen.levels for n in NAMES}
    pick_map(inspect, 3, "4x")
    meant = {
        "map": [maps[3, "4x"]],
        "level": [maps[3, name] for name in NAMES],
        "all": list(maps.values()),
    }
    for name, shared in meant.items():
        shown = ask(inspect, f"range-{name}")["chosen"]["limits"]
        ends = [min(one.min() for one in shared), max(one.max() for one in shared)]
        assert shown == pytest.approx(ends, rel=1e-5)
        low, high = (
            number(inspect.get_by_test_id(f"scale-{e}").inner_text()) for e in ("low", "high")
        )
        assert [low, high] == pytest.approx(ends, rel=6e-3)


def test_a_held_scale_stays_for_another_image_and_another_checkpoint(
    inspect: Page, site: Site
) -> None:
    pick_map(inspect, 3, "output")
    before = ask(inspect, "range-map")["chosen"]["limits"]
    ask(inspect, "range-held")
    inspect.get_by_test_id("image").filter(has_text=OTHER).click()
    title = "document.querySelector('[data-testid=title]').textContent"
    other = answered(inspect, f"s.inspection.chosen && {title} === '{OTHER}' && !s.pending")
    assert other["chosen"]["limits"] == pytest.approx(before, rel=1e-5)
    inspect.locator("#checkpoint input").click()
    inspect.locator("[data-testid=dropdown-option][aria-label^=second]").click()
    until(inspect, "s.place.checkpoint === 'second' && s.inspection.url?.includes('second')")
    second = answered(inspect, "s.inspection.chosen")
    assert second["chosen"]["limits"] == pytest.approx(before, rel=1e-5)
    own = ask(inspect, "range-map")["chosen"]["limits"]
    assert own != pytest.approx(before, rel=1e-2)
    ask(inspect, "range-held", "how-mean", where="s.inspection.url.includes('mean')")
    assert state(inspect)["place"]["range"] == ""  # ends of lengths mean nothing for means


def test_contributions_are_the_library_s_and_add_up(
    inspect: Page, beside: Bench, seen: Look
) -> None:
    ask(inspect, "kind-contribution", where="s.inspection.url.includes('contribution')")
    for made in contributions(beside.predictor, beside.pixels):
        pick_map(inspect, made.level, "fused")
        shown = table(inspect, "shares")
        shares = made.shares()
        assert list(shown) == [*made.branches, "bias"]
        for name, (share, _) in shown.items():
            assert number(share) == pytest.approx(100 * shares[name], abs=0.0501)
        total = sum(number(share) for share, _ in shown.values())
        assert total == pytest.approx(100, abs=0.051 * len(shown))
        cells = made.winner.size
        wins = {name: (made.winner == at).sum() / cells for at, name in enumerate(made.branches)}
        for name in made.branches:
            assert number(shown[name][1]) == pytest.approx(100 * wins[name], abs=0.501)
        rest = number((inspect.get_by_test_id("unexplained").text_content() or "").split(":")[1])
        assert rest <= 0.01
        assert rest == pytest.approx(100 * made.unexplained, abs=1e-5)


def test_who_wins_has_a_colour_for_each_branch(inspect: Page, beside: Bench, seen: Look) -> None:
    ask(inspect, "kind-contribution", where="s.inspection.url.includes('contribution')")
    made = contributions(beside.predictor, beside.pixels)[3]
    pick_map(inspect, 5, "winner")
    legend = inspect.get_by_test_id("branch-legend").locator("> span")
    expect(legend).to_have_text(list(made.branches))
    chips = legend.evaluate_all(
        "all => all.map((one) => getComputedStyle(one.firstChild).backgroundColor)"
    )
    assert len(set(chips)) == len(made.branches)
    slide_to(inspect, "heat-opacity", 100)
    for layer in ("prediction", "truth"):
        inspect.get_by_test_id(f"layer-{layer}").uncheck()
    until(inspect, "true")
    height, width = made.winner.shape
    for row, column in [(0, 0), (height // 2, width // 2), (height - 1, 0)]:
        name = made.branches[made.winner[row, column]]
        assert read(inspect, seen, 5, (row, column)) == f"{name} at cell {column}, {row} of P5"
        x, y = centre(row, column, 32, seen.scale)
        colour = pixel(inspect, "photo", x + 1, y + 1)[:3]
        assert f"rgb({', '.join(map(str, colour))})" == chips[made.branches.index(name)]


@pytest.mark.parametrize(
    ("question", "theme"),
    [
        ("activation", "light"),
        ("contribution", "dark"),
        ("field", "light"),
        ("ablation", "dark"),
        ("fit", "light"),
    ],
)
def test_every_control_has_a_name_and_shows_its_focus(
    inspect: Page, question: str, theme: str
) -> None:
    inspect.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    inspect.get_by_test_id(f"kind-{question}").click()
    if question != "fit":
        answered(inspect, "s.inspection.chosen || s.inspection.counts")
    nameless = inspect.evaluate(
        """() => [...document.querySelectorAll('.studio :is(button, input, select, a, canvas)')]
          .filter((one) => one.offsetParent !== null && !one.ariaHidden)
          .filter((one) => !one.textContent.trim() && !one.getAttribute('aria-label')
            && !one.title && !one.labels?.length)
          .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    inspect.locator("body").click(position={"x": 1, "y": 1})
    seen: set[str] = set()
    for _ in range(120):
        inspect.keyboard.press("Tab")
        told = inspect.evaluate(
            """() => {
              const one = document.activeElement;
              const round = one?.matches('.cs-switches input') ? one.nextElementSibling : one;
              const { outlineStyle, outlineWidth } = round ? getComputedStyle(round) : {};
              const inside = Boolean(one?.closest('.studio'));
              return { inside, name: one?.dataset?.testid ?? '', outlineStyle, outlineWidth };
            }"""
        )
        if not told["inside"]:
            continue
        assert told["outlineStyle"] == "solid", told
        assert float(told["outlineWidth"].removesuffix("px")) >= 2, told
        seen.add(told["name"])
    assert f"kind-{question}" in seen
    assert seen & {"map-P2-output", "map-P2-fused", "scatter", "switch-P2-1x", "open-dataset"}
