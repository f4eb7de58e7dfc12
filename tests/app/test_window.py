import json
import subprocess
import sys
from pathlib import Path

import pytest

import launch
from app import window
from app.settings import Settings
from app.window import Place
from comask.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def test_a_place_is_found_again(tmp_path: Path) -> None:
    place = Place(width=1000, height=700, x=-5, y=40, port=4321)
    window.remember(tmp_path, place)
    assert window.remembered(tmp_path) == place


@pytest.mark.parametrize(
    "kept",
    [
        None,
        b"",
        b"no json",
        b"[1440, 900]",
        b'{"width": "wide"}',
        b'{"width": NaN}',
        b'{"width": true}',
        b'{"unknown": 1}',
        b'{"width": 100, "height": 100}',  # smaller than a window may be
        b'{"x": 1000000}',
        b'{"port": 70000}',
    ],
)
def test_a_record_that_is_none_is_a_new_place(tmp_path: Path, kept: bytes | None) -> None:
    if kept is not None:
        (tmp_path / "window.json").write_bytes(kept)
    assert window.remembered(tmp_path) == Place(1440, 900, None, None, 0)


def test_without_the_extra_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(window, "_has", lambda module: module != "webview")
    assert launch.main(["--window"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert 'pip install -e ".[desktop]"' in err


def test_looking_for_the_extra_loads_nothing_of_it() -> None:
    """PySide6 changes how a whole process imports, so only the window's own may load it."""
    looks = """
import builtins, sys
from app import window
plain = builtins.__import__
found = [window._has(name) for name in ("json.decoder", "json.nothing", "nothing.at.all")]
window._has("PySide6.QtWebEngineWidgets")
loaded = [name for name in sys.modules if name.startswith(("PySide6", "shiboken", "webview"))]
assert (found, loaded, builtins.__import__ is plain) == ([True, False, False], [], True)
"""
    subprocess.run([sys.executable, "-c", looks], cwd=ROOT, check=True)


def linux(monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    monkeypatch.setattr(window, "_has", lambda _: True)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def test_without_a_display_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    linux(monkeypatch)
    with pytest.raises(ConfigError, match="There is no display to open a window on"):
        window.check()


def test_a_library_that_qt_ends_without_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise OSError

    linux(monkeypatch, DISPLAY=":0")
    monkeypatch.setattr(window.ctypes, "CDLL", missing)
    with pytest.raises(ConfigError, match="apt-get install libxcb-cursor0"):
        window.check()


def test_on_wayland_nothing_of_x_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    linux(monkeypatch, WAYLAND_DISPLAY="wayland-0")
    window.check()


def test_other_machines_and_a_window_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(window, "check", lambda: None)
    assert launch.main(["--window", "--host", "0.0.0.0"]) == 2
    assert "this machine alone" in capsys.readouterr().err


def test_a_window_takes_its_last_port_again(tmp_path: Path) -> None:
    settings = Settings(workspace=tmp_path, port=0)
    with launch._listen_for_window(settings) as first:
        port = first.getsockname()[1]
    window.remember(tmp_path, Place(port=port))
    with launch._listen_for_window(settings) as again:
        assert again.getsockname() == ("127.0.0.1", port)
        with launch._listen_for_window(settings) as other:  # it is taken now
            assert other.getsockname()[1] != port


class View:
    """A window that notes what it is asked for and answers dialogs with a list."""

    def __init__(self, answer: list[str] | None) -> None:
        self.answer = answer
        self.asked: list[tuple[object, str, tuple[str, ...]]] = []

    def create_file_dialog(
        self, dialog: object, *, directory: str, file_types: tuple[str, ...]
    ) -> list[str] | None:
        self.asked.append((dialog, directory, file_types))
        return self.answer


class Toolkit:
    class FileDialog:
        FOLDER, OPEN = "folder", "open"


def bridge(answer: list[str] | None) -> tuple[window.Bridge, View]:
    made, view = window.Bridge(Toolkit), View(answer)
    made._bind(view)
    return made, view


def test_a_folder_is_chosen_from_where_the_field_points(tmp_path: Path) -> None:
    made, view = bridge(["/chosen"])
    assert made.choose_folder(str(tmp_path)) == "/chosen"
    assert view.asked == [("folder", str(tmp_path), ())]


def test_a_file_is_chosen_beside_the_one_that_the_field_names(tmp_path: Path) -> None:
    made, view = bridge(["/a/b.json"])
    named = str(tmp_path / "instances.json")
    assert made.choose_file(named, "COCO file (*.json)") == "/a/b.json"
    assert view.asked == [("open", str(tmp_path), ("COCO file (*.json)",))]


@pytest.mark.parametrize("answer", [None, []])
def test_nothing_chosen_is_none(answer: list[str] | None) -> None:
    made, view = bridge(answer)
    assert made.choose_folder() is None
    assert view.asked == [("folder", str(Path.home()), ())]


def test_the_record_is_a_small_json_object(tmp_path: Path) -> None:
    window.remember(tmp_path, Place(port=1))
    kept = json.loads((tmp_path / "window.json").read_text())
    assert kept == {"width": 1440, "height": 900, "x": None, "y": None, "port": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["window.json"]
