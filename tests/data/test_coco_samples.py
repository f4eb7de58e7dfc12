import io
import json
import re
import socket
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from comask.annotation import coco
from comask.data import coco_samples
from comask.errors import NetworkError

ARCHIVE = "/annotations/annotations_trainval2017.zip"
MEMBER = "annotations/instances_val2017.json"
SQUARE = [1.0, 1.0, 5.0, 1.0, 5.0, 4.0, 1.0, 4.0]


class Server:
    """COCO's server on this machine: files by their addresses, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.sent = 0
        self.ranges = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.path)
        content = self.files.get(handler.path)
        if content is None:
            handler.send_error(404)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
        part = content
        if wanted is not None and self.ranges:
            part = content[int(wanted[1]) : int(wanted[2]) + 1]
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {wanted[1]}-{wanted[2]}/{len(content)}")
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(part)))
        handler.end_headers()
        handler.wfile.write(part)
        self.sent += len(part)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def photograph(seed: int, size: tuple[int, int] = (30, 40)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def truth(count: int) -> dict[str, Any]:
    return {
        "info": {"year": 2017},
        "licenses": [{"id": 4, "name": "CC BY 2.0"}],
        "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}],
        "images": [
            {"id": n, "file_name": f"{n:012d}.jpg", "width": 40, "height": 30, "license": 4}
            for n in range(count)
        ],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 90, "segmentation": [SQUARE],
             "area": 12, "bbox": [1, 1, 4, 3], "iscrowd": 0}
            for n in range(count)
        ],
    }  # fmt: skip


def archive(content: object) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("annotations/captions.json", bytes(3_000_000), zipfile.ZIP_STORED)
        packed.writestr(MEMBER, json.dumps(content))
        packed.writestr("annotations/z.json", bytes(3_000_000), zipfile.ZIP_STORED)
    return stream.getvalue()


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    started.files[ARCHIVE] = archive(truth(12))
    for number in range(12):
        started.files[f"/val2017/{number:012d}.jpg"] = photograph(number)
    yield started
    started.close()


def fetch(server: Server, folder: Path, count: int = 5) -> list[tuple[int, int]]:
    said: list[tuple[int, int]] = []
    coco_samples.fetch(folder, lambda *both: said.append(both), count=count, source=server.address)
    return said


def test_some_photographs_come_with_their_truth(server: Server, tmp_path: Path) -> None:
    said = fetch(server, tmp_path)
    file, pictures = coco_samples.places(tmp_path)
    found = coco.read(file)
    assert len(found.images) == len(found.annotations) == 5
    assert {image.file_name for image in found.images} == {p.name for p in pictures.iterdir()}
    assert (found.info["year"], found.licenses[0]["id"]) == (2017, 4)
    assert (said[0], said[-1]) == ((0, 5), (5, 5))
    assert said == sorted(said)


def test_of_the_archive_only_a_part_is_fetched(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    assert server.sent < 0.5 * len(server.files[ARCHIVE])


def test_the_same_photographs_are_chosen_and_none_fetched_twice(
    server: Server, tmp_path: Path
) -> None:
    fetch(server, tmp_path / "a")
    fetch(server, tmp_path / "b")
    names = [{p.name for p in (tmp_path / f / "val2017").iterdir()} for f in "ab"]
    assert names[0] == names[1]
    asked = len(server.asked)
    fetch(server, tmp_path / "a")
    assert len(server.asked) == asked


def test_a_fetch_that_broke_off_goes_on(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path / "whole")
    (lost, *_) = sorted(p.name for p in (tmp_path / "whole/val2017").iterdir())
    kept = server.files.pop(f"/val2017/{lost}")
    with pytest.raises(NetworkError, match="answered 404"):
        fetch(server, tmp_path / "part")
    assert not coco_samples.places(tmp_path / "part")[0].exists()
    server.files[f"/val2017/{lost}"] = kept
    server.asked.clear()
    fetch(server, tmp_path / "part")
    assert len(list((tmp_path / "part/val2017").iterdir())) == 5
    assert 1 <= sum(path.startswith("/val2017/") for path in server.asked) < 6


def test_a_damaged_photograph_is_fetched_again(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path / "whole")
    name = next((tmp_path / "whole/val2017").iterdir()).name
    (tmp_path / "b/val2017").mkdir(parents=True)
    (tmp_path / "b/val2017" / name).write_bytes(b"half a photograph")
    fetch(server, tmp_path / "b")
    assert (tmp_path / "b/val2017" / name).read_bytes() == server.files[f"/val2017/{name}"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>log in first</html>", "not an image"),
        (photograph(1, (20, 40)), "40 x 20 pixels and not 40 x 30"),
        (photograph(1)[:300], "something else"),
        (b"", "empty"),
        (b"\0" * (coco_samples.MAX_IMAGE + 1), "sent more than"),
    ],
)
def test_what_is_no_such_photograph_is_refused(
    server: Server, tmp_path: Path, content: bytes, reason: str
) -> None:
    for number in range(12):
        server.files[f"/val2017/{number:012d}.jpg"] = content
    with pytest.raises(NetworkError, match=reason):
        fetch(server, tmp_path)
    assert list((tmp_path / "val2017").iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", archive(truth(12))[:-30], archive([]), archive({}), archive(truth(0))],
)
def test_what_is_no_archive_is_refused(server: Server, tmp_path: Path, content: bytes) -> None:
    server.files[ARCHIVE] = content
    with pytest.raises(NetworkError, match=r"COCO's|can't|broke off|does not"):
        fetch(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_with_a_wrong_byte_is_refused(server: Server, tmp_path: Path) -> None:
    content = bytearray(archive(truth(12)))
    place = content.index(MEMBER.encode()) + len(MEMBER) + 20
    content[place] ^= 0xFF
    server.files[ARCHIVE] = bytes(content)
    with pytest.raises(NetworkError, match="damaged archive"):
        fetch(server, tmp_path)


def test_names_that_lead_elsewhere_are_never_asked_for(server: Server, tmp_path: Path) -> None:
    content = truth(3)
    for record, name in zip(
        content["images"], ["../../etc/passwd", "a/b.jpg", "http://x/y.jpg"], strict=True
    ):
        record["file_name"] = name
    server.files[ARCHIVE] = archive(content)
    with pytest.raises(NetworkError, match="names no photographs"):
        fetch(server, tmp_path)
    assert {path for path in server.asked if path != ARCHIVE} == set()


def test_a_server_without_parts_is_one_sentence(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    with pytest.raises(NetworkError, match="does not serve parts of files"):
        fetch(server, tmp_path)


def test_without_a_network_there_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(NetworkError, match=r"^127\.0\.0\.1:\d+ can't be reached .*network\.$"):
            coco_samples.fetch(tmp_path, source=address)
    with pytest.raises(NetworkError, match="can't be reached"):
        coco_samples.fetch(tmp_path, source="http://no-such-host.invalid")
    assert list(tmp_path.iterdir()) == []


def test_a_fetch_can_be_stopped(server: Server, tmp_path: Path) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        coco_samples.fetch(tmp_path, stop, count=12, source=server.address)
    assert not coco_samples.places(tmp_path)[0].exists()
