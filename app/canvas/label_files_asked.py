"""What the page Label asks of files, parsed into frozen values or refused with one sentence."""

from dataclasses import dataclass
from typing import Any, Literal

from app.canvas.label_asked import word
from comask.annotation.fields import Fields, is_number, shown
from comask.annotation.formats import WriteSettings
from comask.annotation.label_export import ExportSettings
from comask.errors import InputError

Policy = Literal["add", "replace"]


@dataclass(frozen=True)
class ExportAsked:
    """Labels of a project to be written: which of them, and how."""

    project: str
    choice: ExportSettings
    settings: WriteSettings


@dataclass(frozen=True)
class ImportAsked:
    """Labels of a file to be taken, as one batch ``key`` that can be undone.

    policy  add: beside what is there; replace: proposals that nobody looked at go first
    """

    project: str
    actor: str
    key: str
    policy: Policy


def export_asked(value: object) -> ExportAsked:
    """Read what is to be written; raises InputError."""
    fields = Fields(value)
    return ExportAsked(
        word(fields.get("project"), "project"),
        ExportSettings(
            include=_word(fields, "include", "kept"),
            min_score=_number(fields, "min_score", 0.0, 1.0),
            scores=_switch(fields, "scores"),
            provenance=_switch(fields, "provenance"),
        ),
        WriteSettings(
            format=fields.get("format"),
            masks=_word(fields, "masks", "rle"),
            bar=_number(fields, "bar", 0.95, 1.0),
            tolerance=_number(fields, "tolerance", 0.0, 1000.0),
            keyholes=_switch(fields, "keyholes"),
        ),
    )


def import_asked(value: object) -> ImportAsked:
    """Read how a file is to be taken; raises InputError."""
    fields = Fields(value)
    policy = fields.get("policy")
    if policy not in ("add", "replace"):
        raise InputError(f"policy must be add or replace, not {shown(policy)}")
    project, actor, key = (word(fields.get(one), one) for one in ("project", "actor", "key"))
    return ImportAsked(project, actor, key, policy)


def _word(fields: Fields, name: str, default: str) -> Any:
    """Take a word that its settings will look at."""
    value = fields.get(name)
    return default if value is None else value


def _number(fields: Fields, name: str, default: float, most: float) -> float:
    value = fields.get(name)
    if value is None:
        return default
    if not is_number(value) or not 0 <= value <= most:
        raise InputError(f"{name} must be a number in 0 .. {most:g}, not {shown(value)}")
    return float(value)


def _switch(fields: Fields, name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{name} must be true or false, not {shown(value)}")
    return value is True
