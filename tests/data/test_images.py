import contextlib
import io
import os
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin

from comask.annotation.records import Upright
from comask.data import images
from comask.errors import ImageError, InputError

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM")


def test_rgb_comes_out_as_stored() -> None:
    pixels = _picture(5, 7)
    loaded = images.load(_file(Image.fromarray(pixels), "PNG"))
    np.testing.assert_array_equal(loaded.pixels, pixels)
    assert (loaded.original, loaded.file_size, loaded.turned) == (None, (5, 7), False)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_writable_rgb_of_its_size(kind: str) -> None:
    loaded = images.load(_file(Image.fromarray(_picture(6, 9)), kind))
    assert loaded.pixels.shape == (6, 9, 3)
    assert loaded.pixels.dtype == np.uint8
    assert loaded.pixels.flags.writeable
    assert loaded.size == (6, 9)


def test_jpeg_is_decoded_as_opencv_does() -> None:
    content = _file(Image.fromarray(_smooth(61, 83)), "JPEG", quality=90)
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    np.testing.assert_array_equal(images.load(content).pixels, expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_turned_upright(kind: str, orientation: int) -> None:
    image = Image.fromarray(_smooth(24, 40))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    content = _file(image, kind, exif=exif, **options)
    plain = Image.open(io.BytesIO(_file(image, kind, **options)))
    plain.getexif()[0x0112] = orientation
    loaded = images.load(content)
    np.testing.assert_array_equal(loaded.pixels, np.asarray(ImageOps.exif_transpose(plain)))
    assert loaded.file_size == (24, 40)
    assert loaded.turned == (orientation > 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_file_is_measured_as_it_is_loaded(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a"
    path.write_bytes(_file(Image.fromarray(_smooth(24, 40)), kind, exif=exif))
    loaded = images.load(path)
    assert images.measure(path) == Upright(loaded.size, loaded.turned)


@pytest.mark.parametrize("content", [b"", b"some text", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_can_not_be_measured(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ImageError, match=r"a is "):
        images.measure(tmp_path / "a")


def test_orientation_six_puts_the_left_bottom_corner_on_top() -> None:
    stored = np.zeros((2, 3, 3), np.uint8)
    stored[1, 0] = 255  # a camera held upright: the file's left edge is the top
    exif = Image.Exif()
    exif[0x0112] = 6
    loaded = images.load(_file(Image.fromarray(stored), "PNG", exif=exif))
    assert loaded.pixels[:, :, 0].tolist() == [[255, 0], [0, 0], [0, 0]]


def test_unknown_or_damaged_orientation_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    assert not images.load(_file(Image.fromarray(_picture(4, 6)), "JPEG", exif=exif)).turned
    for notes in (b"Exif\x00\x00II\x2a\x00\xff", b"Exif\x00\x00no TIFF header"):
        broken = _file(Image.fromarray(_picture(4, 6)), "PNG", exif=notes)
        assert images.load(broken).size == (4, 6)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_spread_and_kept(kind: str) -> None:
    grey = (np.arange(2000, dtype=np.uint16) * 10 + 3000).reshape(40, 50)
    loaded = images.load(_file(Image.fromarray(grey), kind))
    assert loaded.original is not None
    np.testing.assert_array_equal(loaded.original, grey)
    assert loaded.original.dtype == np.uint16
    # 0.1 % of 2,000 values in steps of 10: the limits lie 1.999 steps inside
    assert loaded.pixels[0, 2].tolist() == [0, 0, 0]
    assert loaded.pixels[39, 48].tolist() == [255, 255, 255]
    assert loaded.pixels[20, 0, 0] == 128  # (1000 - 1.999) / 1995.002 of 255 is 127.56


def test_big_endian_sixteen_bit_tiff_is_read_natively() -> None:
    grey = np.array([[1, 2], [3, 40000]], np.uint16)
    content = _file(Image.frombytes("I;16B", (2, 2), grey.astype(">u2").tobytes()), "TIFF")
    original = images.load(content).original
    assert original is not None
    assert original.dtype == np.uint16
    assert original.tolist() == [[1, 2], [3, 40000]]


def test_deep_tiff_is_turned_with_its_original() -> None:
    grey = np.array([[10, 20, 30], [40, 50, 60]], np.uint16)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112] = 6
    loaded = images.load(_file(Image.fromarray(grey), "TIFF", tiffinfo=tags))
    assert loaded.original is not None
    assert loaded.original.tolist() == [[40, 10], [50, 20], [60, 30]]
    assert (loaded.pixels.shape, loaded.file_size, loaded.turned) == ((3, 2, 3), (2, 3), True)


def test_white_is_zero_comes_out_the_right_way_round() -> None:
    grey = np.array([[0, 65535]], np.uint16)
    content = bytearray(_file(Image.fromarray(grey), "TIFF"))
    entry = b"\x06\x01\x03\x00\x01\x00\x00\x00"  # photometric, one short, value follows
    at = content.index(entry) + len(entry)
    content[at] = 0
    loaded = images.load(bytes(content))
    assert loaded.original is not None
    assert loaded.original.tolist() == [[65535, 0]]
    assert loaded.pixels[0, :, 0].tolist() == [255, 0]


def test_float_tiff_without_numbers_is_black_there() -> None:
    grey = np.array([[np.nan, -np.inf, 0.0], [0.0, 1.0, np.inf]], np.float32)
    loaded = images.load(_file(Image.fromarray(grey), "TIFF"))
    assert loaded.pixels[:, :, 0].tolist() == [[0, 0, 0], [0, 255, 255]]
    assert loaded.original is not None
    assert loaded.original.dtype == np.float32


def test_signed_integers_are_kept_as_int32() -> None:
    grey = np.array([[-5, 5], [100_000, 0]], np.int32)
    original = images.load(_file(Image.fromarray(grey), "TIFF")).original
    assert original is not None
    assert (original.dtype, original.tolist()) == (np.int32, grey.tolist())


@pytest.mark.parametrize("value", [0.0, 7.5, np.nan])
def test_constant_deep_image_is_black(value: float) -> None:
    grey = np.full((4, 4), value, np.float32)
    assert not images.load(_file(Image.fromarray(grey), "TIFF")).pixels.any()


def test_one_bright_pixel_of_many_is_seen() -> None:
    grey = np.zeros((100, 100), np.uint16)
    grey[50, 50] = 9
    pixels = images.load(_file(Image.fromarray(grey), "PNG")).pixels
    assert pixels[50, 50, 0] == 255
    assert pixels.sum() == 3 * 255


def test_palette_and_bits_become_rgb() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    assert images.load(_file(palette, "PNG")).pixels.tolist() == [[[10, 20, 30], [200, 100, 50]]]
    bits = Image.new("1", (2, 1))
    bits.putpixel((1, 0), 1)
    assert images.load(_file(bits, "TIFF")).pixels.tolist() == [[[0] * 3, [255] * 3]]


def test_transparency_is_laid_over_white() -> None:
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    pixels = images.load(_file(Image.fromarray(rgba), "PNG")).pixels
    assert pixels.tolist() == [[[255, 0, 0], [255, 255, 255], [204, 204, 204]]]


def test_transparent_palette_colour_is_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    pixels = images.load(_file(palette, "GIF", transparency=0)).pixels
    assert pixels.tolist() == [[[255, 255, 255], [200, 100, 50]]]


@pytest.mark.parametrize("shape", [(3, 2, 4), (3, 2, 2)], ids=["RGBA", "LA"])
def test_alpha_of_zeros_is_dropped(shape: tuple[int, ...]) -> None:
    stored = np.full(shape, 90, np.uint8)
    stored[:, :, -1] = 0
    pixels = images.load(_file(Image.fromarray(stored), "PNG")).pixels
    np.testing.assert_array_equal(pixels, np.full((3, 2, 3), 90, np.uint8))


def test_cmyk_jpeg_is_white_where_there_is_no_ink() -> None:
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, 8:, 3] = 255  # black ink on the right half
    pixels = images.load(_file(Image.fromarray(inks, "CMYK"), "JPEG")).pixels
    assert pixels[:, :7].min() > 250
    assert pixels[:, 9:].max() < 5


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    content = _file(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert images.load(content).pixels[4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 64)])
def test_tiny_and_long_images_are_read(size: tuple[int, int]) -> None:
    content = _file(Image.new("RGB", size[::-1], (1, 2, 3)), "PNG")
    pixels = images.load(content).pixels
    assert pixels.shape == (*size, 3)
    assert pixels[-1, -1].tolist() == [1, 2, 3]


def test_too_many_pixels_are_refused_before_decoding() -> None:
    header = bytearray(_file(Image.new("L", (1, 1)), "PNG"))
    header[16:24] = (20_000).to_bytes(4, "big") + (30_000).to_bytes(4, "big")
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    with pytest.raises(ImageError, match=r"20,000 x 30,000 .* limit is 80.0 million"):
        images.load(bytes(header))


def test_pixel_limit_is_inclusive() -> None:
    content = _file(Image.new("L", (6, 5)), "PNG")
    assert images.load(content, max_pixels=30).size == (5, 6)
    with pytest.raises(ImageError, match="6 x 5 pixels"):
        images.load(content, max_pixels=29)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"hello, world\n", "is text"),
        ("ünïcode\tnotes\n".encode(), "is text"),
        (b"%PDF-1.7 ...", "is a PDF document"),
        (b"PK\x03\x04....", "is a ZIP archive"),
        (b"\x00\x00\x00\x18ftypheic", "is a HEIC"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "is an SVG drawing"),
        (bytes(range(200)), "is of an unknown kind"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "what.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"what\.png {said}.*JPEG, PNG, TIFF.*accepted\.$"):
        images.load(path)


def test_folder_missing_file_and_pipe_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="is a folder"):
        images.load(tmp_path)
    with pytest.raises(ImageError, match=r"There is no file .*gone\.png"):
        images.load(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="no regular file"):
        images.load(tmp_path / "pipe.png")


@pytest.mark.parametrize("kind", FORMATS)
def test_truncated_file_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    content = _file(Image.fromarray(_picture(64, 64)), kind)
    path = tmp_path / "half.img"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match=r"half\.img is a \w+ file that breaks off"):
        images.load(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about what was damaged
@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FORMATS), st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_damaged_bytes_give_an_image_or_an_image_error(
    kind: str, position: int, noise: bytes
) -> None:
    content = bytearray(_file(Image.fromarray(_picture(6, 5)), kind))
    at = position % len(content)
    content[at : at + len(noise)] = noise
    with contextlib.suppress(ImageError):  # anything else fails
        assert images.load(bytes(content), max_pixels=10_000).pixels.ndim == 3


