"""What is open, what is still to come, and what goes wrong."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app.canvas import payload
from tests.canvas import documents, harness
from tests.canvas.conftest import Opener, wait
from tests.canvas.scene import (
    INNER,
    OUTER,
    SIZE,
    a_document,
    click_at,
    set_slider,
    state,
    with_truth,
)

pytestmark = pytest.mark.browser


def test_nothing_open_says_the_next_step(page: Page, site: harness.Site) -> None:
    page.goto(site.put_page(None, upload="files"))
    expect(page.get_by_test_id("empty")).to_contain_text("Choose images from your computer")
    page.get_by_test_id("open-sample").click()
    assert page.evaluate("sent") == [["open_sample", {}]]
    with page.expect_file_chooser():
        page.get_by_test_id("open-upload").click()


def test_an_image_of_the_list_opens_in_the_browser_and_python_hears(
    opened: Opener, site: harness.Site
) -> None:
    other = site.put_document(a_document("b"))
    images = [
        {
            "key": "a",
            "file_name": "a.png",
            "url": "/api/documents/a",
            "export": "/api/exports/a.json",
        },
        {"key": "b", "file_name": "b.png", "url": other, "export": "/api/exports/b.json?x=1"},
        {"key": "c", "file_name": "c.png", "url": None, "note": "waiting for the model"},
    ]
    page = opened(a_document(), {"images": images})
    expect(page.get_by_test_id("images-count")).to_have_text("1 of 3")
    page.keyboard.press("PageDown")
    page.wait_for_function("studio.state().ready && studio.state().document === 'b'")
    assert ["open_image", {"key": "b"}] in page.evaluate("sent")
    page.get_by_test_id("image").nth(2).dispatch_event("click")
    assert state(page)["document"] == "b"
    set_slider(page, "threshold", 0.25)
    link = page.get_by_test_id("download").get_attribute("href")
    assert link == f"{site.address}/api/exports/b.json?x=1&min_score=0.25"
    page.evaluate(
        "value => give(value)", {"url": "/api/documents/a", "images": images, "status": ["x"]}
    )
    assert state(page)["document"] == "b"  # Python said nothing new about what is open


def test_the_open_image_stays_in_sight_where_the_list_gets_less_room(opened: Opener) -> None:
    images = [
        {"key": key, "file_name": f"{key}.png", "url": f"/api/documents/{key}"}
        for key in "bcdefgha"
    ]
    page = opened(a_document(), {"images": images})
    expect(page.get_by_test_id("images-count")).to_have_text("8 of 8")
    high = page.get_by_test_id("images").evaluate("box => box.clientHeight")
    for height in (900, 620, 900, 560):
        page.set_viewport_size({"width": 1440, "height": height})
        expect(page.locator("[data-key=a]")).to_be_in_viewport(ratio=0.99)
    assert page.get_by_test_id("images").evaluate("box => box.clientHeight") < high


def test_picking_tells_python(opened: Opener) -> None:
    page = opened(a_document())
    click_at(page, "p3")
    assert page.evaluate("sent.at(-1)") == ["select_instance", {"key": "a", "id": "p3"}]


def test_progress_comes_without_the_value(opened: Opener) -> None:
    page = opened(a_document())
    busy = {"text": "12 of 30 images", "done": 12, "total": 30}
    page.evaluate("p => give(p, 'progress')", {"status": ["tiny", "CPU"], "busy": busy})
    expect(page.get_by_test_id("busy")).to_contain_text("12 of 30 images")
    assert page.get_by_test_id("busy-progress").evaluate("bar => bar.value") == pytest.approx(0.4)
    expect(page.get_by_test_id("status-text")).to_have_text("tinyCPU")
    page.evaluate("give({status: [], busy: null}, 'progress')")
    expect(page.get_by_test_id("busy")).to_be_hidden()
    assert state(page)["document"] == "a"


def test_no_instances_is_an_ordinary_image(opened: Opener) -> None:
    nothing = payload.document(documents.image("a", SIZE), prediction=documents.found([], []))
    page = opened(nothing)
    expect(page.get_by_test_id("instances-note")).to_contain_text("found nothing")
    expect(page.get_by_test_id("shown-count")).to_have_text("shown 0 of 0")
    page.keyboard.press("n")
    page.keyboard.press("z")
    assert state(page)["selected"] is None


def test_one_unreadable_mask_leaves_the_others(opened: Opener) -> None:
    document = a_document()
    document["instances"][0]["rle"]["counts"] = "~~"
    page = opened(document)
    assert page.evaluate("studio.mask('p1').area") == 0
    page.locator("[data-id=p1]").click()
    expect(page.get_by_test_id("inspector")).to_contain_text("Its mask could not be read.")
    assert page.evaluate("studio.mask('p2').area") == int(INNER.sum())


FAULTS = {
    "gone": (404, b"", "is not on the server any more"),
    "broken": (500, b"", "the server answered 500"),
    "said": (
        422,
        b'{"detail": "This checkpoint cannot read the image."}',
        "This checkpoint cannot",
    ),
    "no json": (200, b"<html>", "is not JSON"),
    "other schema": (200, b'{"schema": 9}', "reads documents of schema 1 and got 9"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_says_what_happened_and_can_be_tried_again(
    rough_page: Page, site: harness.Site, fault: str
) -> None:
    status, body, sentence = FAULTS[fault]
    address = site.put_document(a_document())
    good = site.answers[address]
    site.answers[address] = (status, "application/json", body)
    rough_page.goto(site.put_page({"url": address}))
    expect(rough_page.get_by_test_id("error-text")).to_contain_text(sentence)
    site.answers[address] = good
    rough_page.get_by_test_id("retry").click()
    wait(rough_page)
    expect(rough_page.get_by_test_id("error")).to_be_hidden()


def test_a_photograph_that_fails_leaves_the_masks(rough_page: Page, site: harness.Site) -> None:
    address = site.put_document(a_document())
    site.answers["/api/images/a"] = (500, "text/plain", b"")
    rough_page.goto(site.put_page({"url": address}))
    expect(rough_page.get_by_test_id("error-text")).to_have_text(
        "The photograph could not be loaded."
    )
    assert state(rough_page)["shown"] == ["p1", "p2", "p3"]


def test_a_late_answer_never_replaces_a_newer_image(page: Page, site: harness.Site) -> None:
    slow, quick = site.put_document(a_document("a")), site.put_document(a_document("b"))
    held: list[Any] = []
    page.route(f"**{slow}", lambda route: held.append(route))
    page.goto(site.put_page({"url": slow}))
    page.wait_for_function("window.studio?.state().loading")
    page.evaluate("url => give({url})", quick)
    page.wait_for_function("studio.state().ready && studio.state().document === 'b'")
    for route in held:
        route.abort("aborted")
    assert (state(page)["document"], state(page)["error"]) == ("b", None)


def test_a_document_fetched_again_keeps_the_view_the_photograph_and_the_pick(
    opened: Opener, site: harness.Site
) -> None:
    page = opened(a_document(truth=[]))
    click_at(page, "p3")
    page.keyboard.press("+")
    wait(page)
    before = state(page)
    page.evaluate("() => { window.Image = () => { throw new Error('loaded again') } }")
    site.put_document(with_truth())
    page.evaluate("give({url: '/api/documents/a', revision: 1})")
    page.wait_for_function("studio.state().ready && studio.state().total === 5")
    after = state(page)
    assert [after[name] for name in ("zoom", "pan")] == [before[name] for name in ("zoom", "pan")]
    assert after["selected"] == "p3"
    other = payload.document(
        documents.image("a", SIZE), prediction=documents.found([OUTER] * 3, [1] * 3)
    )
    site.put_document(other)
    page.evaluate("give({url: '/api/documents/a', revision: 2})")
    page.wait_for_function("studio.state().ready && studio.state().total === 3")
    assert state(page)["selected"] is None  # p3 is another instance now


def test_what_is_still_to_come_is_fetched_when_it_is_there(page: Page, site: harness.Site) -> None:
    early = payload.document(documents.image("a", SIZE))
    early["pending"] = {"text": "Looking for instances", "url": "/api/later"}
    held: list[Any] = []
    page.route("**/api/later", lambda route: held.append(route))
    page.goto(site.put_page({"url": site.put_document(early)}))
    expect(page.get_by_test_id("busy")).to_contain_text("Looking for instances")
    wait(page)  # the photograph is there already
    assert (state(page)["pending"], state(page)["total"]) == (True, 0)
    held[0].fulfill(json=a_document())
    page.wait_for_function("!studio.state().pending")
    expect(page.get_by_test_id("busy")).to_be_hidden()
    assert state(page)["shown"] == ["p1", "p2", "p3"]


def test_a_note_says_why_there_are_no_predictions(opened: Opener) -> None:
    document = a_document()
    document["note"] = "There is no checkpoint yet."
    page = opened(document)
    expect(page.get_by_test_id("instances-note")).to_have_text("There is no checkpoint yet.")
    expect(page.get_by_test_id("instance-row")).to_have_count(3)
