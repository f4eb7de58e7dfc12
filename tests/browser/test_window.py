import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from playwright.sync_api import Page, expect

from app import window
from comask.errors import ConfigError
from tests.browser.served import Site, until

DRIVER = Path(__file__).with_name("window_driver.py")


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """Lend an X server of 1600 x 1000 pixels that draws into memory."""
    executable = shutil.which("Xvfb")
    if executable is None:
        missing("Xvfb is not installed (apt-get install xvfb)")
    reads, writes = os.pipe()
    command = [executable, "-displayfd", str(writes), "-screen", "0", "1600x1000x24", "-ac"]
    with subprocess.Popen(command, pass_fds=[writes], stderr=subprocess.DEVNULL) as server:
        os.close(writes)
        with os.fdopen(reads) as told:
            number = told.readline().strip()
        yield f":{number}"
        server.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def used(
    display: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path, int]:
    """Open the window once, use it, close it: what was seen, the folder, the exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISPLAY", display)
        try:
            window.check()
        except ConfigError as error:
            missing(str(error))
    folder = tmp_path_factory.mktemp("window")
    (folder / "chosen").mkdir()
    words = [str(folder / name) for name in ("workspace", "chosen", "saved.json")]
    environment = {
        **os.environ,
        "DISPLAY": display,
        "QT_QPA_PLATFORM": "xcb",
        # as root Chromium has no sandbox, and there is no graphics card here
        "QTWEBENGINE_CHROMIUM_FLAGS": "--no-sandbox --disable-gpu",
    }
    told = subprocess.run(
        [sys.executable, str(DRIVER), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    lines = [line for line in told.stdout.splitlines() if line.startswith("{")]
    assert lines, told.stdout + told.stderr
    return {**json.loads(lines[0]), "said": told.stderr}, folder, told.returncode


def missing(reason: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"CI must have everything: {reason}", pytrace=False)
    pytest.skip(reason)


pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*(no_silent_downcasting|copy keyword)"),  # gradio of pandas
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # the codec's
]
Used = tuple[dict[str, Any], Path, int]


def test_the_window_shows_the_first_sample_with_its_objects(used: Used) -> None:
    seen, _, _ = used
    assert seen["total"] > 0
    assert seen["document"]


def test_it_has_its_size_and_the_page_s_title(used: Used) -> None:
    seen, _, _ = used
    assert seen["size"] == [1440, 900]
    assert seen["frame"] == seen["title"] == "CoMask Studio"


def test_a_folder_that_is_chosen_fills_the_field(used: Used) -> None:
    seen, folder, _ = used
    assert seen["folder"] == str(folder / "chosen")


def test_a_download_is_saved_where_the_dialog_says(used: Used) -> None:
    seen, folder, _ = used
    assert seen["suggested"] == "instances.json"
    assert json.loads((folder / "saved.json").read_text())["name"] == "CoMask Studio"


def test_closing_waits_for_a_label_and_ends_well(used: Used) -> None:
    seen, folder, code = used
    assert seen["pending"] == 1
    with sqlite3.connect(folder / "workspace" / "runs.sqlite") as store:
        (gestures,) = store.execute("SELECT count(*) FROM comask_acts").fetchone()
    assert gestures == 1
    assert code == 0, seen["said"]


def test_in_a_browser_no_dialog_is_offered(page: Page, site: Site) -> None:
    page.goto(site.address)
    until(page, "s.total > 0 && !s.pending")
    expect(page.get_by_test_id("folder")).to_have_count(1)
    expect(page.get_by_text("Browse …")).to_have_count(0)


def test_its_place_and_port_are_remembered(used: Used) -> None:
    _, folder, _ = used
    place = window.remembered(folder / "workspace")
    assert (place.width, place.height) == (1440, 900)
    assert place.x is not None
    assert 0 < place.port < 65_536
