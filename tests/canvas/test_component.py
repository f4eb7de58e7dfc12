"""The component's own strings and files: no slots, no strangers, no stale copies."""

import json
import re
from html.parser import HTMLParser

import pytest

from app.canvas import component

SCRIPTS = sorted(component.STATIC.glob("*.js"))
TEMPLATE = (component.STATIC / "canvas.html").read_text(encoding="utf-8")
STYLE = (component.STATIC / "canvas.css").read_text(encoding="utf-8")
CONTROLS = {"a", "button", "input", "select", "textarea"}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags() -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(TEMPLATE)
    return parser.found


def test_the_template_has_no_slots() -> None:
    made = component.mask_canvas(controls=True)
    assert made.html_template == f"@children{TEMPLATE}"
    assert not re.search(r"\$\{|\{\{|`|\\", TEMPLATE)


def test_every_script_is_loaded_and_every_address_carries_its_contents_hash() -> None:
    loader = component.mask_canvas().js_on_load or ""
    files = json.loads(re.search(r"const files = (\{.*\});", loader).group(1))  # type: ignore[union-attr]
    names = [address.partition("?v=")[0].rpartition("/")[2] for address in files["scripts"]]
    assert sorted([*names, "loader.js"]) == [path.name for path in SCRIPTS]
    for address in [*files["styles"], *files["scripts"]]:
        assert re.fullmatch(r"/static/canvas/[a-z]+\.(js|css)\?v=[0-9a-f]{12}", address)


@pytest.mark.parametrize("event", ["open_image", "select_instance", "open_sample"])
def test_python_may_listen_to_its_events(event: str) -> None:
    assert callable(getattr(component.mask_canvas(), event))


def test_every_control_can_be_found_by_tests() -> None:
    controls = [attributes for tag, attributes in tags() if tag in CONTROLS]
    assert len(controls) > 20
    assert [one for one in controls if not one.get("data-testid")] == []


def test_every_icon_button_says_what_it_does() -> None:
    icons = [
        one for tag, one in tags() if tag == "button" and "cs-icon" in (one.get("class") or "")
    ]
    assert icons
    assert [one for one in icons if not (one.get("aria-label") and one.get("title"))] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_write_text_and_never_markup(script: str) -> None:
    text = script.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text)
    assert text.count("\n") < 400


def test_nothing_names_another_machine() -> None:
    texts = [TEMPLATE, STYLE, *(path.read_text(encoding="utf-8") for path in SCRIPTS)]
    assert [
        text for text in texts if re.search(r"https?://|//[a-z]+\.[a-z]|@import|url\(", text)
    ] == []
