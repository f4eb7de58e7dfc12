"""Evaluation numbers as a table for people and as JSON for programs."""

from collections.abc import Mapping

from comask.annotation import files

MEANINGS = {
    "AP": "mean over IoU 0.50 .. 0.95",
    "AP50": "IoU 0.50",
    "AP75": "IoU 0.75",
    "APs": "objects below 32 x 32 px",
    "APm": "up to 96 x 96 px",
    "APl": "above",
    "ARs": "recall, objects below 32 x 32 px",
    "ARm": "recall, up to 96 x 96 px",
    "ARl": "recall, above",
}


def table(numbers: Mapping[str, Mapping[str, float]]) -> str:
    """Lay the numbers out in one column a kind; "-" where no truth object is of that size."""
    kinds = list(numbers)
    names = list(numbers[kinds[0]])
    lines = ["       " + "".join(f"{kind:>7}" for kind in kinds)]
    for name in names:
        meaning = MEANINGS.get(name, f"recall, at most {name[2:]} an image")
        cells = "".join(f"{_cell(numbers[kind][name]):>7}" for kind in kinds)
        lines.append(f"{name:<7}{cells}  {meaning}")
    return "\n".join(lines)


def category_table(
    ap: Mapping[str, Mapping[int, float]], names: Mapping[int, str], width: int = 30
) -> str:
    """Lay out the AP of each category that has truth, in one column a kind."""
    kinds = list(ap)
    lines = [f"{'AP of':<{width}}" + "".join(f"{kind:>7}" for kind in kinds)]
    for category, name in names.items():
        if any(ap[kind].get(category, -1.0) > -1 for kind in kinds):
            cells = "".join(f"{_cell(ap[kind].get(category, -1.0)):>7}" for kind in kinds)
            lines.append(f"{name[: width - 1]:<{width}}{cells}")
    return "\n".join(lines)


def to_json(numbers: Mapping[str, Mapping[str, float]]) -> bytes:
    """Write the numbers as they are, -1 where no truth object is of that size, as COCO does."""
    return files.dump_json({kind: dict(found) for kind, found in numbers.items()})


def _cell(number: float) -> str:
    return "-" if number < 0 else f"{number:.3f}"
