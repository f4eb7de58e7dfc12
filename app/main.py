"""One FastAPI app: our routes, the canvas' files, and the Gradio page mounted beside them.

Nothing here asks any other machine for anything, neither the server nor the page: Gradio's
analytics, version check, run history and sharing are off, and its fonts are the system's.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import gradio as gr
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from app import api
from app.canvas import component
from app.services import Services
from app.views import page

MANIFEST = {
    "name": "CoMask Studio",
    "short_name": "CoMask",
    "start_url": "./",
    "display": "standalone",
    "icons": [],
}


def build(services: Services) -> FastAPI:
    """Build the whole app over some services; they are closed when the app stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        services.warm_up()
        yield
        services.close()

    # without FastAPI's pages of documentation: they load scripts from another machine
    app = FastAPI(
        title="CoMask Studio", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    api.add_to(app, services)

    @app.get("/manifest.json")
    def manifest() -> Response:
        return JSONResponse(MANIFEST, media_type="application/manifest+json")

    app.mount(component.ADDRESS, StaticFiles(directory=component.STATIC), name="canvas")
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        page.build(services),
        path="/",
        server_name=services.settings.host,
        server_port=services.settings.port,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size=services.settings.limits.checkpoint_bytes,
        theme=page.theme(),
        css_paths=page.css_paths(),
        favicon_path=page.ICON,
    )
    return mounted