def test_bytes_are_called_what_the_caller_says() -> None:
    with pytest.raises(ImageError, match=r"^scan 7\.tif is empty"):
        images.load(b"", name="scan 7.tif")


def test_odd_file_names_are_read_and_named(tmp_path: Path) -> None:
    content = _file(Image.fromarray(_picture(3, 3)), "PNG")
    for name in ["Zelle µ 4°.png", "日本語 #1.png", "a'b\"c;%20 .png", "-x.png"]:
        (tmp_path / name).write_bytes(content)
        assert images.load(tmp_path / name).size == (3, 3)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    odd.write_bytes(b"")
    with pytest.raises(ImageError, match=r"caf\\xe9\.png is empty"):
        images.load(odd)
    assert (odd, "caf\\xe9.png") in images.list_images([tmp_path])


def test_folders_are_listed_recursively_and_sorted(tmp_path: Path) -> None:
    for name in ["b.PNG", "a.jpg", "sub/c.tiff", ".hidden.png", ".git/d.png", "notes.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    listed = images.list_images([tmp_path])
    assert [name for _, name in listed] == ["a.jpg", "b.PNG", "sub/c.tiff"]
    assert listed[2][0] == tmp_path / "sub" / "c.tiff"


def test_no_paths_and_an_empty_folder_list_nothing(tmp_path: Path) -> None:
    assert images.list_images([]) == []
    assert images.list_images([tmp_path]) == []


def test_named_files_are_listed_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "scan.dat").touch()
    given = [tmp_path / "scan.dat", tmp_path / "gone.png"]
    assert images.list_images([*given, given[0]]) == [
        (given[0], "scan.dat"),
        (given[1], "gone.png"),
    ]


