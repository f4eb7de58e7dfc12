"""A page with nothing but the drawing surface, for developing and testing it without Gradio.

``python -m tests.canvas.harness`` serves it with a made-up document.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import cv2
import numpy as np

from app.canvas import component, payload
from tests.canvas import documents

KINDS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".png": "image/png"}

# what gr.HTML does with the same strings: `give` brings values from Python, `sent` goes there
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>canvas</title><link rel="icon" href="data:,">
<style>body {{ margin: 0 }}</style></head><body>
<div id="files"><input type="file" hidden></div><div id="place"></div>
<script>
const [template, loader, props] = {arguments};
const watching = [];
globalThis.sent = [];
globalThis.give = (value, name = "value") => {{
  props[name] = value;
  for (const [watched, call] of watching) if (watched === name) call();
}};
const place = document.getElementById("place");
place.innerHTML = template;
Function("element", "trigger", "props", "server", "upload", "watch", loader)(
  place, (name, data) => sent.push([name, data]), props, {{}}, null,
  (name, call) => watching.push([name, call]));
</script></body></html>"""


@dataclass(frozen=True)
class Asked:
    """One request: what the pattern caught, and what it carries."""

    caught: tuple[str, ...]
    said: dict[str, Any]


Route = Callable[[Asked], tuple[int, Any]]


@dataclass
class Site:
    """What the server answers, by address: (status, type, bytes); and what it was asked."""

    address: str = ""
    answers: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    routes: list[tuple[str, Route]] = field(default_factory=list)

    def route(self, pattern: str, answer: Route) -> None:
        """Answer "GET /path" or "POST /path" by a function; the pattern covers all of it."""
        self.routes.append((pattern, answer))

    def ask(self, method: str, address: str, body: bytes) -> tuple[int, str, bytes]:
        """Find the answer to a request."""
        parts = urlsplit(address)
        for pattern, answer in self.routes:
            found = re.fullmatch(pattern, f"{method} {unquote(parts.path)}")
            if found:
                query = dict(parse_qsl(parts.query))
                asked = json.loads(body) if body else query
                status, content = answer(Asked(found.groups(), asked))
                if isinstance(content, bytes):
                    kind = "image/png" if content.startswith(b"\x89PNG") else "text/html"
                    return status, kind, content
                return status, "application/json", json.dumps(content).encode()
        return self.answers.get(parts.path) or static(parts.path)

    def put_json(self, path: str, content: object, status: int = 200) -> None:
        self.answers[path] = (status, "application/json", json.dumps(content).encode())

    def put_document(self, document: payload.Document, picture: np.ndarray | None = None) -> str:
        """Serve a document and its picture; says the document's address."""
        key = document["image"]["key"]
        size = (document["image"]["height"], document["image"]["width"])
        if picture is None:
            picture = np.random.default_rng(1).integers(90, 130, (*size, 3), np.uint8)
        self.put_json(f"/api/documents/{key}", document)
        self.answers[f"/api/images/{key}"] = (200, "image/png", encode_png(picture))
        return f"/api/documents/{key}"

    def put_page(
        self, value: Mapping[str, Any] | None = None, path: str = "/", **options: Any
    ) -> str:
        """Serve the surface with a value; says the page's address."""
        made = component.mask_canvas(**options)
        props = {"value": value, **made.props}
        arguments = json.dumps([made.html_template, made.js_on_load, props]).replace("</", "<\\/")
        self.answers[path] = (200, "text/html", PAGE.format(arguments=arguments).encode())
        return self.address + path


@contextmanager
def serve(port: int = 0) -> Iterator[Site]:
    """Serve a site on this machine while the block runs."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.give("GET", b"")

        def do_POST(self) -> None:
            self.give("POST", self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def give(self, method: str, content: bytes) -> None:
            site.asked.append(self.path)
            status, kind, body = site.ask(method, self.path, content)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # the page does not want it any more
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # a page of thumbnails asks for many things at once

    with Server(("127.0.0.1", port), Handler) as server:
        site.address = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield site
        server.shutdown()


def static(path: str) -> tuple[int, str, bytes]:
    """Serve the surface's own files as the app does."""
    name = path.removeprefix(f"{component.ADDRESS}/")
    file = component.STATIC / name
    if "/" in name or not file.is_file():
        return 404, "text/plain", b"not here"
    return 200, KINDS[file.suffix], file.read_bytes()


def encode_png(picture: np.ndarray) -> bytes:
    """Encode an RGB picture."""
    done, code = cv2.imencode(".png", picture[..., ::-1])
    assert done
    return code.tobytes()


if __name__ == "__main__":
    with serve(8123) as site:
        address = site.put_document(documents.crowd(300, (520, 696)))
        print(site.put_page({"url": address}))  # noqa: T201
        threading.Event().wait()
