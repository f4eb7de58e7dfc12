"""What is written below the picture of a film: a stage, what it means, a number, a scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from comask.analysis.stages import weight_colour

Pixels = NDArray[np.uint8]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

LEAST = 260  # pixels: a narrower picture stands in the middle of so much
PAPER, INK, QUIET = (250, 250, 250), (24, 24, 27), (104, 104, 112)
PAD, LINE = 12, 20  # pixels
TITLE, TEXT = 19, 15  # pixels of letters
BAR = (110, 9)  # pixels: width and height of the scale


@dataclass(frozen=True)
class Caption:
    """What is said of one stage.

    title     the stage's word
    place     such as "2 / 6", empty for the only one
    sentence  what it means
    fact      its number of this instance, or what is left out
    scale     whether the colours of weights are explained
    """

    title: str
    place: str = ""
    sentence: str = ""
    fact: str = ""
    scale: bool = False


def room(captions: Sequence[Caption], width: int) -> int:
    """Say how high the highest caption is below pictures of ``width`` pixels."""
    return max(_height(one, max(width, LEAST)) for one in captions)


def below(picture: Pixels, caption: Caption, height: int) -> Pixels:
    """Write a caption of ``height`` pixels below a picture: (h, w, 3) -> (h', w', 3)."""
    high, wide = picture.shape[:2]
    width = max(wide, LEAST)
    whole = Image.new("RGB", (width, high + height), PAPER)
    whole.paste(Image.fromarray(picture), ((width - wide) // 2, 0))
    pen = ImageDraw.Draw(whole)
    title, text = ImageFont.load_default(TITLE), ImageFont.load_default(TEXT)
    y = high + PAD
    pen.text((PAD, y), caption.title, INK, title)
    pen.text((width - PAD, y + 2), caption.place, QUIET, text, anchor="ra")
    y += LINE + 7
    for line in _wrapped(caption.sentence, width, text):
        pen.text((PAD, y), line, INK, text)
        y += LINE
    for line in _wrapped(caption.fact, width, text):
        pen.text((PAD, y), line, QUIET, text)
        y += LINE
    if caption.scale:
        _draw_scale(pen, y + 4, text)
    return np.asarray(whole)


def _height(caption: Caption, width: int) -> int:
    text = ImageFont.load_default(TEXT)
    lines = len(_wrapped(caption.sentence, width, text)) + len(_wrapped(caption.fact, width, text))
    return PAD + LINE + 7 + LINE * (lines + caption.scale) + PAD


def _wrapped(words: str, width: int, font: Font) -> list[str]:
    """Break a sentence into lines that fit."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width - 2 * PAD:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _draw_scale(pen: ImageDraw.ImageDraw, y: int, font: Font) -> None:
    """Draw the weights' colours from 0 to 1, with both ends named."""
    x, (width, height) = PAD, BAR
    pen.text((x, y - 4), "weight 0", QUIET, font)
    x += int(font.getlength("weight 0")) + 6
    for step in range(width):
        pen.line((x + step, y, x + step, y + height), weight_colour(step / (width - 1)))
    pen.text((x + width + 6, y - 4), "1", QUIET, font)
