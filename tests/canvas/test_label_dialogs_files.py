"""Files out with their certificate, files in, and the ledger of effort."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.canvas import label_dialogs
from tests.canvas.harness import Site
from tests.canvas.label_dialogs import HOSTILE, PROJECT, Planted, certificate, effort, wanted

pytestmark = pytest.mark.browser


def begin(page: Page, site: Site, room: str, **options: Any) -> Planted:
    made = Planted(site, standing="import", **options)
    label_dialogs.show(page, site)
    page.evaluate(f"rooms.{room}")
    return made


def test_an_export_is_asked_for_as_it_was_set(page: Page, site: Site) -> None:
    made = begin(page, site, "exporting.open()", export=label_dialogs.exported(certificate()))
    expect(page.get_by_test_id("export-bar")).to_be_hidden()
    page.get_by_test_id("export-start").click()
    expect(page.get_by_test_id("export-text")).to_have_text(
        "planted.json: 24 images, 29 instances, 34.2 kB."
    )
    page.get_by_test_id("export-masks-polygon").check()
    page.get_by_test_id("export-bar").fill("0.9")
    page.get_by_test_id("export-include-all").check()
    page.get_by_test_id("export-score").fill("0.3")
    page.get_by_test_id("export-provenance").uncheck()
    page.get_by_test_id("export-start").click()
    expect(page.get_by_test_id("export-file")).to_be_visible()
    page.get_by_test_id("export-format-results").check()
    expect(page.get_by_test_id("export-bar")).to_be_hidden()
    page.get_by_test_id("export-start").click()
    page.wait_for_function("!document.querySelector('[data-testid=export-result]').hidden")
    page.get_by_test_id("export-format-yolo").check()
    expect(page.get_by_test_id("export-masks")).to_be_hidden()
    expect(page.get_by_test_id("export-bar")).to_be_visible()
    expect(page.get_by_test_id("export-provenance")).to_be_hidden()
    page.get_by_test_id("export-start").click()
    page.wait_for_function("!document.querySelector('[data-testid=export-result]').hidden")
    first = {
        "project": PROJECT,
        "format": "coco",
        "masks": "rle",
        "bar": 0.95,
        "include": "kept",
        "min_score": 0,
        "scores": True,
        "provenance": True,
    }
    second = {
        **first,
        "masks": "polygon",
        "bar": 0.9,
        "include": "all",
        "min_score": 0.3,
        "provenance": False,
    }
    third = {**second, "format": "results", "masks": "rle"}
    assert made.said("export") == [first, second, third, {**second, "format": "yolo"}]


def test_a_certificate_says_passed_by_sign_and_word(page: Page, site: Site) -> None:
    begin(page, site, "exporting.open()", export=label_dialogs.exported(certificate()))
    page.get_by_test_id("export-start").click()
    expect(page.get_by_test_id("certificate-verdict")).to_have_text(
        "✓ passed Certificate: the file was read again, and all 5 checks passed."
    )
    expect(page.get_by_test_id("certificate-check")).to_have_count(5)
    rows = page.get_by_test_id("certificate-class")
    assert rows.all_inner_texts() == [
        "cell\t20\t20\t1.000\t✓ passed",
        f"{HOSTILE}\t9\t8\t0.875\t✕ failed",
        "nothing\t0\t0\t–\tnone",
    ]
    file, paper = page.get_by_test_id("export-file"), page.get_by_test_id("export-certificate")
    expect(file).to_have_attribute("href", "/api/labels/exports/e1")
    expect(file).to_have_attribute("download", "planted.json")
    expect(paper).to_have_attribute("href", "/api/labels/exports/e1/certificate.json")
    assert page.title() == "canvas"


def test_a_failing_row_leads_to_its_instance(page: Page, site: Site) -> None:
    made = certificate("masks", "ids", rows=3)
    begin(page, site, "exporting.open()", export=label_dialogs.exported(made))
    page.get_by_test_id("export-start").click()
    expect(page.get_by_test_id("certificate-verdict")).to_contain_text("2 checks of 5 failed.")
    failed = page.locator("[data-testid=certificate-check][data-passed=false]")
    expect(failed).to_have_count(2)
    expect(failed.first).to_contain_text("✕ failed")
    row = failed.first.get_by_test_id("line-row").nth(1)
    expect(row).to_have_text("Image 3: its bbox is wider")
    row.click()
    expect(page.get_by_test_id("label-dialog")).to_be_hidden()
    assert wanted(page) == [["open", f"d{PROJECT}-2", "t7"]]
    page.evaluate("rooms.exporting.open()")  # the certificate is still there for the next row
    expect(failed).to_have_count(2)


def test_polygons_say_what_they_cost(page: Page, site: Site) -> None:
    rows = [
        {"key": f"d{PROJECT}-{at}", "id": f"t{at}", "iou": 0.95 + at / 100_000, "points": at % 40}
        for at in range(3000)
    ]
    polygons = {"drawn": 2925, "fallen_back": 75, "worst_iou": 0.951, "rows": rows}
    begin(page, site, "exporting.open()", export=label_dialogs.exported(certificate(), polygons))
    page.get_by_test_id("export-start").click()
    expect(page.get_by_test_id("polygons-text")).to_have_text(
        "2 925 instances drawn as polygons; 75 instances stayed masks of pixels, because a polygon "
        "would fall under the bar. The worst polygon that was written has an IoU of 0.951."
    )
    listed = page.get_by_test_id("polygons-rows").get_by_test_id("line-row")
    expect(listed.nth(0)).to_contain_text("pixels · IoU 0.950")
    expect(listed.nth(1)).to_contain_text("1 point · IoU 0.950")
    assert listed.count() < 30
    listed.nth(2).click()
    assert wanted(page) == [["open", f"d{PROJECT}-2", "t2"]]


def test_polygons_under_the_bar_are_not_called_good(page: Page, site: Site) -> None:
    polygons = {"drawn": 9, "fallen_back": 0, "worst_iou": 0.9, "rows": []}
    begin(page, site, "exporting.open()", export=label_dialogs.exported(certificate(), polygons))
    page.get_by_test_id("export-format-yolo").check()
    page.get_by_test_id("export-start").click()
    expect(page.get_by_test_id("polygons-text")).to_contain_text("; some fall under the bar.")
    page.get_by_test_id("export-bar").fill("0.9")
    page.get_by_test_id("export-start").click()
    expect(page.get_by_test_id("polygons-text")).to_contain_text("; every polygon reaches the bar.")


def test_what_cannot_be_exported_says_why(rough_page: Page, site: Site) -> None:
    page = rough_page
    begin(page, site, "exporting.open()", refusals={"export": "There is nothing to export."})
    page.get_by_test_id("export-start").click()
    expect(page.get_by_test_id("export-complaint")).to_have_text("There is nothing to export.")
    expect(page.get_by_test_id("export-result")).to_be_hidden()
    expect(page.get_by_test_id("export-start")).to_be_visible()


def take(page: Page, status: int, answer: dict[str, Any]) -> list[bytes]:
    """Answer the next import, which is no JSON; gives what was sent."""
    sent: list[bytes] = []

    def answered(route: Route) -> None:
        sent.append(route.request.post_data_buffer or b"")
        route.fulfill(status=status, content_type="application/json", body=json.dumps(answer))

    page.route("**/api/labels/import", answered)
    return sent


def choose(page: Page) -> None:
    content = {"name": "in.json", "mimeType": "application/json", "buffer": b'{"images": []}'}
    page.get_by_test_id("import-file").set_input_files(content)  # type: ignore[arg-type]


def test_a_file_comes_in_and_goes_again_as_a_whole(page: Page, site: Site) -> None:
    made = begin(page, site, "exporting.openImport()")
    sent = take(page, 200, {"images": 2, "labels": 7, "skipped": 1, "sentence": ""})
    expect(page.get_by_test_id("import-start")).to_be_hidden()
    choose(page)
    page.get_by_test_id("import-policy-replace").check()
    page.get_by_test_id("import-start").click()
    expect(page.get_by_test_id("import-text")).to_have_text("7 labels on 2 images, 1 left out.")
    text = sent[0].decode()
    assert 'filename="in.json"' in text
    for name, value in (("project", PROJECT), ("actor", "me"), ("policy", "replace")):
        assert f'name="{name}"\r\n\r\n{value}\r\n' in text
    page.get_by_test_id("import-undo").click()
    expect(page.get_by_test_id("import-undo-text")).to_contain_text("Undone on 3 images.")
    assert len(made.said("undo")) == 1
    assert wanted(page) == [["reload"], ["reload"]]


def test_a_file_that_is_refused_says_why(rough_page: Page, site: Site) -> None:
    page = rough_page
    begin(page, site, "exporting.openImport()")
    take(page, 422, {"detail": f"annotations[3] is of no image: {HOSTILE}."})
    choose(page)
    page.get_by_test_id("import-start").click()
    complaint = page.get_by_test_id("import-complaint")
    expect(complaint).to_have_text(f"annotations[3] is of no image: {HOSTILE}.")
    expect(page.get_by_test_id("import-undo")).to_be_hidden()
    expect(page.get_by_test_id("import-start")).to_be_visible()


# 20 corrected of 22 seen at 42 actions: 2.1 for each that was kept; by hand 94 for 10: 9.4
HAND = effort("", 1, drawn=10, actions=94, seconds=300)
GOOD = effort("nuclei", 1, accepted=14, nudged=4, redrawn=2, rejected=2, actions=42, seconds=61)
# 12 kept at 180 actions: 15 each, 1.596 times as many as by hand
BAD = effort("nuclei", 2, accepted=1, redrawn=11, waiting=3, actions=180, seconds=700)


@pytest.mark.parametrize(
    ("rows", "sentences"),
    [
        ([], ["Nothing was pre-labelled yet, so there is nothing to compare."]),
        (
            [GOOD, HAND],
            ["Correcting costs 2.1 actions per instance, drawing 9.4: pre-labelling saves 78 %."],
        ),
        (
            [GOOD, BAD, HAND],  # (42 + 180) / 32 = 6.94
            [
                "Correcting costs 6.9 actions per instance, drawing 9.4: pre-labelling saves 26 %.",
                "Stop pre-labelling nucleus: it costs you.",
            ],
        ),
        (
            [BAD, HAND],
            [
                "Correcting costs 15.0 actions per instance, drawing 9.4: "
                "pre-labelling costs you 60 % more.",
                "Stop pre-labelling nucleus: it costs you.",
            ],
        ),
        (
            [GOOD, {**HAND, "drawn": 9}],
            [
                "Too few to tell: 22 proposals looked at and 9 instances drawn by hand, "
                "of each it takes 10."
            ],
        ),
        (
            [effort("nuclei", 1, rejected=11, actions=11), HAND],
            [
                "Nothing that the model proposed was kept: pre-labelling costs you.",
                "Stop pre-labelling cell: it costs you.",
            ],
        ),
    ],
)
def test_the_ledger_says_in_plain_words_whether_it_pays(
    page: Page, site: Site, rows: list[dict[str, Any]], sentences: list[str]
) -> None:
    begin(page, site, "ledger.open()", ledger=rows)
    text = page.get_by_test_id("ledger-text").locator("p")
    expect(text).to_have_text(sentences)


def test_every_class_of_a_checkpoint_has_its_row(page: Page, site: Site) -> None:
    few = effort(HOSTILE, 1, accepted=7, actions=7, seconds=7)
    begin(page, site, "ledger.open()", ledger=[HAND, GOOD, BAD, few])
    rows = page.get_by_test_id("ledger-row")
    expect(rows).to_have_count(4)
    assert rows.all_inner_texts() == [
        f"{HOSTILE}\tcell\t7\t0\t0\t0\t0\t1.0\t1.0\ttoo few to tell",
        "nuclei\tcell\t14\t4\t2\t2\t0\t2.1\t3.0\tsaves 78 %",
        "nuclei\tnucleus\t1\t0\t11\t0\t3\t15.0\t58.3\tcosts 60 % more",
        "By hand\tcell\t10 drawn\t9.4\t30.0\t",
    ]
    assert page.title() == "canvas"
    note = page.get_by_test_id("ledger-note")  # 94 + 42 + 180 + 7 + 7
    expect(note).to_contain_text("In all: 330 actions in 19 minutes, looking included.")
