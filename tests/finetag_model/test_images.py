from __future__ import annotations

import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from finetag_model import images
from finetag_model.errors import ImageError
from finetag_model.images import (
    decode,
    image_size,
    load_rgb,
    readable_formats,
    readable_suffixes,
    suffix_of,
    to_pixels,
)
from tests.image_files import difference, encoded, pixels_of, scene

ORIENTATION = 0x0112


NEARLY_LOSSLESS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 98, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {"quality": 100, "chroma": 444},
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


@pytest.fixture
def heif() -> None:
    """What lets Pillow write HEIF."""
    pytest.importorskip("pillow_heif").register_heif_opener()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.usefixtures("heif")
def test_every_orientation_is_turned_upright(orientation: int, kind: str) -> None:
    upright = scene()
    turn = UNDONE_BY[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = encoded(stored, kind, exif=exif.tobytes(), **NEARLY_LOSSLESS.get(kind, {}))
    image, size = decode(file)
    assert difference(image, upright) < (0.01 if kind in {"PNG", "WEBP", "TIFF"} else 1.5)
    assert size == upright.size


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


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
        options = NEARLY_LOSSLESS.get(kind, {})
        file = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        with Image.open(io.BytesIO(file)) as animation:
            assert getattr(animation, "n_frames", 1) == 3, kind
        assert np.abs(pixels_of(file) - [255, 0, 0]).max() <= 2, kind


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
    image, size = decode(file, at_least=100)
    assert 600 > image.height > image.width >= 100
    assert size == (600, 900)


def test_other_formats_are_not_reduced() -> None:
    image, size = decode(encoded(scene(600, 400), "PNG"), at_least=64)
    assert image.size == size == (600, 400)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_full_size_is_known_of_a_reduced_square(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = encoded(scene(801, 800), "JPEG", exif=exif)  # both sides are 200 in the reduced one
    image, size = decode(file, at_least=200)
    assert max(image.size) <= 201
    assert size == ((800, 801) if orientation > 4 else (801, 800))


@pytest.mark.usefixtures("heif")
def test_a_thumbnail_inside_a_heic_is_not_taken_for_the_picture() -> None:
    file = encoded(scene(900, 600), "HEIF", thumbnails=[256])
    assert load_rgb(file, at_least=128).size == (900, 600)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def test_heic_without_its_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(images, "_have_heif", images._have_heif.__wrapped__)
    path = tmp_path / "a.heic"
    path.write_bytes(HEIC)
    assert refusal(path) == f"{path} is a HEIC/HEIF image; to read it: pip install 'finetag[heif]'"
    with pytest.raises(ImageError, match=r"the image is a HEIC/HEIF image; .*'finetag\[heif\]'"):
        load_rgb(HEIC)
    assert path.suffix in readable_suffixes()
    path.write_bytes(encoded(scene(), "PNG"))  # what counts is what is in it
    assert load_rgb(path).size == scene().size


@pytest.mark.usefixtures("heif")
def test_a_damaged_heic(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(HEIC)
    assert "is not an image in a known format" in refusal(path)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path.write_bytes(encoded(Image.fromarray(noise), "HEIF")[:-2000])
    refusal(path)


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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
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


def test_formats_and_suffixes() -> None:
    assert {"JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP"} <= set(readable_formats())
    assert not {"EPS", "PDF", "WMF"} & set(readable_formats())
    suffixes = readable_suffixes()
    assert {".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp"} <= suffixes
    assert {".avif", ".heic", ".heif"} <= suffixes
    assert not {".eps", ".ps", ".pdf", ".wmf", ".mpg", ".txt", ".csv"} & suffixes


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "MPO", "PPM"])
def test_the_ending_is_that_of_the_format(kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind, **({"save_all": True} if kind == "MPO" else {}))
    suffix = suffix_of(file.getvalue())
    assert suffix in readable_suffixes()
    assert suffix == {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}.get(kind, suffix)
