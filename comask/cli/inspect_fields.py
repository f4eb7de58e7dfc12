"""The receptive fields of one place or one instance, as files: ``comask inspect --what field``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from comask.cli.shared import say
from comask.cli.subject import Subject
from comask.errors import InputError

if TYPE_CHECKING:
    from comask.analysis.effective_field import EffectiveField, Question
    from comask.analysis.theoretical_field import Cell


def write(subject: Subject) -> None:
    """Write a map and a picture of each branch's field, and their sizes."""
    from comask.analysis import pictures
    from comask.analysis.field_marks import field_numbers, marks_of
    from comask.analysis.outlines import outline
    from comask.analysis.theoretical_field import theoretical_sizes

    asked, object_ = _question(subject), _object(subject)
    row, side = (None, None) if object_ is None else (object_["row"], object_["side"])
    lines = () if row is None else outline(subject.base.prediction.masks[row])
    found: list[EffectiveField] = []
    levels = []
    for level in (2, 3, 4, 5):
        cells = _cells(subject, level)
        fields = _fields(subject, level, cells, asked)
        numbers = []
        for one in fields:
            marks = marks_of(one)
            numbers.append(field_numbers(one, marks))
            subject.keep(one.map, "field", f"P{level}-{one.branch}.npy")
            drawn = pictures.field_picture(subject.pixels, one, marks, lines, side)
            subject.draw(drawn, "field", f"P{level}-{one.branch}.png")
        found += fields
        first = fields[0]
        levels.append(
            {
                "level": f"P{level}",
                "stride": first.stride,
                "unit": first.unit,
                "cells": [list(cell) for cell in cells],
                "fields": numbers,
            }
        )
    title = "Receptive fields: which pixels decide what each branch gives"
    subject.draw(pictures.field_sheet(found, title), "field", "all.png")
    sizes = theoretical_sizes(subject.predictor.info.config)
    content = {
        "question": asked.to_plain(),
        "at": None if object_ is not None else list(point_of(subject)),
        "object": object_,
        "scale": subject.look.scale,
        "levels": levels,
        "theoretical_sizes": [one.to_plain() | {"level": f"P{one.level}"} for one in sizes],
    }
    subject.tell(content, "fields.json")
    _say(levels, object_)


def point_of(subject: Subject) -> tuple[float, float]:
    """Give the place that was asked for, or the middle; raises InputError beside the image."""
    height, width = subject.pixels.shape[:2]
    x, y = subject.given.at or (width / 2, height / 2)
    if not (0 <= x <= width and 0 <= y <= height):
        raise InputError(
            f"--at {x:g},{y:g} is outside of {subject.name}, which is {width} x {height} pixels"
        )
    return x, y


def _question(subject: Subject) -> "Question":
    from comask.analysis.effective_field import Question

    given = subject.given
    return Question(given.path or "own", given.norm or "frozen", given.frame or "image")


def _fields(
    subject: Subject, level: int, cells: Sequence["Cell"], asked: "Question"
) -> "tuple[EffectiveField, ...]":
    from comask.analysis.effective_field import effective_fields, fields_of

    def progress(done: int, total: int) -> None:
        if done:  # a pass is over
            subject.tick()

    if asked.frame == "level":
        return fields_of(subject.look, level=level, cells=cells, question=asked, progress=progress)
    return effective_fields(
        subject.predictor,
        subject.pixels,
        level=level,
        cells=cells,
        question=asked,
        progress=progress,
    )


def _cells(subject: Subject, level: int) -> Sequence["Cell"]:
    """Choose the cells of a level that look at what was asked."""
    from comask.analysis.cells import cell_at, cells_of_mask

    seen = subject.look
    one = seen.level(level)
    if subject.given.instance is not None:
        mask = subject.base.prediction.masks[subject.row(subject.given.instance)]
        return cells_of_mask(mask, one.stride, seen.scale, one.cells)
    return [cell_at(point_of(subject), one.stride, seen.scale, one.cells)]


def _object(subject: Subject) -> dict[str, Any] | None:
    """Describe the instance that was asked for: its box, and the side of a square as large."""
    if subject.given.instance is None:
        return None
    row, found = subject.row(subject.given.instance), subject.base.prediction
    x1, y1, x2, y2 = (float(value) for value in found.boxes[row])
    return {
        "instance": subject.given.instance,
        "row": row,
        "box": [x1, y1, x2, y2],
        "side": (max(0.0, x2 - x1) * max(0.0, y2 - y1)) ** 0.5,
        "levels": [f"P{level}" for level in found.trace.levels[row].tolist()],
    }


def _say(levels: Sequence[dict[str, Any]], object_: dict[str, Any] | None) -> None:
    if object_ is not None:
        say(f"instance {object_['instance']}  side {object_['side']:.0f} px")
    say("sides in image pixels        theory     50 %     90 %     99 %")
    for one in levels:
        for field in one["fields"]:
            x1, _, x2, _ = field["theoretical_box"]
            seen = field["mass"] > 0  # else no pixel moves it
            sides = "  ".join(f"{v:7.0f}" if seen else "      -" for v in field["sides"].values())
            say(f"{one['level']}  {field['branch']:<18}  {x2 - x1:10.0f}  {sides}")
