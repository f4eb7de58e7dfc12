"""Run-length masks against pycocotools and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from pycocotools import mask as codec

from comask.annotation import rle
from comask.annotation.records import Rle
from comask.errors import AnnotationError
from tests.factories import SQUARE

Mask = NDArray[np.bool_]

masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def paste(crop: Mask, x: int, y: int, size: tuple[int, int]) -> Mask:
    """Lay a crop into an empty image, pixel by pixel."""
    full = np.zeros(size, bool)
    for row, column in np.argwhere(crop):
        if 0 <= row + y < size[0] and 0 <= column + x < size[1]:
            full[row + y, column + x] = True
    return full


def codec_counts(mask: Mask) -> str:
    counts: bytes = codec.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return counts.decode()


@given(masks)
def test_a_mask_survives_the_round_trip_and_is_what_pycocotools_writes(mask: Mask) -> None:
    encoded = rle.encode(mask)
    assert encoded == Rle(mask.shape, codec_counts(mask))
    np.testing.assert_array_equal(rle.decode(encoded), mask)
    assert rle.area(encoded) == mask.sum()


def test_thousand_random_crops_equal_the_full_mask_byte_for_byte() -> None:
    rng = np.random.default_rng(5)
    kinds = set()
    for _ in range(1000):
        height, width, h, w = rng.integers([1, 1, 0, 0], [40, 40, 50, 50])
        x, y = int(rng.integers(-12, width + 5)), int(rng.integers(-12, height + 5))
        crop = rng.random((h, w)) < rng.choice([0.0, 0.1, 0.5, 0.95, 1.0])
        full = paste(crop, x, y, (height, width))
        found = rle.encode_crop(crop, x, y, (int(height), int(width)))
        assert found.counts == codec_counts(full)
        kinds |= {
            name
            for name, seen in {
                "empty": not full.any(),
                "full height": full.all(axis=0).any(),
                "left border": full[:, 0].any(),
                "last pixel": bool(full[-1, -1]),
                "cut off": full.sum() < crop.sum(),
            }.items()
            if seen
        }
    assert kinds == {"empty", "full height", "left border", "last pixel", "cut off"}


@given(masks, st.integers(-14, 14), st.integers(-14, 14))
def test_any_crop_equals_the_full_mask(crop: Mask, x: int, y: int) -> None:
    full = paste(crop, x, y, (9, 11))
    assert rle.encode_crop(crop, x, y, (9, 11)).counts == codec_counts(full)


def test_a_crop_of_a_large_image_needs_its_own_columns_only() -> None:
    crop = np.ones((2, 3), np.uint8) * 255
    found = rle.encode_crop(crop, 60_000, 5, (20_000, 90_000))  # 1.8 GB as a full mask
    first = 60_000 * 20_000 + 5
    last = 29_997 * 20_000 + 19_993
    assert rle.runs(found.counts).tolist() == [first, 2, 19_998, 2, 19_998, 2, last]


def test_runs_by_hand() -> None:
    ring = rle.from_uncompressed([6, 3, 2, 1, 1, 1, 2, 3, 6], 5, 5)
    assert rle.runs(ring.counts).tolist() == [6, 3, 2, 1, 1, 1, 2, 3, 6]
    assert (rle.area(ring), rle.bbox(ring)) == (8, (1, 1, 3, 3))
    assert rle.decode(ring)[2].tolist() == [0, 1, 0, 1, 0]


def test_the_empty_mask_has_an_empty_box() -> None:
    empty = rle.encode(np.zeros((4, 6), bool))
    assert (rle.area(empty), rle.bbox(empty)) == (0, (0, 0, 0, 0))
    assert rle.encode_crop(np.zeros((0, 0), bool), 2, 2, (4, 6)) == empty
    assert rle.from_polygons([], 4, 6) == empty
    assert rle.merge([empty, empty]) == empty


@given(st.lists(masks, max_size=6), st.data())
def test_many_codes_are_plain_where_each_one_is(drawn: list[Mask], data: st.DataObject) -> None:
    """Letters are changed and areas are wrong by one here and there; nothing may be overlooked."""
    codes, pixels = [], []
    for mask in drawn:
        code = list(rle.encode(mask).counts)
        if data.draw(st.booleans()):
            place = data.draw(st.integers(0, len(code) - 1))
            code[place] = data.draw(st.sampled_from("/0158OP_`nop~é"))
        codes.append("".join(code))
        pixels.append(mask.size + data.draw(st.sampled_from([0, 0, 0, 1])))

    def stands(code: str, size: int) -> bool:
        try:
            return rle.from_compressed(code, 1, size).counts == code
        except AnnotationError:
            return False

    found = rle.are_plain(codes, pixels)
    expected = [stands(*one) for one in zip(codes, pixels, strict=True)]
    assert len(found) == len(codes)
    # a letter that no code has makes its neighbours be looked at one by one, too
    assert not any(plain and not fine for plain, fine in zip(found, expected, strict=True))
    if all("0" <= letter <= "o" for code in codes for letter in code) and not any(
        (ord(code[-1]) - 48) & 32 for code in codes
    ):
        assert found == expected


def test_plain_codes_by_hand() -> None:
    """4 + 2 + 0 pixels has a run of nothing; 4 + 2 fills six; 4 + 2 does not fill seven."""
    assert rle.are_plain(["42", "420", "42", ""], [6, 6, 7, 0]) == [False] * 4  # one is empty
    assert rle.are_plain(["42", "420", "42"], [6, 6, 7]) == [True, False, False]
    assert rle.are_plain([], []) == []
    long = rle.encode(np.indices((600, 600)).sum(axis=0) % 2 == 0).counts  # 180,000 letters
    assert rle.are_plain([long, "42", long, long], [360_000, 6, 359_999, 360_000]) == [
        True, True, False, True,
    ]  # fmt: skip


@given(masks)
def test_the_unpacked_crop_is_the_mask_in_its_box(mask: Mask) -> None:
    crop, x, y = rle.decode_crop(rle.encode(mask))
    assert crop.sum() == mask.sum()
    np.testing.assert_array_equal(paste(crop == 1, x, y, mask.shape), mask)
    assert not crop.size or (crop[0].any() and crop[-1].any() and crop[:, 0].any())


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@given(masks)
def test_masks_unpack_as_pycocotools_unpacks_them(mask: Mask) -> None:
    encoded = rle.encode(mask)
    unpacked = rle.decode(encoded)
    theirs = codec.decode(encoded.to_coco())
    assert unpacked.dtype == theirs.dtype
    np.testing.assert_array_equal(unpacked, theirs)


@given(masks)
def test_the_box_is_tight(mask: Mask) -> None:
    x, y, width, height = map(int, rle.bbox(rle.encode(mask)))
    rows, columns = np.nonzero(mask)
    if len(rows):
        expected = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
        assert (x, y, width, height) == expected


def test_runs_of_no_length_do_not_widen_the_box() -> None:
    """Pixels 2, 3 and 7, 8 of 3 x 3; the codec alone would start the box elsewhere."""
    loose = rle.from_uncompressed([2, 1, 0, 1, 3, 0, 0, 2, 0], 3, 3)
    assert rle.runs(loose.counts).tolist() == [2, 2, 3, 2]
    code = codec.frPyObjects({"size": [3, 3], "counts": [2, 1, 0, 1, 3, 0, 0, 2, 0]}, 3, 3)
    assert rle.from_compressed(code["counts"].decode(), 3, 3) == loose
    assert rle.from_uncompressed([0, 0, 4, 5], 3, 3) == rle.from_uncompressed([4, 5], 3, 3)


def test_iou_by_hand() -> None:
    left = rle.encode(np.array([[1, 1, 0, 0]]))
    right = [rle.encode(np.array([row])) for row in ([1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1])]
    np.testing.assert_allclose(rle.iou([left], right), [[1.0, 1 / 3, 0.0]])
    np.testing.assert_allclose(rle.iou([left], right, [False, True, True]), [[1.0, 0.5, 0.0]])
    assert rle.iou([], right).shape == (0, 3)
    assert rle.iou([left], []).shape == (1, 0)


def test_polygons_draw_all_parts_into_one_mask() -> None:
    both = rle.from_polygons([SQUARE, [7, 0, 9, 0, 9, 2, 7, 2]], 8, 10)
    assert (rle.area(both), rle.bbox(both)) == (12 + 4, (1, 0, 8, 4))


@pytest.mark.parametrize(
    ("polygon", "reason"),
    [
        ([1, 1, 2, 2], "3 or more"),
        ([1, 1, 2, 2, 3, 3, 4], "3 or more"),
        ([0, 0, 1e9, 0, 1e9, 1e9], "far outside"),
        ([0, 0, float("nan"), 0, 4, 4], "far outside"),
        ([-10_000, 0, 10_000, 0] * 300, "longer than"),
    ],
)
def test_polygons_that_can_not_be_drawn_are_refused(polygon: list[float], reason: str) -> None:
    with pytest.raises(AnnotationError, match=reason):
        rle.from_polygons([polygon], 10_000, 10_000)


@pytest.mark.parametrize(
    "counts",
    ["", "5", ":", "é", "o", "oo", "o" * 20 + "1", "@@", "9\n", " ", "O", "5O54", "3n_0"],
)
def test_codes_that_do_not_fill_the_image_are_refused(counts: str) -> None:
    with pytest.raises(AnnotationError):
        rle.from_compressed(counts, 3, 3)


@pytest.mark.parametrize("counts", [[8], [4, 6], [-1, 10], [True] * 9, [4.0, 5.0], [10**400], []])
def test_plain_runs_that_do_not_fill_the_image_are_refused(counts: list[int]) -> None:
    with pytest.raises(AnnotationError):
        rle.from_uncompressed(counts, 3, 3)


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12))
def test_no_code_gets_past_the_check_and_fails_in_the_codec(counts: str) -> None:
    try:
        found = rle.from_compressed(counts, 4, 4)
    except AnnotationError:
        return
    assert rle.decode(found).shape == (4, 4)
