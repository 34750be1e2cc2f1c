from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from finetag_model.colour import MAX_PROFILE_BYTES, as_seen
from finetag_model.images import load_rgb
from tests.image_files import (
    ADOBE_RGB,
    DISPLAY_P3,
    cmyk_profile,
    difference,
    encoded,
    gamma,
    grey_tiff,
    pixels_of,
    png,
    profile,
    rgb_profile,
    scene,
    srgb,
    srgb_of_lab,
    tagged,
)

ORIENTATION = 0x0112


def test_transparency_is_seen_over_white() -> None:
    colors = [(255, 0, 0, 255), (255, 0, 0, 128), (0, 0, 0, 0)]
    image = Image.new("RGBA", (3, 1))
    for x, color in enumerate(colors):
        image.putpixel((x, 0), color)
    for kind, options in [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]:
        pixels = pixels_of(encoded(image, kind, **options))
        assert np.abs(pixels - [[[255, 0, 0], [255, 127, 127], [255, 255, 255]]]).max() <= 1, kind


def test_grey_with_alpha() -> None:
    image = Image.new("LA", (3, 1))
    for x, color in enumerate([(60, 255), (0, 128), (0, 0)]):
        image.putpixel((x, 0), color)
    pixels = pixels_of(encoded(image, "PNG"))
    assert np.abs(pixels[0] - np.array([[60] * 3, [127] * 3, [255] * 3])).max() <= 1


def test_a_palette_with_transparency() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    for x in range(3):
        image.putpixel((x, 0), x)
    one = pixels_of(encoded(image, "PNG", transparency=1))
    assert one[0].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]
    several = pixels_of(encoded(image, "PNG", transparency=bytes([255, 0, 128])))
    assert np.abs(several[0] - [[255, 0, 0], [255, 255, 255], [127, 127, 255]]).max() <= 1
    gif = pixels_of(encoded(image, "GIF", transparency=2))
    assert gif[0].tolist() == [[255, 0, 0], [0, 255, 0], [255, 255, 255]]
    plain = pixels_of(encoded(image, "PNG"))
    assert plain[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def test_a_transparent_colour() -> None:
    image = Image.new("RGB", (2, 1), (10, 20, 30))
    image.putpixel((1, 0), (10, 20, 31))
    pixels = pixels_of(encoded(image, "PNG", transparency=(10, 20, 30)))
    assert pixels[0].tolist() == [[255, 255, 255], [10, 20, 31]]
    bits = pixels_of(png(8, 1, 1, 0, b"\0\x0f", b"tRNS" + struct.pack(">H", 0)))
    assert (bits == 255).all()  # white stays, black is transparent


def test_one_bit() -> None:
    image = Image.new("1", (2, 1), 1)
    image.putpixel((1, 0), 0)
    for kind in ("PNG", "TIFF", "BMP"):
        assert pixels_of(encoded(image, kind))[0].tolist() == [[255] * 3, [0] * 3]


def test_cmyk() -> None:
    image = Image.new("RGB", (64, 64), (200, 60, 30))
    for kind, options in [("JPEG", {"quality": 95}), ("TIFF", {})]:
        pixels = pixels_of(encoded(image.convert("CMYK"), kind, **options))
        assert np.abs(pixels - [200, 60, 30]).max() <= 3, kind


def test_grey() -> None:
    pixels = pixels_of(encoded(Image.new("L", (16, 16), 77), "JPEG"))
    assert np.abs(pixels - 77).max() <= 1


@pytest.fixture(scope="module")
def depth() -> NDArray[np.uint16]:
    """All the greys that sixteen bits have, in steps of 16."""
    return (np.arange(64 * 64, dtype=np.uint16) * 16).reshape(64, 64)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "TIFF, big-endian", "PGM"])
def test_sixteen_bits_of_grey(depth: NDArray[np.uint16], kind: str) -> None:
    if kind == "PGM":
        file = b"P5 64 64 65535\n" + depth.astype(">u2").tobytes()
    else:
        order = ">u2" if "big" in kind else "<u2"
        file = encoded(Image.fromarray(depth.astype(order)), kind[:4].strip(","))
    pixels = pixels_of(file)
    assert np.ptp(pixels, axis=2).max() == 0
    assert np.abs(pixels[..., 0] - depth / 257).max() <= 1


def test_sixteen_bits_are_turned_upright_too(depth: NDArray[np.uint16]) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    pixels = pixels_of(encoded(Image.fromarray(depth), "PNG", exif=exif))
    np.testing.assert_array_equal(pixels[..., 0], np.rot90(depth >> 8, -1))


