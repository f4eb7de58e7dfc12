"""A COCO folder of blobs, and the way to it on the page."""

import json
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page, expect

from comask.annotation import rle
from tests.app.standins import blobs
from tests.browser.served import PATIENCE, Site, until

IMAGES = 5


def folder_of_blobs(folder: Path) -> Path:
    """Write images of blobs whose truth is every blob, and one object more that nothing shows."""
    folder.mkdir()
    images, annotations = [], []
    for number in range(IMAGES):
        content = blobs(seed=number)
        (folder / f"{number}.png").write_bytes(content)
        grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
        images.append({"id": number, "file_name": f"{number}.png", "width": 80, "height": 60})
        count, labels = cv2.connectedComponents((grey > 30).astype(np.uint8))
        masks = [labels == label for label in range(1, count)]
        dark = np.zeros((60, 80), bool)
        dark[0:4, 76:80] = True
        masks.append(dark & (grey <= 30))
        for mask in masks:
            code = rle.encode(mask)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 7 if rle.area(code) >= 30 else 90,
                    "segmentation": {"size": [60, 80], "counts": code.counts},
                    "area": rle.area(code),
                    "bbox": list(rle.bbox(code)),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": 7, "name": "blob"}, {"id": 90, "name": "speck"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def open_folder(page: Page, site: Site, folder: Path) -> None:
    page.goto(site.address)
    until(page, "s.total > 0")
    page.locator("#source").get_by_text("Dataset").click()
    page.get_by_test_id("folder").fill(str(folder))
    page.get_by_test_id("folder-open").click()
    expect(page.get_by_test_id("tile")).to_have_count(IMAGES, timeout=PATIENCE)


def run_over_all(page: Page) -> None:
    page.get_by_test_id("run-start").click()
    expect(page.get_by_test_id("run-text")).to_have_text(
        f"{IMAGES} of {IMAGES} images", timeout=PATIENCE
    )
    expect(page.get_by_test_id("numbers-title")).to_have_text(f"{IMAGES} images", timeout=PATIENCE)
