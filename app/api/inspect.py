"""What the page Inspect asks: maps as packets or files, and how far the work is."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Request, Response

from app.actions import ablation, maps
from app.actions.maps import MEASURES, Asked
from app.api.answers import (
    find_checkpoint,
    find_dataset,
    find_image,
    json_answer,
    read_choice,
    read_number,
    read_whole,
    refuse,
    refuse_other_sites,
)
from app.services import CheckpointFile, Services, StoredImage
from app.services.tasks import TaskState, Work
from comask.errors import ComaskError

if TYPE_CHECKING:  # brings torch, which the first page does not wait for
    from comask.analysis.switches import Switches

WAIT = 1.5  # seconds until work that goes on is told of
REDUCTIONS = ("mean", "norm", "max", "channel", "pca")
MOST_CHANNELS = 4096
PACKET = "application/octet-stream"


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api")

    @routes.get("/maps/{key}")
    def several(request: Request, key: str) -> Response:
        image, file = opened(services, request, key)
        asked = _asked(request)
        question = ("maps", *services.inspections.held(file, image), asked.token)
        return answer(services, question, lambda _: maps.packet(services, file, image, asked))

    @routes.get("/maps/{key}/{name}")
    def one(request: Request, key: str, name: str) -> Response:
        """Answer with one map as a file, named P3-8x.npy or P3-8x.csv."""
        image, file = opened(services, request, key)
        asked = _asked(request)
        place, kind = _place(name)
        try:
            content = maps.download(services, file, image, asked, place, kind)
        except (ComaskError, OSError) as error:
            refuse(404, f"{str(error).rstrip('.')}.")
        label = f"{PurePosixPath(image.file_name).name}-{asked.token}-{name}"
        return file_answer(content, label, "text/csv" if kind == "csv" else PACKET)

    @routes.get("/ablation/{key}")
    def switched(request: Request, key: str) -> Response:
        image, file = opened(services, request, key)
        switches = _switches(request)
        score = read_number(request.query_params.get("score"), "score", 0, 1, 0.0)
        held = services.inspections.held(file, image)
        return answer(
            services,
            ("ablation", *held, switches, score),
            lambda _: ablation.image_change(services, file, image, switches, score),
        )

    @routes.get("/ablation-set/{dataset}")
    def switched_set(request: Request, dataset: str) -> Response:
        found = find_dataset(services, dataset)
        file = checkpoint(services, request)
        switches = _switches(request)
        most = read_whole(
            request.query_params.get("images"), "images", 1, ablation.MOST_IMAGES, len(found)
        )
        identity = services.checkpoints.identity(file)
        return answer(
            services,
            ("ablation-set", identity, found.content, switches, most),
            lambda report: ablation.set_change(
                services, file, (dataset, found), switches, most, report
            ),
        )

    @routes.delete("/tasks/{number}")
    def stop(request: Request, number: str) -> Response:
        refuse_other_sites(request)
        found = services.inspections.tasks.stop(number)
        return json_answer(request, orjson.dumps({"stopped": found}), {"Cache-Control": "no-store"})

    return routes


def opened(
    services: Services, request: Request, key: str, name: str = "checkpoint"
) -> tuple[StoredImage, CheckpointFile]:
    """Look up the image and the checkpoint of a question."""
    return find_image(services, key), checkpoint(services, request, name)


def checkpoint(services: Services, request: Request, name: str = "checkpoint") -> CheckpointFile:
    """Look up the checkpoint of a question; without a name it is the first."""
    file = find_checkpoint(services, request.query_params.get(name))
    if file is None:
        refuse(409, "There is no checkpoint to look into; add one first.")
    return file


def answer(services: Services, question: tuple[object, ...], work: Work) -> Response:
    """Answer with a packet, or with 202 and how far the work is."""
    try:
        state = services.inspections.tasks.ask(question, work, WAIT)
    except ComaskError as error:
        refuse(429, f"{str(error).rstrip('.')}.")
    return told(state)


def told(state: TaskState) -> Response:
    """Tell what became of some work."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if state.stage == "failed":
        refuse(422, f"{state.sentence.rstrip('.')}.")
    if state.stage == "done":
        return Response(state.content, media_type=PACKET, headers=headers)
    head = {"task": state.id, "done": state.done, "total": state.total}
    return Response(orjson.dumps(head), 202, media_type="application/json", headers=headers)


def file_answer(content: bytes, label: str, media_type: str) -> Response:
    """Answer with a file to keep."""
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(label, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(content, media_type=media_type, headers=headers)


def _asked(request: Request) -> Asked:
    given = request.query_params
    what: maps.What = read_choice(
        given.get("what"), "what", ("activation", "contribution"), "activation"
    )
    if what == "contribution":
        how = read_choice(given.get("how"), "how", MEASURES, "share")
        return Asked(what, how)
    how = read_choice(given.get("how"), "how", REDUCTIONS, "norm")
    channel = read_whole(given.get("channel"), "channel", 0, MOST_CHANNELS - 1, 0)
    return Asked(what, how, channel if how == "channel" else 0)


def _switches(request: Request) -> "Switches":
    try:
        return ablation.parse(request.query_params.get("switches"))
    except ComaskError as error:
        refuse(422, f"{str(error).rstrip('.')}.")


def _place(name: str) -> tuple[tuple[int, str], Literal["npy", "csv"]]:
    stem, dot, kind = name.rpartition(".")
    level, dash, panel = stem.partition("-")
    levels = {"P2": 2, "P3": 3, "P4": 4, "P5": 5}
    if not dot or not dash or level not in levels or kind not in ("npy", "csv"):
        refuse(404, "A map's file is named like P3-8x.npy or P3-8x.csv.")
    return (levels[level], panel), kind  # type: ignore[return-value]