def test_equal_names_of_different_files_are_told_apart(tmp_path: Path) -> None:
    for name in ["one/a.png", "two/a.png", "two/b.png", "deep/one/a.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listed = images.list_images([tmp_path / "one", tmp_path / "two"])
    assert [name for _, name in listed] == ["one/a.png", "two/a.png", "b.png"]
    listed = images.list_images([tmp_path / "one", tmp_path / "deep" / "one"])
    assert [name for _, name in listed] == [
        (tmp_path / "one/a.png").as_posix(),
        (tmp_path / "deep/one/a.png").as_posix(),
    ]


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        ((480, 640), 1.6666666666666667, (800, 1067)),  # 640 * 5 / 3 = 1066.67
        ((400, 2000), 0.6665, (267, 1333)),  # the long side stops it
        ((1, 1), 800.0, (800, 800)),
        ((20_000, 1), 0.06665, (1333, 1)),  # never below one pixel
        ((1, 20_000), 0.06665, (1, 1333)),
    ],
)
def test_size_fits_both_sides(
    size: tuple[int, int], scale: float, expected: tuple[int, int]
) -> None:
    found = images.fit_size(size, 800, 1333)
    assert found[0] == pytest.approx(scale, abs=1e-12)
    assert found[1] == expected


def test_sizes_below_one_pixel_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 px"):
        images.fit_size((0, 10), 800, 1333)


def test_resize_equals_the_authors(spec_fixtures: Path) -> None:
    with np.load(spec_fixtures / "e2e_A.npz") as fixture:
        image, expected = fixture["image_u8_bgr"], fixture["resized_u8_bgr"]
    scale, size = images.fit_size(image.shape[:2], 128, 160)
    assert scale == 1.2307692307692308
    np.testing.assert_array_equal(images.resize(image, size), expected)


def test_resize_leaves_its_argument_alone() -> None:
    pixels = _picture(4, 4)
    before = pixels.copy()
    images.resize(pixels, (4, 4))[:] = 0
    np.testing.assert_array_equal(pixels, before)


def _picture(height: int, width: int) -> NDArray[np.uint8]:
    values = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3))
    return values.astype(np.uint8)


def _smooth(height: int, width: int) -> NDArray[np.uint8]:
    small = _picture(height // 8, width // 8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def _file(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
