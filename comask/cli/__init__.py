"""The command line: ``comask`` and the words that may follow it.

Exit codes: 0 all is well, 1 some images could not be used, 2 the request or a file was refused,
with one sentence on stderr. What a command needs is imported when it runs, so that help is quick.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import comask
from comask.annotation import coco, files
from comask.annotation.records import Dataset
from comask.cli import agree, export, inspect, prelabel
from comask.cli.shared import (
    add_score,
    add_settings,
    check_writable,
    open_predictor,
    read_settings,
    refuse,
    refuse_none,
    report_skipped,
    say,
    whole,
)
from comask.errors import ComaskError, InputError

if TYPE_CHECKING:
    from comask.checkpoint.native import CheckpointInfo


@dataclass(frozen=True)
class Command:
    """One word after ``comask``: its line in the help, its arguments, and what it does.

    ``run`` returns the exit code.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """A parser that refuses in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` lists what there is\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    with suppress(AttributeError):  # names are any bytes, a terminal's encoding is not
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return _run(words)
    except SystemExit as leaving:  # argparse: help, version, a usage error
        return leaving.code if isinstance(leaving.code, int) else 0
    except ComaskError as error:
        return refuse(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return refuse(f"{where}{error.strerror or error}")
    except MemoryError:
        return refuse("this needs more memory than there is")
    except KeyboardInterrupt:
        return refuse("stopped", 130)


def _run(words: Sequence[str]) -> int:
    parser = Parser(prog="comask", description="CoMask instance segmentation.")
    parser.add_argument("--version", action="version", version=f"comask {comask.__version__}")
    choices = parser.add_subparsers(metavar="COMMAND", required=True)
    asked = next((word for word in words if not word.startswith("-")), None)
    for command in COMMANDS:
        one = choices.add_parser(command.name, help=command.summary, description=command.summary)
        one.set_defaults(run=command.run)
        if command.name == asked:
            command.add_arguments(one)
    given = parser.parse_args(words)
    code: int = given.run(given)
    return code


# -- predict ------------------------------------------------------------------------------------


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="images, or folders of them"
    )
    parser.add_argument("--checkpoint", required=True, type=Path, help="a .safetensors file")
    parser.add_argument(
        "--output", required=True, type=Path, help="the COCO dataset of what was found"
    )
    parser.add_argument("--results", type=Path, help="also write the COCO results list")
    parser.add_argument(
        "--overlays", type=Path, metavar="DIR", help="also draw each image with its instances"
    )
    add_score(parser)
    add_settings(parser)


def _predict(given: argparse.Namespace) -> int:
    for path in filter(None, (given.output, given.results)):
        check_writable(path)
    found = _list_images(given.paths, given.overlays)
    predictor = open_predictor(given, read_settings(given))
    if given.overlays:
        given.overlays.mkdir(parents=True, exist_ok=True)

    from comask.evaluate import overlay, run

    harvest = run.Harvest()
    for outcome in run.predict_files(predictor, found):
        harvest.add(outcome)
        if given.overlays and outcome.image and outcome.prediction:
            overlay.write(given.overlays, outcome.name, outcome.image.pixels, outcome.prediction)
    dataset = harvest.dataset(predictor.info.categories)
    coco.write(given.output, dataset)
    if given.results:
        _write_results(given.results, harvest.results, dataset)
    say(
        f"{given.output}: {len(harvest.annotations)} instances in {len(harvest.images)} "
        f"of {len(found)} images"
    )
    return report_skipped(harvest.failures, len(found))


def _list_images(paths: Sequence[Path], overlays: Path | None) -> list[tuple[Path, str]]:
    from comask.data import images

    found = images.list_images(paths)
    if overlays is not None:  # those of an earlier run
        drawn = overlays.resolve()
        found = [one for one in found if not one[0].resolve().is_relative_to(drawn)]
    refuse_none(paths, found)
    return found


def _write_results(path: Path, results: list[dict[str, Any]], dataset: Dataset) -> None:
    def check(data: bytes) -> None:
        content, _ = files.parse_json(data, path.name)
        if content != results or len(coco.read_results(content, dataset)) != len(results):
            raise InputError(f"{path.name}: what was written does not read back as it was meant")

    files.replace_file(path, files.dump_json(results), check)


# -- evaluate -----------------------------------------------------------------------------------


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, help="a .safetensors file to run")
    source.add_argument("--results", type=Path, help="a COCO results list to judge")
    parser.add_argument(
        "--annotations", required=True, type=Path, metavar="GT.json", help="the truth, a COCO file"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="its images; a checkpoint needs them"
    )
    parser.add_argument("--output", type=Path, help="also write the numbers as JSON")
    parser.add_argument(
        "--max-detections",
        type=whole(100, 100_000),
        default=100,
        metavar="N",
        help="instances an image that count, COCO's 100 by default; more for dense images",
    )
    parser.add_argument(
        "--per-category", action="store_true", help="also list the AP of each category"
    )
    parser.add_argument(
        "--engine",
        choices=("auto", "pycocotools", "hotcoco"),
        default="auto",
        help="who works the numbers out: hotcoco is many times faster and the default where it is "
        "installed (the extra fast-eval), pycocotools is the reference; the numbers are the same",
    )
    add_score(parser)
    add_settings(parser)


def _evaluate(given: argparse.Namespace) -> int:
    from comask.evaluate import coco_ap, report

    if given.output:
        check_writable(given.output)
    limits = (1, 10, given.max_detections)
    if given.results:
        verdicts = coco_ap.judge(
            given.annotations, given.results, max_detections=limits, engine=given.engine
        )
    else:
        if given.images is None or not given.images.is_dir():
            raise InputError("--images must name the folder of the images, for a checkpoint to see")
        from comask.evaluate import run

        verdicts = run.judge_checkpoint(
            open_predictor(given, read_settings(given)),
            given.annotations,
            given.images,
            max_detections=limits,
            engine=given.engine,
        )
    numbers = {str(kind): verdict.numbers for kind, verdict in verdicts.items()}
    if given.output:
        files.replace_file(given.output, report.to_json(numbers))
    say(report.table(numbers))
    say(f"worked out by {next(iter(verdicts.values())).engine}")
    if given.per_category:
        names = {c.id: c.name for c in coco.read(given.annotations).categories}
        ap = {str(kind): verdict.by_category for kind, verdict in verdicts.items()}
        say("\n" + report.category_table(ap, names))
    return 0


# -- train --------------------------------------------------------------------------------------


def _add_train(parser: argparse.ArgumentParser) -> None:
    from comask.train import command

    command.add_arguments(parser)


def _train(given: argparse.Namespace) -> int:
    from comask.train import command

    return command.run(given)


# -- convert and info ---------------------------------------------------------------------------


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", type=Path, metavar="IN.pth", help="a checkpoint of the authors")
    parser.add_argument("output", type=Path, metavar="OUT.safetensors", help="ours")
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="names.json",
        help="class names, or COCO categories, in the order of the network's outputs",
    )


def _convert(given: argparse.Namespace) -> int:
    from comask.checkpoint import categories, mmdet_v1, native

    check_writable(given.output)
    named = categories.read(given.classes) if given.classes else None
    model, info = mmdet_v1.convert(given.input, named)
    native.save(given.output, model, info)
    say(f"{given.output}: {info.config.backbone.kind}, {len(info.categories)} classes")
    return 0


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a .safetensors file")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")


def _info(given: argparse.Namespace) -> int:
    from comask.checkpoint import native

    record = _to_record(native.read_info(given.checkpoint))
    if given.json:
        say(json.dumps(record, indent=1, ensure_ascii=False))
        return 0
    for name, value in _flat(record):
        say(f"{name:<36} {value}")
    return 0


def _to_record(info: "CheckpointInfo") -> dict[str, Any]:
    from comask.config import to_dict

    return {
        "config": to_dict(info.config),
        "categories": [
            {"id": c.id, "name": c.name, "supercategory": c.supercategory} for c in info.categories
        ],
        "preprocessing": to_dict(info.preprocessing),
        "training": dict(info.training),
    }


def _flat(value: object, name: str = "") -> list[tuple[str, str]]:
    """Lay nested values out in lines: [("config.num_classes", "80"), ...]."""
    if isinstance(value, dict) and value:
        nested = ((f"{name}.{key}" if name else str(key), inner) for key, inner in value.items())
        return [line for key, inner in nested for line in _flat(inner, key)]
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        rows = (" ".join(str(inner) for inner in item.values() if inner != "") for item in value)
        return [(f"{name}[{row}]", text) for row, text in enumerate(rows)]
    if isinstance(value, list | tuple):
        return [(name, ", ".join(map(str, value)) or "none")]
    return [(name, "none" if value in ({}, None) else str(value))]


COMMANDS = (
    Command(
        "predict", "Find the instances of images and write a COCO file.", _add_predict, _predict
    ),
    Command(
        "prelabel",
        "Find the instances of many images in a run that can be stopped and goes on.",
        prelabel.add_arguments,
        prelabel.run,
    ),
    Command(
        "export",
        "Write the labels of a folder for other tools, and certify the file.",
        export.add_arguments,
        export.run,
    ),
    Command(
        "inspect",
        "Show what every branch of every MSFEM saw and contributed, and what changes without it.",
        inspect.add_arguments,
        inspect.run,
    ),
    Command("evaluate", "Find the twelve COCO numbers.", _add_evaluate, _evaluate),
    Command(
        "agree",
        "Judge whether a checkpoint may be run in bfloat16, and keep the answer beside it.",
        agree.add_arguments,
        agree.run,
    ),
    Command("train", "Train a model on a COCO folder.", _add_train, _train),
    Command("convert", "Turn a checkpoint of the authors into ours.", _add_convert, _convert),
    Command("info", "Say what a checkpoint says of itself.", _add_info, _info),
)
