"""A person at the window: starts ``launch.py --window`` and uses it; what is seen goes to stdout.

It is a program of its own, because a window wants a process' first thread:
``python window_driver.py WORKSPACE CHOSEN SAVED``. ``CHOSEN`` is the folder that the folder
dialog answers, ``SAVED`` the file that the dialog for a download answers.
"""

import faulthandler
import importlib
import json
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 240.0  # seconds; a busy machine is slow, not wrong
LIMIT = 540.0  # seconds for everything; where it stands then is told, and it ends

PAGE = """(() => {
  const s = window.studio?.state();
  if (!s?.ready || !s.total) return null;
  return {total: s.total, document: s.document, title: document.title};
})()"""
PRESS = "(() => { const at = document.querySelector('%s'); at?.click(); return !!at; })()"
FIELD = "document.querySelector('[data-testid=folder]').value"
LABELLING = """(() => {
  const s = window.studio?.state();
  return s && s.ready && s.label.page && s.label.image_state ? {state: s.label.image_state} : null;
})()"""
# what is sent takes its time, so that a gesture is on its way while the window closes; Enter says
# that the image is done
GESTURE = """(() => {
  const send = window.fetch;
  const slowly = () => new Promise((done) => setTimeout(done, 1500));
  window.fetch = async (url, asked) => {
    if (String(url).endsWith('/ops')) await slowly();
    return send(url, asked);
  };
  const canvas = document.querySelector('[data-testid=canvas]');
  canvas.focus();
  canvas.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}));
  return window.studio.state().label.pending;
})()"""


def main(workspace: str, chosen: str, saved: str) -> int:
    """Start the Studio in a window with a person at it."""
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    sys.path.insert(0, str(ROOT))
    launch = importlib.import_module("launch")
    threading.Thread(target=_person, args=(chosen, saved), daemon=True).start()
    code: int = launch.main(["--window", "--workspace", workspace])
    return code


def _person(chosen: str, saved: str) -> None:
    toolkit = importlib.import_module("webview")
    _until(lambda: toolkit.windows)
    (view,) = toolkit.windows
    try:
        seen = _use(view, chosen, saved)
    except Exception:  # whatever it was: a person who is gone must not leave the window open
        traceback.print_exc()
    else:
        sys.stdout.write(json.dumps(seen) + "\n")
        sys.stdout.flush()
    view.native.destroy_trigger.emit()  # comes where the cross of the window's frame comes


def _use(view: Any, chosen: str, saved: str) -> dict[str, Any]:
    view.events.loaded.wait(PATIENCE)
    seen: dict[str, Any] = _until(lambda: view.evaluate_js(PAGE))
    seen |= {"size": [view.width, view.height], "frame": view.native.windowTitle()}
    _choose_folder(view, chosen, seen)
    _download(view, Path(saved), seen)
    _label(view, seen)
    return seen


def _press(view: Any, selector: str) -> None:
    _until(lambda: view.evaluate_js(PRESS % selector))


def _choose_folder(view: Any, chosen: str, seen: dict[str, Any]) -> None:
    view.create_file_dialog = lambda *_asked, **_more: (chosen,)
    _press(view, "#source input[value=dataset]")
    _press(view, "[data-testid=folder-browse]")
    seen["folder"] = _until(lambda: view.evaluate_js(FIELD))


def _download(view: Any, saved: Path, seen: dict[str, Any]) -> None:
    dialogs = importlib.import_module("qtpy.QtWidgets").QFileDialog
    asked: list[str] = []

    def choose(_parent: object, _title: str, suggested: str) -> tuple[str, str]:
        asked.append(suggested)
        return str(saved), ""

    dialogs.getSaveFileName = choose
    view.evaluate_js(
        "(() => { const a = document.createElement('a'); a.href = '/manifest.json';"
        " a.download = 'instances.json'; a.click(); })()"
    )
    _until(saved.is_file)
    seen["suggested"] = Path(asked[0]).name


def _label(view: Any, seen: dict[str, Any]) -> None:
    _press(view, "#source input[value=samples]")
    _until(lambda: view.evaluate_js(PAGE))
    _press(view, "[data-testid=page-label]")
    seen["label"] = _until(lambda: view.evaluate_js(LABELLING))
    seen["pending"] = view.evaluate_js(GESTURE)


def _until(found: Any) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.1)
    raise TimeoutError


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
