"""What becomes of instances, and how they come about, as files: ``--what ablation,film``."""

from typing import TYPE_CHECKING, Any

from comask.cli.shared import say
from comask.cli.subject import Subject
from comask.cli.switch_words import in_words, to_switches

if TYPE_CHECKING:
    from comask.analysis import Change, Switches
    from comask.analysis.trace import Making, Pasting
    from comask.predict import Prediction


def switches_of(subject: Subject) -> "Switches":
    """Read what is switched off; raises InputError for a branch that the checkpoint lacks."""
    given = subject.given
    return to_switches(
        given.without or (),
        subject.branches,
        reach=given.reach,
        votes=given.votes,
        second_pass=False if given.no_second_pass else None,
    )


def write_ablation(subject: Subject) -> None:
    """Write the instances with and without, and what became of each."""
    from comask.analysis import ablate, difference, pictures

    given, before = subject.given, subject.base.prediction
    made = ablate(subject.predictor, subject.pixels, switches_of(subject), base=subject.base)
    subject.tick()
    after = made.prediction
    told = difference(before, after)
    off = in_words(given.without or (), given.reach, given.votes, not given.no_second_pass)
    drawn = pictures.change_picture(subject.pixels, before, after, told, off)
    subject.draw(drawn, "ablation", "change.png")
    _write_coco(subject, before, "before.json")
    _write_coco(subject, after, "after.json")
    content = {
        "switches": made.switches.to_plain(),
        "redone": list(made.redone),
        "counts": told.count(),
        "changes": [_plain(one, before, after) for one in told.changes],
    }
    subject.tell(content, "ablation.json")
    counts = "  ".join(f"{count} {kind}" for kind, count in told.count().items())
    say(f"without {off}: {len(before)} instances became {len(after)}  {counts}")


def write_film(subject: Subject) -> None:
    """Write how one instance, or all, came about: as an animation, as a strip and as numbers."""
    from comask.analysis.film import film_frames, write_gif, write_strip
    from comask.analysis.trace import makings

    given, found = subject.given, subject.base.prediction
    row = None if given.instance is None else subject.row(given.instance)
    name = "all" if row is None else f"instance-{given.instance}"
    pasting = _pasting(subject)
    frames = film_frames(subject.pixels, found, row, pasting=pasting)
    subject.tick()
    write_gif(frames, subject.place("film", f"{name}.gif"))
    write_strip(frames, subject.place("film", f"{name}.png"))
    subject.tick()
    made = makings(found, pasting, None if row is None else [row])
    subject.tell({"instances": [_making(one, row is not None) for one in made]}, "film.json")
    say(f"film of {'all instances' if row is None else f'instance {given.instance}'}")


def _write_coco(subject: Subject, found: "Prediction", name: str) -> None:
    """Write instances as ``comask predict`` does."""
    from comask.annotation import coco
    from comask.annotation.records import Dataset, ImageRecord
    from comask.run import to_annotations

    height, width = found.size
    image = ImageRecord(1, subject.name, width, height)
    dataset = Dataset((image,), tuple(to_annotations(found, 1, 1)), found.categories)
    coco.write(subject.place("ablation", name), dataset)


def _plain(one: "Change", before: "Prediction", after: "Prediction") -> dict[str, Any]:
    """Write one change as JSON's types; an instance is a row with its box and class score."""

    def instance(found: "Prediction", row: int | None) -> dict[str, Any] | None:
        if row is None:
            return None
        box: list[float] = found.boxes[row].tolist()
        return {"row": row, "box": box, "class_score": float(found.class_scores[row])}

    return {
        "kind": one.kind,
        "before": instance(before, one.before),
        "after": instance(after, one.after),
        "mask_iou": one.mask_iou,
        "box_iou": one.box_iou,
        "travel": one.travel,
        "class_score_change": one.class_score,
        "score_change": one.score,
    }


def _pasting(subject: Subject) -> "Pasting":
    """Say how the predictor draws masks, at the size that it sees this image."""
    from comask.analysis.trace import Pasting
    from comask.data.images import fit_size

    view, size = subject.predictor.preprocessing, subject.base.prediction.size
    scale, _ = fit_size(size, view.short_side, view.long_side)
    return Pasting(subject.predictor.detection.paste, scale)


def _making(one: "Making", near: bool) -> dict[str, Any]:
    """Write how an instance came about as JSON's types; its votes if it is the only one."""
    travel, edge = one.travel
    told: dict[str, Any] = {
        "row": one.row,
        "proposal": one.proposal.tolist(),
        "box": one.box.tolist(),
        "mean_of_votes": one.mean.tolist(),
        "travel": travel,
        "edge": edge,
        "levels": [f"P{level}" for level in one.levels],
        "mask_iou_of_passes": one.agreement,
        "predicted_mask_iou": one.mask_iou,
    }
    if near:
        told |= {"votes": one.votes.tolist(), "weights": one.weights.tolist()}
    return told
