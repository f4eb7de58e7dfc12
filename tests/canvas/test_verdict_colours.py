"""Right, wrong and missed stay apart for every colour vision, and by their line alone."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

Triple = NDArray[np.float64]

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
VISIONS = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]


def linear(colour: list[int]) -> Triple:
    share = np.array(colour) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(colour: Triple) -> Triple:
    x, y, z = (TO_XYZ @ colour.clip(0, 1)) / [0.95047, 1.0, 1.08883]
    fx, fy, fz = (np.cbrt(v) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def ciede2000(left: Triple, right: Triple) -> float:
    """Compare two colours of CIELAB; 1 is about what a person just sees."""
    (l1, a1, b1), (l2, a2, b2) = left, right
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    scale = 1 + 0.5 * (1 - np.sqrt(mean**7 / (mean**7 + 25**7)))
    c1, c2 = np.hypot(scale * a1, b1), np.hypot(scale * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, scale * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180
    hue = (h1 + turn / 2) % 360
    chroma, light = (c1 + c2) / 2, (l1 + l2) / 2
    wave = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    blue = 30 * np.exp(-(((hue - 275) / 25) ** 2))
    bend = -2 * np.sqrt(chroma**7 / (chroma**7 + 25**7)) * np.sin(np.radians(2 * blue))
    dl = (l2 - l1) / (1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * chroma * wave)
    return float(np.sqrt(dl**2 + dc**2 + dh**2 + bend * dc * dh))


def test_the_measure_is_the_published_one() -> None:
    # pairs 1, 7 and 25 of Sharma, Wu and Dalal 2005
    pairs = [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ]
    for left, right, expected in pairs:
        assert ciede2000(np.array(left), np.array(right)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("vision", VISIONS)
def test_verdicts_stay_apart_for_every_colour_vision(scripts: Page, vision: str) -> None:
    looks = scripts.evaluate("studioParts.verdicts.LOOKS")
    seen = {
        name: lab(VISIONS[vision] @ linear(looks[name]["colour"])) for name in ("tp", "fp", "fn")
    }
    differences = [ciede2000(seen[a], seen[b]) for a, b in itertools.combinations(seen, 2)]
    assert min(differences) >= 20


def test_each_verdict_has_a_line_a_sign_and_a_word_of_its_own(scripts: Page) -> None:
    looks = scripts.evaluate("studioParts.verdicts.LOOKS")
    for name in ("line", "sign", "word", "short"):
        assert len({looks[verdict][name] for verdict in ("tp", "fp", "fn")}) == 3
