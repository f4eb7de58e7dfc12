"""The report of a run over a dataset, as a file to take away."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from app.actions.judge import open_set
from app.services import CheckpointFile, Services
from app.services.pairs import Question
from comask.annotation.index import DatasetIndex
from comask.evaluate import findings, report_page
from comask.evaluate.findings import Subject

Form = Literal["html", "json"]


@dataclass(frozen=True)
class ReportFile:
    """A report with the name that a download gets."""

    name: str
    content: bytes


def report(
    services: Services,
    dataset: str,
    found: DatasetIndex,
    file: CheckpointFile,
    asked: Question,
    form: Form,
) -> ReportFile:
    """Report what a checkpoint's run has so far; raises InputError where it has nothing."""
    kept = open_set(services, dataset, found, file)
    state = services.datasets.state(dataset)
    subject = Subject(
        dataset=dataset if state is None else state.name,
        checkpoint=file.name,
        identity=services.checkpoints.identity(file),
        planned=len(found),
    )
    content: dict[str, Any] = services.pairs.remember(
        ("report", kept.token, subject, asked),
        lambda: findings.gather(
            kept.pairs,
            kept.categories,
            subject,
            score=asked.score,
            iou=asked.iou,
            kind=asked.kind,
        ),
    )
    name = _file_name(f"{subject.dataset} {PurePosixPath(file.name).stem}")
    if form == "json":
        return ReportFile(f"{name}.json", findings.to_json(content))
    return ReportFile(f"{name}.html", report_page.render(content).encode())


def _file_name(text: str) -> str:
    """Keep what every file system takes."""
    return "report-" + re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:100]
