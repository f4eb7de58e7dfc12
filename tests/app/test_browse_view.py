"""What the page is told, without a browser."""

import asyncio
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.actions import browse, predict
from app.session import Session
from app.views import browse as view_browse
from app.views import page
from tests.app.standins import BlobDetector, studio, wait_for_run


def test_news_of_a_stopped_run_change_nothing(tmp_path: Path) -> None:
    services = studio(tmp_path)
    with gr.Blocks(analytics_enabled=False):
        view = view_browse.build()
    session = predict.started(browse.opened(Session(), services), services)
    wait_for_run(services, session.run)
    detector = BlobDetector()
    detector.gate.clear()
    stopped = studio(tmp_path / "other", detector)
    held = predict.started(browse.opened(Session(), stopped), stopped)
    predict.stopped(held, stopped)
    detector.gate.set()
    told = asyncio.run(_all(view_browse.news(view, held, stopped)))
    assert told == [{view.canvas: gr.skip()}]
    last = asyncio.run(_all(view_browse.news(view, session, services)))[-1]
    assert last[view.stop].visible is False


def test_a_session_is_shown_whole(tmp_path: Path) -> None:
    services = studio(tmp_path)
    with gr.Blocks(analytics_enabled=False):
        view = view_browse.build()
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


async def _all(told: Any) -> list[Any]:
    return [changes async for changes in told]
