"""Receptive fields of a place or an instance, as packets or files."""

from dataclasses import replace

from fastapi import APIRouter, Request, Response

from app.actions import fields, fit
from app.actions.fields import FieldAsked
from app.api import metrics
from app.api.answers import find_dataset, read_choice, read_number, read_whole, refuse, refuse_for
from app.api.inspections import (
    LONGEST,
    answer,
    checkpoint,
    file_answer,
    opened,
    read_instance,
    read_place,
    table_answer,
)
from app.services import Services
from comask.errors import ComaskError


def router(services: Services) -> APIRouter:
    """Build the routes."""
    routes = APIRouter(prefix="/api")

    @routes.get("/fit/{dataset}")
    def fitting(request: Request, dataset: str) -> Response:
        """Answer with every object beside its field; ``dataset`` may end in .csv for a table."""
        name, dot, kind = dataset.partition(".")
        if dot and kind != "csv":
            refuse(404, "Field fit comes as a packet or as a table that ends in .csv.")
        found = find_dataset(services, name)
        file = checkpoint(services, request)
        asked = metrics.question(services, request)
        most = min(fit.MOST_IMAGES, len(found))
        if kind == "csv":
            return table_answer(
                name,
                "field-fit.csv",
                lambda: fit.table(services, file, (name, found), asked, most),
            )
        try:
            kept = services.pairs.get(name, found, services.checkpoints.identity(file))
        except (ComaskError, OSError) as error:
            refuse_for(409, error)
        return answer(
            services,
            ("fit", *fit.key_of(services, found, file, most), asked, kept.token),
            lambda report: fit.packet(services, file, (name, found), asked, most, report),
        )

    @routes.get("/fields-set/{dataset}")
    def of_set(request: Request, dataset: str) -> Response:
        """Answer with mean fields over a dataset; ``other`` names a checkpoint to set beside."""
        found = find_dataset(services, dataset)
        files = [checkpoint(services, request)]
        if request.query_params.get("other"):
            other = checkpoint(services, request, "other")
            files += [other] if other != files[0] else []
        asked = replace(_asked(request), point=None, instance=None, alike=False)
        given = request.query_params.get("images")
        most = min(read_whole(given, "images", 1, fields.MOST_IMAGES, 8), len(found))
        identities = tuple(services.checkpoints.identity(file) for file in files)
        return answer(
            services,
            ("fields-set", identities, found.fingerprint, found.content, asked, most),
            lambda report: fields.set_packet(
                services, files, (dataset, found), asked, most, report
            ),
        )

    @routes.get("/fields/{key}")
    def several(request: Request, key: str) -> Response:
        image, file = opened(services, request, key)
        asked = _asked(request)
        question = ("fields", *services.inspections.held(file, image), asked)
        return answer(
            services, question, lambda report: fields.packet(services, file, image, asked, report)
        )

    @routes.get("/fields/{key}/{name}")
    def one(request: Request, key: str, name: str) -> Response:
        """Answer with one field as a file, named P3-8x.npy or P3-8x.csv."""
        image, file = opened(services, request, key)
        place, kind = read_place(name)
        asked = _asked(request)
        return file_answer(
            image,
            f"field-{asked.path}-{asked.norm}-{asked.frame}",
            name,
            lambda: fields.download(services, file, image, asked, place, kind),
        )

    return routes


def _asked(request: Request) -> FieldAsked:
    given = request.query_params
    point = None
    if given.get("point"):
        parts = given["point"].split(",")
        if len(parts) != 2:
            refuse(422, "point must be x and y in image pixels with a comma between.")
        x, y = (read_number(part, "point", 0, LONGEST, 0.0) for part in parts)
        point = (x, y)
    row = read_instance(given.get("instance"))
    return FieldAsked(
        path=read_choice(given.get("path"), "path", ("own", "cascade"), "own"),
        norm=read_choice(given.get("norm"), "norm", ("frozen", "live"), "frozen"),
        frame=read_choice(given.get("frame"), "frame", ("image", "level"), "image"),
        point=None if row is not None else point,
        instance=row,
        alike=read_choice(given.get("alike"), "alike", ("0", "1"), "0") == "1",
    )
