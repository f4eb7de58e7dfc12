"""The film of how instances are made, as pictures: an animation, or its stages side by side.

Frames are (h, w, 3) RGB of one size: the image, or the part of it around one instance, and below it
a caption that says what happens. Masks are shown as they are exported, pixel by pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from comask.analysis import captions
from comask.analysis.captions import Caption
from comask.analysis.scene import PALETTE, Scene, place_around, place_of_all
from comask.analysis.stages import Moment, Stage, moments, stages_of, weight_colour
from comask.analysis.trace import Making, Pasting, makings
from comask.annotation import rle
from comask.errors import InputError
from comask.predict import Prediction

Pixels = NDArray[np.uint8]
Target = str | Path | BinaryIO

SIDE_OF_ONE, SIDE_OF_ALL = 480, 840  # pixels: the longer side of a frame's picture, at most
STEP, HOLD, LAST = 0.07, 1.5, 4.0  # seconds: on the way, on a stage, on the last one
COLOURS = 255  # of a GIF; some of them are kept for the weights
WEIGHTS = 33
BETWEEN_PANELS = 12  # pixels of a strip

NOTHING = Stage("none", "Nothing found", "The network found no object in this image.", Moment())


@dataclass(frozen=True)
class Frame:
    """One picture of a film.

    pixels   (h, w, 3) uint8 RGB
    seconds  how long it is shown
    stage    the name of the stage that it shows, None on the way from one to the next
    """

    pixels: Pixels
    seconds: float
    stage: str | None


def film_frames(
    pixels: Pixels,
    prediction: Prediction,
    row: int | None = None,
    *,
    pasting: Pasting | None = None,
    min_score: float = 0.0,
    side: int | None = None,
    between: int = 9,
) -> list[Frame]:
    """Draw how instances are made: (H, W, 3) RGB of the upright image -> frames of one size.

    Where nothing was found there is one frame that says so. Raises InputError for another image
    than the prediction's, and for an instance that it does not have.

    Args:
        pixels: the image that the prediction is of.
        prediction: with its trace.
        row: the instance that is shown from near; None shows all of them at once.
        pasting: how the checkpoint draws masks, see ``Pasting``.
        min_score: without ``row``, only instances of a class score above it are shown.
        side: longest side of the picture in a frame, in pixels of the frame.
        between: frames from each stage to the next; 0 leaves the stages alone.
    """
    if pixels.dtype != np.uint8 or pixels.shape != (*prediction.size, 3):
        raise InputError(
            f"the prediction is of an image of {(*prediction.size, 3)} uint8, "
            f"got {pixels.shape} {pixels.dtype}"
        )
    rows = shown_rows(prediction, min_score) if row is None else [row]
    found = makings(prediction, pasting, rows)
    size = prediction.size
    if row is None:
        place = place_of_all(size, side or SIDE_OF_ALL)
    else:
        place = place_around(found[0], size, side or SIDE_OF_ONE)
    scene = Scene(pixels, found, _colours(prediction, rows), place, near=row is not None)
    return _shoot(scene, _stages(found), between)


def shown_rows(prediction: Prediction, min_score: float) -> list[int]:
    """List the instances of a class score above a limit that have a pixel: their rows."""
    above = np.flatnonzero(prediction.class_scores > np.float32(min_score))
    return [row for row in above.tolist() if rle.area(prediction.masks[row])]


def write_gif(frames: Sequence[Frame], target: Target) -> None:
    """Write frames as an animation that repeats and rests on its last frame.

    All frames share their colours, chosen from the stages, so that the picture does not flicker.
    """
    palette = _palette([frame for frame in frames if frame.stage is not None] or frames)
    pictures = [
        Image.fromarray(frame.pixels).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    pictures[0].save(
        target,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[round(1000 * frame.seconds) for frame in frames],
        loop=0,
    )


def write_strip(frames: Sequence[Frame], target: Target) -> None:
    """Write the stages among some frames as one PNG, side by side."""
    panels = [frame.pixels for frame in frames if frame.stage is not None]
    height, width = panels[0].shape[:2]
    step = width + BETWEEN_PANELS
    whole = np.full((height, step * len(panels) - BETWEEN_PANELS, 3), captions.PAPER, np.uint8)
    for number, panel in enumerate(panels):
        whole[:, number * step : number * step + width] = panel
    Image.fromarray(whole).save(target, "PNG")


def _palette(frames: Sequence[Frame]) -> Image.Image:
    """Choose the colours of a GIF: those of some frames, and the weights', which are too thin."""
    montage = Image.fromarray(np.concatenate([frame.pixels for frame in frames]))
    kept = [weight_colour(step / (WEIGHTS - 1)) for step in range(WEIGHTS)]
    chosen = montage.quantize(COLOURS - WEIGHTS, Image.Quantize.MEDIANCUT).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(part for colour in kept for part in colour), *chosen])
    return palette


def _shoot(scene: Scene, stages: tuple[Stage, ...], between: int) -> list[Frame]:
    told = [
        Caption(
            stage.word,
            f"{number} / {len(stages)}" if len(stages) > 1 else "",
            stage.meaning,
            _fact(stage, scene),
            scale=scene.weighted and stage.moment.tint > 0 and stage.moment.votes > 0,
        )
        for number, stage in enumerate(stages, start=1)
    ]
    height = captions.room(told, scene.place.picture[1])
    frames = []
    for moment, number, stands in moments(stages, between):
        last = number == len(stages) - 1
        seconds = STEP if not stands else LAST if last else HOLD
        drawn = captions.below(scene.draw(moment), told[number], height)
        frames.append(Frame(drawn, seconds, stages[number].name if stands else None))
    return frames


def _stages(found: Sequence[Making]) -> tuple[Stage, ...]:
    if not found:
        return (NOTHING,)
    return stages_of(weighted=found[0].weighted, second=found[0].second)


def _fact(stage: Stage, scene: Scene) -> str:
    """Say the number that belongs to a stage of one instance, or what is left out of many."""
    if not scene.near:
        if stage.name == "votes" and not scene.voted:
            return (
                f"The votes of {len(scene.found)} instances would hide each other; none is drawn."
            )
        return ""
    one = scene.found[0]
    far, edge = one.travel
    facts = {
        "votes": f"The weights add up to {one.weights.sum():.1f} of {len(one.weights)}."
        if one.weighted
        else "",
        "box": f"The {edge} edge moved farthest: {far:.1f} px.",
        "mask": f"IoU with the first mask: {one.agreement:.2f}. {_levels(one)}",
        "iou": f"Predicted IoU: {one.mask_iou:.2f}",
    }
    return facts.get(stage.name, "")


def _levels(one: Making) -> str:
    before, after = one.levels
    if before == after:
        return f"Both passes read level P{before} of the feature pyramid."
    return f"Pass 1 read level P{before} of the feature pyramid, pass 2 moved to level P{after}."


def _colours(prediction: Prediction, rows: Sequence[int]) -> list[tuple[int, int, int]]:
    """Give each instance the colour that it has on the Studio's canvas, which skips empty ones."""
    places = np.cumsum([rle.area(mask) > 0 for mask in prediction.masks]) - 1
    return [PALETTE[int(places[row]) % len(PALETTE)] for row in rows]
