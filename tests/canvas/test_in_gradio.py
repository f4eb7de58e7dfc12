"""The drawing surface where it lives: inside ``gr.HTML``, on a real Gradio page."""

import socket
import threading
from collections.abc import Iterator

import gradio as gr
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI, Response
from fastapi.staticfiles import StaticFiles
from playwright.sync_api import Page, expect

from app.canvas import component, payload
from tests.canvas import documents, harness

pytestmark = [
    pytest.mark.browser,
    # gradio's queue sets an option that pandas 3 calls old
    pytest.mark.filterwarnings("ignore:.*no_silent_downcasting"),
]

SIZE = (60, 80)
MASKS = [documents.disc(SIZE, 25, 30, 12), documents.rectangle(SIZE, 50, 10, 20, 15)]
HOSTILE = "${document.title='run'} {{value}} <img src=x onerror=\"document.title='run'\">"


def a_document(key: str) -> payload.Document:
    found = documents.found(MASKS, [0.9, 0.4], names=(HOSTILE, "cell"))
    return payload.document(documents.image(key, SIZE), prediction=found)


def build() -> FastAPI:
    app = FastAPI()
    app.mount(component.ADDRESS, StaticFiles(directory=component.STATIC))
    picture = harness.encode_png(np.full((*SIZE, 3), 120, np.uint8))

    @app.get("/api/documents/{key}")
    def document(key: str) -> dict[str, object]:
        return dict(a_document(key))

    @app.get("/api/images/{key}")
    def image(key: str) -> Response:
        return Response(picture, media_type="image/png")

    @app.get("/manifest.json")
    def manifest() -> dict[str, str]:
        return {}

    def value(key: str) -> payload.CanvasValue:
        url = f"/api/documents/{key}"
        listed: list[payload.StripImage] = [{"key": key, "file_name": HOSTILE, "url": url}]
        return {"url": url, "images": listed, "status": [f"now {key}"]}

    with gr.Blocks(analytics_enabled=False) as page:
        with component.mask_canvas(controls=True, upload="files") as surface, gr.Column():
            other = gr.Button("Other image", elem_id="other")
            gr.UploadButton("Upload", elem_id="files")
            heard = gr.Textbox(elem_id="heard", label="heard")
        with gr.Tab("More"):
            gr.Markdown("below")
        other.click(lambda: value("b"), outputs=surface)
        surface.open_sample(lambda: value("a"), outputs=surface)

        def tell(event: gr.EventData) -> str:
            return str(payload.selected_instance(event._data))

        surface.select_instance(tell, outputs=heard)
    return gr.mount_gradio_app(app, page, path="/", run_history=False, footer_links=[])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(build(), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(10)


def ready(page: Page, key: str) -> None:
    page.wait_for_function(
        "key => window.studio?.state().ready && studio.state().document === key", arg=key
    )


def test_a_sample_opens_an_image_follows_python_and_a_pick_reaches_it(
    page: Page, address: str
) -> None:
    page.goto(address)
    page.get_by_test_id("open-sample").click()
    ready(page, "a")
    assert page.evaluate("studio.state().shown") == ["p1"]
    at = page.evaluate("studio.point('p1')")
    page.mouse.click(at["x"], at["y"])
    expect(page.locator("#heard textarea")).to_have_value("('a', 'p1')")
    page.locator("#other").click()
    ready(page, "b")
    expect(page.get_by_test_id("status-text")).to_have_text("now b")


def test_hostile_names_stay_text(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("#other").click()
    ready(page, "b")
    expect(page.get_by_test_id("instance-row").first).to_contain_text(HOSTILE)
    expect(page.get_by_test_id("image")).to_contain_text(HOSTILE)
    assert page.title() != "run"
    assert page.locator("[data-studio-root] img[src=x]").count() == 0


def test_gradios_controls_stand_on_top_of_the_left_rail(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("#other").click()
    ready(page, "b")
    button = page.locator("#other").bounding_box()
    rail = page.get_by_label("Images and filters").first.bounding_box()
    stage = page.get_by_test_id("view").bounding_box()
    assert button is not None
    assert rail is not None
    assert stage is not None
    assert button["y"] + button["height"] <= rail["y"]
    assert button["x"] + button["width"] <= stage["x"]


def test_the_theme_is_gradios(page: Page, address: str) -> None:
    page.goto(f"{address}?__theme=dark")
    expect(page.locator("[data-studio-root]")).to_have_attribute("data-theme", "dark")
    page.goto(f"{address}?__theme=light")
    expect(page.locator("[data-studio-root]")).to_have_attribute("data-theme", "light")
