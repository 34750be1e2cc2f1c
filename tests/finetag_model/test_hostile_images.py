"""Files made to do harm, or damaged: refused in one line, at once, and without filling memory."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetag_model.errors import ImageError
from finetag_model.images import MAX_PIXELS, decode, image_size, load_rgb
from tests.image_files import ADOBE_RGB, encoded, grey_tiff, png, rgb_profile, scene

MEMORY_MIB = 150
"""What a file of less than a megabyte may cost at most, if it is refused."""

ZEROS = zlib.compress(bytes(300_000_000), 9)
ROW = b"\0" + bytes(3)
KINDS = ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "JPEG2000", "ICO", "TGA", "HEIF"]


def patched(kind: str, old: bytes, new: bytes) -> bytes:
    """A file of a 96x64 picture that claims another size."""
    file = encoded(scene(), kind)
    assert old in file
    return file.replace(old, new)


def ico(inner: bytes) -> bytes:
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inner), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + inner


HOSTILE = {
    "large.png": png(100_000, 100_000, 8, 2, ROW),
    "text.png": png(1, 1, 8, 2, ROW, b"zTXtComment\0\0" + ZEROS),
    "texts.png": png(1, 1, 8, 2, ROW, *[b"zTXtA\0\0" + zlib.compress(bytes(1_000_000), 9)] * 200),
    "profile.png": png(1, 1, 8, 2, ROW, b"iCCPicc\0\0" + ZEROS),
    "inner.ico": ico(png(100_000, 100_000, 8, 2, ROW)),
    "large.gif": patched("GIF", struct.pack("<HH", 96, 64), struct.pack("<HH", 65535, 65535)),
    "large.jpg": patched("JPEG", struct.pack(">HH", 64, 96), struct.pack(">HH", 65500, 65500)),
    "large.bmp": patched("BMP", struct.pack("<ii", 96, 64), struct.pack("<ii", 1 << 30, 1 << 30)),
    "large.tga": patched("TGA", struct.pack("<HH", 96, 64), struct.pack("<HH", 65535, 65535)),
    "large.jp2": patched(
        "JPEG2000", struct.pack(">II", 64, 96), struct.pack(">II", 1 << 20, 1 << 20)
    ),
    "large.avif": patched("AVIF", struct.pack(">II", 96, 64), struct.pack(">II", 30000, 30000)),
    "large.ppm": b"P6 1000000 1000000 255\n" + ROW,
    "large.psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 99999, 99999, 8, 3) + bytes(99),
    "large.tif": grey_tiff(1 << 20, 1 << 20, 32, 3, 1, bytes(8)),
    "tags.tif": b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + b"\x01\1\2\0\xff\xff\xff\x7f" * 99,
}
MEASURE = """
import resource, sys
from pathlib import Path
from PIL import Image
from finetag_model.errors import ImageError
from finetag_model.images import load_rgb
from tests.image_files import encoded, scene

load_rgb(encoded(scene(), "PNG"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_rgb(Path(sys.argv[1]))
except ImageError as error:
    print(error)
unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // unit)
"""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_and_cost_little_memory(name: str, tmp_path: Path) -> None:
    pytest.importorskip("resource")
    path = tmp_path / name
    path.write_bytes(HOSTILE[name])
    assert path.stat().st_size < 1_000_000
    started = time.monotonic()
    with pytest.raises(ImageError) as error:
        load_rgb(path)
    assert time.monotonic() - started < 2
    assert "\n" not in str(error.value)
    program = [sys.executable, "-W", "ignore", "-c", MEASURE, path]
    *lines, mib = subprocess.run(
        program, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert lines == [str(error.value)]
    assert int(mib) < MEMORY_MIB


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


@cache
def sound(kind: str) -> bytes:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    if kind in {"JPEG", "PNG", "WEBP", "TIFF", "AVIF"}:
        return encoded(scene(), kind, icc_profile=rgb_profile(ADOBE_RGB, 2.2))
    return encoded(scene(), kind)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damage_anywhere_is_an_image_error_or_harmless(kind: str, data: st.DataObject) -> None:
    file = bytearray(sound(kind))
    for place in data.draw(st.lists(st.integers(0, len(file) - 1), max_size=8)):
        file[place] = data.draw(st.integers(0, 255))
    # Most of what matters is at the beginning.
    for place in data.draw(st.lists(st.integers(0, min(300, len(file) - 1)), max_size=4)):
        file[place] = data.draw(st.sampled_from([0, 1, 127, 128, 255]))
    end = data.draw(st.none() | st.integers(1, len(file)))
    try:
        image, size = decode(bytes(file[:end]))
    except ImageError as error:
        assert "\n" not in str(error)  # noqa: PT017  (there may be none)
    else:
        assert image.mode == "RGB"
        assert image.size == size
