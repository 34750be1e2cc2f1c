"""Pictures, and image files and ICC profiles written by hand, for what Pillow does not write."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from finetag_model.images import load_rgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

ADOBE_RGB = [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
DISPLAY_P3 = [
    [0.51512, 0.29198, 0.15710],
    [0.24120, 0.69225, 0.06657],
    [-0.00105, 0.04189, 0.78407],
]
"""Columns are XYZ of red, green and blue, under D50 as profiles have them."""

SRGB = [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
D50 = (0.9642, 1.0, 0.8249)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width: int, height: int, depth: int, color: int, rows: bytes, *more: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = [(b"IHDR", header), *((c[:4], c[4:]) for c in more), (b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in [*chunks, (b"IEND", b"")]
    )


def grey_tiff(width: int, height: int, bits: int, kind: int, white: int, data: bytes) -> bytes:
    """Kind is 1 for unsigned, 2 for signed, 3 for float; white is 0 if zero is white, else 1."""
    fields = [(256, width), (257, height), (258, bits), (259, 1), (262, white), (273, 8), (277, 1),
              (278, height), (279, len(data)), (339, kind)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    start = b"II*\0" + struct.pack("<I", 8 + len(data))
    return start + data + struct.pack("<H", len(fields)) + entries + bytes(4)


def profile(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    """An ICC profile of a colour space; the tags hold their type, as stored."""
    white = b"XYZ \0\0\0\0" + _s15f16(*D50)
    offset = 128 + 4 + 12 * (len(tags) + 1)
    table, data = struct.pack(">I", len(tags) + 1), b""
    for name, value in {b"wtpt": white, **tags}.items():
        table += name + struct.pack(">II", offset + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    header = struct.pack(">I", offset + len(data)) + bytes(4) + b"\x02\x40\0\0" + kind + space + pcs
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _s15f16(*D50)
    return header.ljust(128, b"\0") + table + data


def gamma(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256)) + bytes(2)


def rgb_profile(primaries: list[list[float]], exponent: float) -> bytes:
    columns = np.transpose(primaries)
    tags = {
        name + b"XYZ": b"XYZ \0\0\0\0" + _s15f16(*column)
        for name, column in zip([b"r", b"g", b"b"], columns, strict=True)
    }
    return profile(b"RGB ", tags | {name + b"TRC": gamma(exponent) for name in [b"r", b"g", b"b"]})


def cmyk_profile(lab_of: Any) -> bytes:
    """A press; `lab_of(c, m, y, k)` gives L, a, b of each of the 16 solid overprints."""
    nodes = b""
    for node in np.ndindex(2, 2, 2, 2):
        lightness, a, b = lab_of(*node)
        nodes += bytes([round(lightness * 255 / 100), round(a + 128), round(b + 128)])
    ramp = bytes(range(256))
    one = _s15f16(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + one + ramp * 4 + nodes + ramp * 3
    return profile(b"CMYK", {b"A2B0": table}, pcs=b"Lab ")


def _s15f16(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def linear(srgb: NDArray[Any]) -> NDArray[np.float64]:
    """Light, 0 to 1, of sRGB values, 0 to 255."""
    share = np.asarray(srgb) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def srgb(light: NDArray[Any]) -> NDArray[np.float64]:
    """Values, 0 to 255, of light, 0 to 1; what is outside of sRGB is clipped."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def srgb_of_lab(lightness: float, a: float, b: float) -> NDArray[np.float64]:
    fy = (lightness + 16) / 116
    f = np.array([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
    return srgb(np.linalg.inv(SRGB) @ xyz)


def tagged(picture: Image.Image, primaries: list[list[float]], exponent: float) -> Image.Image:
    """The pixels that a camera writes for an sRGB picture in another colour space."""
    light = linear(np.asarray(picture)) @ np.transpose(np.linalg.inv(primaries) @ SRGB)
    return Image.fromarray(np.rint(255 * light.clip(0, 1) ** (1 / exponent)).astype(np.uint8))


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
