"""The Studio in a window of its own: the same page in a web view, with the machine's dialogs.

The page finds ``window.pywebview`` there and nowhere else, and offers dialogs only then
(``canvas/static/desktop.js``). The toolkit is an extra, so it is imported when a window is asked
for, and by name.
"""

import ctypes
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from comask.annotation.files import replace_file
from comask.errors import ConfigError

SIZE = (1440, 900)  # width and height, screen pixels
LEAST = (900, 600)
PATIENCE = 10.0  # seconds that closing waits for labels on their way
GLANCE = 0.05  # seconds between two looks at them

_MEMORY = "window.json"  # in the workspace
_STORAGE = "window"  # what the web view keeps, labels that wait included
_NEEDED = (
    '--window needs the extra "desktop": python -m pip install -e ".[desktop]" -c constraints.txt'
)

# work that is counted when a page is left goes on its way too
_LEAVE = "window.dispatchEvent(new Event('pagehide'))"
# what waits for somebody's decision stays in the web view's storage, as in a browser's
_SETTLED = """(() => {
  const label = window.studio?.state().label;
  return !label || label.saved || label.conflict !== null;
})()"""


@dataclass(frozen=True)
class Place:
    """Where the window was, in screen pixels, and the port that its page came from.

    What a web view keeps belongs to an address with its port, so the same one is taken again.
    """

    width: int = SIZE[0]
    height: int = SIZE[1]
    x: int | None = None
    y: int | None = None
    port: int = 0


def check() -> None:
    """See that a window can be opened here; raises ConfigError with what is missing."""
    if not _has("webview"):
        raise ConfigError(_NEEDED)
    if sys.platform != "linux":  # macOS and Windows bring web views of their own
        return
    if not _has("PySide6.QtWebEngineWidgets"):
        raise ConfigError(_NEEDED)
    if "QT_QPA_PLATFORM" in os.environ or os.environ.get("WAYLAND_DISPLAY"):
        return
    if not os.environ.get("DISPLAY"):
        raise ConfigError(
            "There is no display to open a window on; without --window the Studio opens in a "
            "browser."
        )
    try:
        ctypes.CDLL("libxcb-cursor.so.0")  # without it Qt ends the whole process
    except OSError as error:
        raise ConfigError(
            "--window needs a library of the system's: apt-get install libxcb-cursor0"
        ) from error


def remembered(workspace: Path) -> Place:
    """Read where the window was; a first one, or a record that is no such, is a new place."""
    try:
        kept = json.loads((workspace / _MEMORY).read_bytes())
        place = Place(**kept)
    except (OSError, ValueError, TypeError):
        return Place()
    numbers = [value for value in asdict(place).values() if value is not None]
    if not all(type(number) is int and abs(number) < 100_000 for number in numbers):
        return Place()
    if place.width < LEAST[0] or place.height < LEAST[1] or not 0 <= place.port <= 65_535:
        return Place()
    return place


def remember(workspace: Path, place: Place) -> None:
    """Keep where the window was."""
    replace_file(workspace / _MEMORY, json.dumps(asdict(place)).encode())


class Bridge:
    """What the page may ask of the window; what nobody chose is None."""

    def __init__(self, toolkit: Any) -> None:
        self._toolkit = toolkit
        self._view: Any = None

    def _bind(self, view: Any) -> None:
        self._view = view

    def choose_folder(self, start: str = "") -> str | None:
        """Let somebody choose a folder, beginning in the one that the field names."""
        return self._ask(self._toolkit.FileDialog.FOLDER, start, ())

    def choose_file(self, start: str = "", kind: str = "All files (*.*)") -> str | None:
        """Let somebody choose a file of a kind, written as "COCO file (*.json)"."""
        return self._ask(self._toolkit.FileDialog.OPEN, start, (kind,))

    def retitle(self, title: str) -> None:
        """Write the page's title on the window's frame."""
        self._view.set_title(str(title)[:200])

    def _ask(self, dialog: Any, start: str, kinds: tuple[str, ...]) -> str | None:
        place = Path(start).expanduser() if start else Path.home()
        folder = place if place.is_dir() else place.parent
        chosen = self._view.create_file_dialog(dialog, directory=str(folder), file_types=kinds)
        return str(chosen[0]) if chosen else None


class StudioWindow:
    """One window over a Studio that is served, or soon will be."""

    def __init__(self, address: str, workspace: Path, place: Place) -> None:
        self._toolkit: Any = importlib.import_module("webview")
        self._workspace = workspace
        self._port = place.port
        self._may_close = False
        self._leaving = False
        bridge = Bridge(self._toolkit)
        self._view: Any = self._toolkit.create_window(
            "CoMask Studio",
            address,
            js_api=bridge,
            width=place.width,
            height=place.height,
            x=place.x,
            y=place.y,
            min_size=LEAST,
            text_select=True,
        )
        bridge._bind(self._view)
        self._view.events.shown += self._bring_back
        self._view.events.closing += self._closing
        if sys.platform == "linux":
            self._view.events.before_show += self._offer_to_save

    def show(self) -> None:
        """Show the window until it is closed; the process' first thread has to do it."""
        # pywebview's own way to save a download calls what Qt 6 has no more: see _offer_to_save
        self._toolkit.settings["ALLOW_DOWNLOADS"] = sys.platform != "linux"
        self._toolkit.start(
            gui="qt" if sys.platform == "linux" else None,
            private_mode=False,
            storage_path=str(self._workspace / _STORAGE),
        )

    def close(self) -> None:
        """Close the window at once, from any thread; one that is closed stays so."""
        self._may_close = True
        if self._view in self._toolkit.windows:
            self._view.destroy()

    def _closing(self) -> bool:
        """Keep the window until what people did has arrived; then it closes by itself."""
        if self._may_close:
            view = self._view
            place = Place(view.width, view.height, view.x, view.y, self._port)
            remember(self._workspace, place)
            return True
        if not self._leaving:
            self._leaving = True
            threading.Thread(target=self._leave, daemon=True).start()
        return False

    def _leave(self) -> None:
        # a page that hangs never answers, and must not keep the window
        settling = threading.Thread(target=self._settle, daemon=True)
        settling.start()
        settling.join(PATIENCE)
        self.close()

    def _settle(self) -> None:
        view = self._view
        if not view.events.loaded.is_set():
            return
        view.evaluate_js(_LEAVE)
        while not view.evaluate_js(_SETTLED):
            time.sleep(GLANCE)

    def _bring_back(self) -> None:
        """Move a window whose screen is gone to the first one."""
        x, y = self._view.x, self._view.y
        screens = self._toolkit.screens
        if screens and not any(
            one.x <= x < one.x + one.width and one.y <= y < one.y + one.height for one in screens
        ):
            self._view.move(screens[0].x, screens[0].y)

    def _offer_to_save(self) -> None:
        """Ask with Qt's dialog where a download goes."""
        dialogs = importlib.import_module("qtpy.QtWidgets").QFileDialog

        def save(download: Any) -> None:
            suggested = str(Path.home() / download.downloadFileName())
            chosen, _ = dialogs.getSaveFileName(self._view.native, "Save", suggested)
            if not chosen:
                download.cancel()
                return
            download.setDownloadDirectory(str(Path(chosen).parent))
            download.setDownloadFileName(Path(chosen).name)
            download.accept()

        self._view.native.profile.downloadRequested.connect(save)


def _has(module: str) -> bool:
    """Look for a module without loading what is around it: PySide6 changes how Python imports."""
    places: Sequence[str] | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        found = PathFinder.find_spec(name, places)
        if found is None:
            return False
        places = found.submodule_search_locations
    return True
