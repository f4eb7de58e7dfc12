"""What the page is told, without a browser."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.actions import browse, predict
from app.session import Session
from app.views import browse as view_browse
from app.views import page
from tests.app.standins import BlobDetector, studio


@pytest.fixture
def view() -> view_browse.BrowseView:
    with gr.Blocks(analytics_enabled=False):
        return view_browse.build()


def test_news_end_with_the_runs_end_and_then_say_nothing(
    tmp_path: Path, view: view_browse.BrowseView
) -> None:
    services = studio(tmp_path)
    session = predict.started(browse.opened(Session(), services), services)
    told = _all(view_browse.news(view, session, services))
    assert told[-1] == {view.canvas: gr.skip()}
    assert told[-2][view.stop].visible is False
    assert told[-2][view.canvas].props["progress"]["status"] == ["first", "CPU", "3 images done"]


def test_news_of_a_stopped_run_change_nothing(tmp_path: Path, view: view_browse.BrowseView) -> None:
    detector = BlobDetector()
    detector.gate.clear()
    services = studio(tmp_path, detector)
    session = predict.started(browse.opened(Session(), services), services)
    predict.stopped(session, services)
    detector.gate.set()
    told = _all(view_browse.news(view, session, services))
    assert told == [{view.canvas: gr.skip()}]


def test_a_session_is_shown_whole(tmp_path: Path, view: view_browse.BrowseView) -> None:
    services = studio(tmp_path)
    before = browse.opened(Session(), services)
    session = browse.led(Session(), before, None)
    changes = view_browse.render(view, session, services)
    assert set(changes) == set(view)
    value = changes[view.canvas].value
    first = services.images.listed("samples")[0].key
    assert value["url"] == f"/api/documents/{first}?checkpoint=first&wait=0"
    assert [row["file_name"] for row in value["images"]] == [f"sample-{n}.png" for n in range(3)]
    assert changes[view.checkpoint].value == "first"


def test_the_page_calls_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    asked: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **_: asked.append(given))
    built = page.build(studio(tmp_path))
    assert built.analytics_enabled is False
    assert asked == []
    text = str(built.get_config_file()) + (page.STATIC / "page.css").read_text()
    assert "googleapis" not in text
    assert not page.theme()._stylesheets


def _all(told: Any) -> list[Any]:
    async def collected() -> list[Any]:
        return [changes async for changes in told]

    # a thread of its own: a browser that an earlier test opened keeps this one's loop running
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, collected()).result()
