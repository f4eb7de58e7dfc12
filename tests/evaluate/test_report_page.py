"""Reports: the numbers are the judges' own, and the page needs nothing but itself."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from comask.annotation.records import Category
from comask.errors import InputError
from comask.evaluate import coco_ap, findings, matching, report_page
from comask.evaluate.findings import Subject
from comask.evaluate.matching import PairSet
from tests.evaluate.scenes import Scene, thing, true

SUBJECT = Subject("set <script>", "first & only", "0123456789abcdef", 3)
CATEGORIES = (Category(1, "cell"), Category(2, '<img src="x">'), Category(3, "never seen"))


def pairs() -> PairSet:
    first = Scene(
        (true(1, (0, 0, 10, 10)), true(2, (20, 0, 10, 10), category=2)),
        (thing((0, 0, 10, 10), 0.9), thing((20, 0, 10, 10), 0.8), thing((30, 30, 5, 5), 0.6)),
    )
    return matching.join([first.pairs(), Scene().pairs()], [1, 2])


def content(kept: PairSet | None = None) -> dict[str, Any]:
    chosen = pairs() if kept is None else kept
    return findings.gather(chosen, CATEGORIES, SUBJECT, score=0.5, iou=0.5, kind="mask")


def test_content_by_hand() -> None:
    found = content()
    assert found["numbers"]["segm"]["AP"] == pytest.approx(0.5)  # one category whole, one not
    assert list(found["numbers"]["bbox"]) == list(found["numbers"]["segm"])
    assert [(one["name"], one["truth"]) for one in found["by_category"]] == [
        ("cell", 1),
        ('<img src="x">', 1),
    ]
    at = found["at"]
    assert (at["tp"], at["fp"], at["fn"]) == (1, 2, 1)
    assert at["errors"]["class"] == 1
    assert at["errors"]["background"] == 1
    assert at["confusion"]["cells"] == [[1, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert [one["iou"] for one in found["curves"]["mean"]] == [0.5, 0.75, 0.9]
    assert len(found["curves"]["by_category"]) == 2


def test_json_comes_back_whole() -> None:
    found = content()
    assert json.loads(findings.to_json(found)) == found
    assert findings.to_json(content()) == findings.to_json(found)


class Tags(HTMLParser):
    """Collects what a page is made of."""

    VOID = ("meta", "line", "polyline")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.seen: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_asks_nobody_and_runs_nothing() -> None:
    page = report_page.render(content())
    tags = Tags(page)
    assert not tags.open
    assert not tags.seen & {"script", "img", "link", "iframe", "object", "form", "a", "image"}
    assert not {name for name, _ in tags.attributes} & {"src", "href", "srcset", "action"}
    assert not re.search(r"https?:|//[a-z]|url\(|@import", page)
    assert "&lt;script&gt;" in page
    assert "first &amp; only" in page
    assert "prefers-color-scheme: dark" in page


def test_what_is_missing_is_said() -> None:
    page = report_page.render(content())
    assert "2 of 3 images" in page
    assert "has not seen all images" in page
    assert "does not hold the numbers" in page
    with pytest.raises(InputError, match="not seen any image"):
        content(matching.join([]))
    empty = report_page.render(content(matching.join([Scene().pairs()])))
    assert "–" in empty


def test_many_categories_are_listed_instead_of_drawn() -> None:
    named = [Category(number, f"kind {number}") for number in range(1, 31)]
    truth = tuple(true(n, (0, 0, 10, 10), category=n) for n in range(1, 31))
    scene = Scene(truth, (thing((0, 0, 10, 10), 0.9, category=2),))
    kept = matching.join([scene.pairs()])
    found = findings.gather(kept, named, SUBJECT, score=0.5, iou=0.5, kind="box")
    page = report_page.render(found)
    assert 'class="matrix"' not in page
    assert "<td>kind 1</td><td><i>none</i></td><td>1</td>" in page


def test_the_papers_tables_stand_apart(tmp_path: Path) -> None:
    known = findings.paper()
    assert [table["key"] for table in known["tables"]] == [
        "comparison",
        "branches",
        "collaboration",
    ]
    table = {"key": "t", "title": "T", "columns": ["method", "AP"], "rows": [["ours", 12.3]]}
    place = tmp_path / "paper.json"
    place.write_text(json.dumps({"schema": 1, "source": "S", "tables": [table]}))
    page = report_page.render(content() | {"paper": findings.paper(place)})
    apart = page[page.index('class="paper"') :]
    assert "<td>ours</td><td>12.3</td>" in apart
    measured = 100 * content()["numbers"]["segm"]["AP"]
    assert measured > 0
    assert f"measured here</td><td>{measured:.1f}</td>" in apart
    assert "not measured here" in apart
    assert "12.3" not in page[: page.index('class="paper"')]
    table["rows"] = [["too", "many", "cells"]]
    place.write_text(json.dumps({"schema": 1, "source": "S", "tables": [table]}))
    with pytest.raises(InputError, match="a row of t"):
        findings.paper(place)


def test_limits_are_cocos() -> None:
    assert content()["limits"] == list(coco_ap.COCO_LIMITS)
