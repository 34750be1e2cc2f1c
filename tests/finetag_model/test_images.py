from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

from finetag_model.errors import ImageError
from finetag_model.images import (
    MAX_PIXELS,
    image_size,
    load_rgb,
    readable_formats,
    readable_suffixes,
    to_pixels,
)

ORIENTATION = 0x0112


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, color: int, rows: bytes, *more: bytes) -> bytes:
    """A PNG file written by hand, for what Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = [(b"IHDR", header), *((c[:4], c[4:]) for c in more), (b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in [*chunks, (b"IEND", b"")]
    )


def pixels_of(source: bytes) -> NDArray[np.int64]:
    image = load_rgb(source)
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def scene(width: int = 96, height: int = 64) -> Image.Image:
    """A picture that differs from all its rotations and mirror images."""
    image = Image.new("RGB", (width, height), (90, 140, 200))
    draw = ImageDraw.Draw(image)
    draw.ellipse((5, 5, width // 2, height // 2), fill=(200, 40, 40))
    draw.rectangle((width // 2, height * 2 // 3, width - 8, height - 5), fill=(40, 160, 60))
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.asarray(ImageChops.difference(one, other)).mean())


NEARLY_LOSSLESS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 98, "subsampling": 0},
    "WEBP": {"lossless": True},
}
UNDONE_BY = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(orientation: int, kind: str) -> None:
    upright = scene()
    turn = UNDONE_BY[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = encoded(stored, kind, exif=exif, **NEARLY_LOSSLESS.get(kind, {}))
    assert difference(load_rgb(file), upright) < (1.5 if kind == "JPEG" else 0.01)


@pytest.mark.parametrize("orientation", [0, 9, 60_000])
def test_an_impossible_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    assert difference(load_rgb(encoded(scene(), "PNG", exif=exif)), scene()) == 0


@pytest.mark.parametrize(
    "block", [b"", b"garbage", b"II*\0\xff\xff\xff\x7f", b"II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0"]
)
def test_damaged_metadata_do_not_hide_a_good_picture(block: bytes) -> None:
    file = encoded(scene(), "JPEG", **NEARLY_LOSSLESS["JPEG"])
    exif = b"Exif\0\0" + block
    file = file[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + file[2:]
    assert difference(load_rgb(file), scene()) < 1.5


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
    np.testing.assert_array_equal(pixels[0, :, 0], ramp[0] >> 8)


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    for kind, options in [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})]:
        file = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        with Image.open(io.BytesIO(file)) as animation:
            assert getattr(animation, "n_frames", 1) == 3, kind
        assert (pixels_of(file) == [255, 0, 0]).all(), kind


def test_a_reduced_decoding_is_nearly_the_same() -> None:
    image = scene(1600, 1200)
    file = encoded(image, "JPEG", quality=92)
    whole, reduced = load_rgb(file), load_rgb(file, at_least=224)
    assert whole.size == (1600, 1200)
    assert reduced.size < whole.size
    assert min(reduced.size) >= 224
    gap = np.abs(to_pixels(whole, 224).astype(int) - to_pixels(reduced, 224))
    assert gap.mean() < 1
    assert np.abs(to_pixels(image, 224).astype(int) - to_pixels(reduced, 224)).mean() < 2


@pytest.mark.parametrize("size", [(223, 500), (100, 90), (1, 1), (900, 225)])
def test_a_reduced_decoding_never_falls_short(size: tuple[int, int]) -> None:
    reduced = load_rgb(encoded(scene(*size) if min(size) > 20 else Image.new("RGB", size), "JPEG"),
                       at_least=224)  # fmt: skip
    assert all(got >= min(224, stored) for got, stored in zip(reduced.size, size, strict=True))


def test_a_reduced_decoding_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    file = encoded(scene(900, 600), "JPEG", exif=exif)
    width, height = load_rgb(file, at_least=100).size
    assert height > width >= 100


def test_other_formats_are_not_reduced() -> None:
    assert load_rgb(encoded(scene(600, 400), "PNG"), at_least=64).size == (600, 400)


def test_pixels_are_a_square_without_a_crop() -> None:
    image = Image.new("RGB", (300, 100), "red")
    image.paste("blue", (150, 0, 300, 100))
    pixels = to_pixels(image, 32)
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    assert (pixels[:, :15] == [255, 0, 0]).all()
    assert (pixels[:, 17:] == [0, 0, 255]).all()


def test_size_is_as_stored_and_takes_no_decoding(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    file = encoded(scene(), "JPEG", exif=exif)
    assert image_size(file) == (96, 64)
    path = tmp_path / "cut.jpg"
    path.write_bytes(file[:700])
    assert image_size(path) == (96, 64)


def test_path_bytes_and_file_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "wrong ending.txt"  # what counts is what is in it
    path.write_bytes(encoded(scene(), "PNG"))
    from_path, from_bytes = load_rgb(path), load_rgb(path.read_bytes())
    with path.open("rb") as file:
        file.read(10)
        from_file = load_rgb(file)
        assert not file.closed
    assert from_path.tobytes() == from_bytes.tobytes() == from_file.tobytes()


def test_a_file_may_be_removed_once_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(scene(), "PNG"))
    image = load_rgb(path)
    path.unlink()
    assert image.getpixel((0, 0)) == (90, 140, 200)


def refusal(source: Path) -> str:
    with pytest.raises(ImageError) as error:
        load_rgb(source)
    message = str(error.value)
    assert str(source) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_truncated_file(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = encoded(Image.fromarray(noise), kind)
    path = tmp_path / "cut"
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(file[: int(len(file) * share)])
        refusal(path)


def test_a_corrupt_file(tmp_path: Path) -> None:
    file = bytearray(encoded(scene(), "PNG"))
    file[60:80] = b"\xff" * 20
    path = tmp_path / "a.png"
    path.write_bytes(file)
    assert "is damaged" in refusal(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00", b"just some words\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8"],
)
def test_what_is_no_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert "is not an image in a known format" in refusal(path)


def test_a_format_for_outside_programs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.eps"
    path.write_bytes(encoded(scene(), "EPS"))
    assert "is not an image in a known format" in refusal(path)


def test_missing_and_folder(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.jpg")
    assert "is a folder" in refusal(tmp_path)


def test_what_has_no_path_is_called_the_image() -> None:
    for source in (b"no image", io.BytesIO(b"no image")):
        with pytest.raises(ImageError, match="the image is not an image in a known"):
            load_rgb(source)


@pytest.mark.parametrize("side", [100_000, 12_500])
@pytest.mark.parametrize("read", [load_rgb, image_size])
def test_a_decompression_bomb_is_refused_at_once(tmp_path: Path, read: Any, side: int) -> None:
    assert side**2 > MAX_PIXELS
    path = tmp_path / "bomb.png"
    path.write_bytes(png(side, side, 8, 2, bytes(1000)))
    started = time.monotonic()
    with pytest.raises(ImageError, match="too many pixels; the limit is 150,000,000") as error:
        read(path)
    assert time.monotonic() - started < 1
    assert str(path) in str(error.value)


def test_formats_and_suffixes() -> None:
    assert {"JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"} <= set(readable_formats())
    assert not {"EPS", "PDF", "WMF"} & set(readable_formats())
    suffixes = readable_suffixes()
    assert {".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp"} <= suffixes
    assert not {".eps", ".ps", ".pdf", ".wmf", ".mpg", ".txt", ".csv"} & suffixes
