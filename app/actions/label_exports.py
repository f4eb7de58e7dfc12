"""Files out: a project's labels written for other tools, read again, and certified."""

import re
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.canvas.label_files_asked import ExportAsked
from app.services import Services
from app.services.label_sources import open_source
from app.services.sheets import Project
from comask.annotation import label_export
from comask.annotation.formats import Format, Said, Written
from comask.annotation.label_export import LabelExport

if TYPE_CHECKING:  # brings pycocotools' evaluation, which the first page does not wait for
    from comask.evaluate.certificate import Certificate, Row

KEPT = 20  # exports of a workspace; older ones are removed
MOST_ROWS = 1_000  # polygons that are listed, the worst first

_FILES: dict[Format, str] = {
    "coco": "instances.json",
    "results": "results.json",
    "labelme": "labelme.zip",
    "yolo": "yolo.zip",
}
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True)
class Kept:
    """A file of an earlier export, and its certificate."""

    path: Path
    certificate: Path


def export(services: Services, project: Project, asked: ExportAsked) -> dict[str, Any]:
    """Write a project's labels and certify the file; raises InputError for what can't be said."""
    from comask.evaluate import certificate

    source = open_source(project, services.images, services.sheets)
    names = source.names()
    meant = label_export.export(
        services.labels, project.kept_as, source.about(), source.base, asked.choice, names
    )
    meant = source.noted(meant)
    folder = _new_folder(services)
    path = folder / _FILES[asked.settings.format]
    try:
        made = certificate.write(path, meant, asked.settings, source.measure)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    rows = {name: row for row, name in reversed(list(enumerate(names)))}
    keys = services.sheets.keys(project, rows.items())
    return {
        "id": folder.name,
        "file_name": path.name,
        "url": f"/api/labels/exports/{folder.name}",
        "bytes": path.stat().st_size,
        "images": made.certificate.images,
        "annotations": made.certificate.annotations,
        "certificate": _told(made.certificate, keys),
        "polygons": _polygons(made.written, meant, keys),
    }


def find(services: Services, export_id: str) -> Kept | None:
    """Find what was exported; whatever is no id is as unknown as a wrong one."""
    if not _ID.fullmatch(export_id):
        return None
    folder = _home(services) / export_id
    for name in _FILES.values():
        kept = Kept(folder / name, folder / f"{name}.certificate.json")
        if kept.path.is_file() and kept.certificate.is_file():
            return kept
    return None


def _home(services: Services) -> Path:
    return services.settings.workspace / "exports"


def _new_folder(services: Services) -> Path:
    """Make a folder for an export, and remove the oldest."""
    home = _home(services)
    home.mkdir(exist_ok=True)
    there = [one for one in home.iterdir() if _ID.fullmatch(one.name)]
    there.sort(key=lambda one: one.stat().st_mtime, reverse=True)
    for old in there[KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
    folder = home / uuid.uuid4().hex
    folder.mkdir()
    return folder


def _told(found: "Certificate", keys: dict[str, str]) -> dict[str, Any]:
    def told(row: "Row") -> dict[str, Any]:
        return {
            **_image(row.image, keys),
            "id": row.uid or None,
            "annotation_id": row.annotation_id,
            "sentence": row.sentence,
        }

    return {
        "passed": found.passed,
        "sha256": found.sha256,
        "checks": [asdict(one) | {"rows": [told(row) for row in one.rows]} for one in found.checks],
        "categories": [
            asdict(one) | {"ap": one.ap if one.ap >= 0 else None} for one in found.categories
        ],
    }


def _image(name: str, keys: dict[str, str]) -> dict[str, Any]:
    """Say which image is meant; an upload's name in the store is its key, which nobody reads."""
    key = keys.get(name)
    return {"key": key, "file_name": None if name in ("", key) else name}


def _polygons(written: Written, meant: LabelExport, keys: dict[str, str]) -> dict[str, Any] | None:
    if not written.settings.draws:
        return None
    origins = {origin.annotation_id: origin for origin in meant.origins}
    drawn = [said for said in written.polygons if said.annotation_id not in written.fallen_back]

    def row(said: Said) -> dict[str, Any]:
        origin = origins[said.annotation_id]
        about = {**_image(origin.image, keys), "id": origin.uid}
        return {**about, "iou": said.iou, "points": said.points}

    worst = sorted(written.polygons, key=lambda said: said.iou)[:MOST_ROWS]
    return {
        "drawn": len(drawn),
        "fallen_back": len(written.fallen_back),
        "worst_iou": min((said.iou for said in drawn), default=None),
        "rows": [row(said) for said in worst],
    }