@pytest.mark.parametrize(("color", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_sixteen_bits_of_other_kinds(depth: NDArray[np.uint16], color: int, channels: int) -> None:
    samples = np.stack([depth] * channels, axis=-1)
    if channels in (2, 4):
        samples[..., -1] = 65535
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    pixels = pixels_of(png(64, 64, 16, color, rows))
    assert np.abs(pixels - (depth / 257)[..., None]).max() <= 1


def test_signed_and_long_greys_are_not_washed_out() -> None:
    ramp = np.arange(0, 32768, 128, dtype=np.int32)[None]
    pixels = pixels_of(encoded(Image.fromarray(ramp), "TIFF"))
    assert np.abs(pixels[0, :, 0] - ramp[0] / 257).max() <= 1


@pytest.mark.parametrize(("largest", "white"), [(200, 255), (60_000, 65_535), (10**8, 10**8)])
@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_long_greys_and_floats(kind: type, largest: int, white: int) -> None:
    ramp = np.linspace(0, largest, 50).astype(kind)[None]
    pixels = pixels_of(encoded(Image.fromarray(ramp), "TIFF"))
    assert np.ptp(pixels, axis=2).max() == 0
    assert np.abs(pixels[0, :, 0] - ramp[0] * (255 / white)).max() <= 1


@pytest.mark.parametrize("largest", [0.5, 1.0, 1.3])
def test_floats_of_which_one_is_white(largest: float) -> None:
    ramp = np.linspace(-0.2, largest, 50, dtype=np.float32)[None]
    pixels = pixels_of(encoded(Image.fromarray(ramp), "TIFF"))
    assert np.abs(pixels[0, :, 0] - ramp[0].clip(0, 1) * 255).max() <= 1


def test_floats_that_are_no_numbers() -> None:
    odd = np.array([[0.5, np.nan, np.inf, -np.inf]], dtype=np.float32)
    assert pixels_of(encoded(Image.fromarray(odd), "TIFF"))[0, :, 0].tolist() == [128, 0, 255, 0]
    nothing = np.full((2, 2), np.nan, dtype=np.float32)
    assert (pixels_of(encoded(Image.fromarray(nothing), "TIFF")) == 0).all()


def test_unsigned_long_greys() -> None:
    values = np.array([[0, 1 << 31, (1 << 32) - 1]], dtype="<u4")
    file = grey_tiff(3, 1, bits=32, kind=1, white=1, data=values.tobytes())
    assert pixels_of(file)[0, :, 0].tolist() == [0, 128, 255]


def test_twelve_bits_of_grey() -> None:
    packed = bytes.fromhex("000 fff 800 400".replace(" ", ""))
    pixels = pixels_of(grey_tiff(4, 1, bits=12, kind=1, white=1, data=packed))
    assert pixels[0, :, 0].tolist() == [0, 255, 128, 64]


@pytest.mark.parametrize(("kind", "dtype", "bits"), [(1, "<u2", 16), (3, "<f4", 32)])
def test_white_may_be_zero(kind: int, dtype: str, bits: int) -> None:
    values = np.array([[0, 65535 if kind == 1 else 1]], dtype=dtype)
    pixels = pixels_of(grey_tiff(2, 1, bits, kind, white=0, data=values.tobytes()))
    assert pixels[0, :, 0].tolist() == [255, 0]


def test_a_transparent_colour_of_sixteen_bits() -> None:
    grey = png(2, 1, 16, 0, b"\0\x12\x34\x56\x78", b"tRNS\x12\x34")
    assert pixels_of(grey)[0, :, 0].tolist() == [255, 0x56]
    rows = b"\0" + struct.pack(">6H", 0x1234, 0x2000, 0, 0x3412, 0, 0)
    color = png(2, 1, 16, 2, rows, b"tRNS" + struct.pack(">3H", 0x1234, 0x2000, 0))
    assert pixels_of(color)[0].tolist() == [[255] * 3, [0x34, 0, 0]]


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBX", "CMYK", "RGBa", "P"])
def test_other_modes(mode: str) -> None:
    source = {"RGBa": scene().convert("RGBA"), "P": scene().quantize(64)}.get(mode, scene())
    assert difference(as_seen(source.convert(mode)), scene()) < 3


def test_premultiplied_alpha() -> None:
    image = Image.merge("LA", (Image.new("L", (4, 4), 60), Image.new("L", (4, 4), 128)))
    assert np.abs(np.asarray(as_seen(image.convert("La"))).astype(int) - 157).max() <= 1


def test_ycbcr_in_a_tiff() -> None:
    assert difference(load_rgb(encoded(scene().convert("YCbCr"), "TIFF")), scene()) < 2


def lab(*color: int) -> Image.Image:
    bands = [Image.new("L", (8, 8), value) for value in color]
    return Image.merge("LAB", bands)


@pytest.mark.parametrize("color", [(80, 0, 0), (60, 40, 30), (50, -30, -10)])
def test_lab(color: tuple[int, int, int]) -> None:
    image = lab(round(color[0] * 2.55), color[1] + 128, color[2] + 128)
    pixels = pixels_of(encoded(image, "TIFF"))
    assert np.abs(pixels - srgb_of_lab(*color)).max() <= 3


SPACES = {"Adobe RGB": (ADOBE_RGB, 563 / 256), "Display P3": (DISPLAY_P3, 2.2)}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("space", SPACES)
def test_a_photograph_with_a_profile_has_its_colours(space: str, kind: str) -> None:
    stored = tagged(scene(), *SPACES[space])
    assert difference(stored, scene()) > 4
    options: dict[str, Any] = {
        "JPEG": {"quality": 98, "subsampling": 0},
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    }.get(kind, {})
    file = encoded(stored, kind, icc_profile=rgb_profile(*SPACES[space]), **options)
    image = load_rgb(file)
    assert difference(image, scene()) < 1.5
    again = encoded(image, "PNG")  # the profile is not applied a second time
    assert difference(load_rgb(again), image) == 0


def test_a_profile_and_transparency() -> None:
    stored = tagged(scene(), *SPACES["Adobe RGB"])
    stored.putalpha(Image.linear_gradient("L").resize(stored.size))
    seen = load_rgb(encoded(stored, "PNG", icc_profile=rgb_profile(*SPACES["Adobe RGB"])))
    expected = scene().convert("RGBA")
    expected.putalpha(stored.getchannel("A"))
    assert difference(seen, load_rgb(encoded(expected, "PNG"))) < 1.5


def test_a_palette_with_a_profile() -> None:
    stored = tagged(scene(), *SPACES["Adobe RGB"]).quantize(16)
    seen = load_rgb(encoded(stored, "PNG", icc_profile=rgb_profile(*SPACES["Adobe RGB"])))
    assert difference(seen, scene()) < 2


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_with_a_profile(mode: str) -> None:
    linear_light = profile(b"GRAY", {b"kTRC": gamma(1)})
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    if mode == "I;16":
        image = Image.fromarray(np.arange(256, dtype=np.uint16)[None] * 257)
    else:
        image = ramp.convert(mode)
    pixels = pixels_of(encoded(image, "PNG", icc_profile=linear_light))
    assert np.abs(pixels[0, :, 0] - srgb(np.arange(256) / 255)).max() <= 2


def test_grey_with_a_profile_for_rgb() -> None:
    image = Image.new("L", (4, 4), 128)
    pixels = pixels_of(encoded(image, "PNG", icc_profile=rgb_profile(ADOBE_RGB, 1)))
    assert np.abs(pixels - srgb(np.array(128 / 255))).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_with_a_profile(kind: str) -> None:
    def lab_of(cyan: int, magenta: int, yellow: int, black: int) -> tuple[float, float, float]:
        """A press whose cyan is orange."""
        light = (100 - 40 * cyan - 20 * magenta - 10 * yellow) * (1 - black)
        return (light, 30 * cyan * (1 - black), 40 * cyan * (1 - black))

    press = cmyk_profile(lab_of)
    for ink, color in [
        ((0, 0, 0, 0), (100, 0, 0)),
        ((255, 0, 0, 0), (60, 30, 40)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((0, 255, 0, 0), (80, 0, 0)),
    ]:
        image = Image.new("CMYK", (16, 16), ink)
        pixels = pixels_of(encoded(image, kind, icc_profile=press))
        assert np.abs(pixels - srgb_of_lab(*color)).max() <= 4, ink


def test_a_profile_that_is_srgb_changes_nothing() -> None:
    same = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert difference(load_rgb(encoded(scene(), "PNG", icc_profile=same)), scene()) == 0


ADOBE = rgb_profile(*SPACES["Adobe RGB"])


@pytest.mark.parametrize(
    ("mode", "unfit"),
    [
        ("RGB", b"garbage"),
        ("RGB", ADOBE[:200]),
        ("RGB", ADOBE[:128] + b"\xff" * 400),
        ("RGB", ADOBE.replace(b"mntr", b"link")),
        ("RGB", profile(b"RGB ", {})),
        ("RGB", profile(b"GRAY", {b"kTRC": gamma(1)})),
        ("RGB", cmyk_profile(lambda *_: (50, 0, 0))),
        ("RGB", ADOBE + bytes(MAX_PROFILE_BYTES)),
        ("L", cmyk_profile(lambda *_: (50, 0, 0))),
        ("CMYK", ADOBE),
        ("LAB", ADOBE),
    ],
)
def test_a_broken_or_unfit_profile_is_ignored(mode: str, unfit: bytes) -> None:
    image = lab(150, 140, 120) if mode == "LAB" else scene().convert(mode)
    plain = load_rgb(encoded(image, "TIFF"))
    assert difference(load_rgb(encoded(image, "TIFF", icc_profile=unfit)), plain) == 0
