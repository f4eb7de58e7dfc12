"""Wait for the model without holding a thread."""

import time

import anyio
from fastapi.concurrency import run_in_threadpool

from app.services import CheckpointFile, Services, StoredImage

PATIENCE = 120.0  # seconds that an image is waited for
GLANCE = 0.05  # seconds between two looks


async def wait_for_model(
    services: Services, file: CheckpointFile, image: StoredImage, patience: float
) -> None:
    """See to it that the model looks at an image, before all others."""
    if await run_in_threadpool(services.ready, file, (image,)):
        return
    run = await run_in_threadpool(services.start_run, f"document {image.key}", file, (image,))
    services.runner.prefer(run, image.key)
    until = time.monotonic() + patience
    while time.monotonic() < until:
        state = services.runner.state(run)
        if state is None or state.stage != "running":
            return
        await anyio.sleep(GLANCE)
