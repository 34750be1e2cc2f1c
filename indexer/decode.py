"""From a candidate file to its bytes, and from these to pixels.

Runs in the processes of `worker`: whatever a file does to them, the build goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetag_model.errors import ImageError
from finetag_model.images import decode, to_pixels
from indexer.perceptual import perceptual_hash

MAX_BYTES = 1 << 30
"""Larger files are refused: each is read into memory as a whole."""


@dataclass(frozen=True)
class Picture:
    """What the network needs of an image, its upright size in pixels, its perceptual hash."""

    pixels: NDArray[np.uint8]
    width: int
    height: int
    perceptual: bytes | None


def read_bytes(path: Path, size: int) -> bytes:
    """Read a file that has `size` bytes.

    Raises:
        ImageError: it is empty or too large.
        OSError: it cannot be read.
    """
    if size > MAX_BYTES:
        raise ImageError(f"larger than {MAX_BYTES >> 20:,} MiB")
    data = path.read_bytes()
    if not data:
        raise ImageError("the file is empty")
    return data


def read_picture(data: bytes, side: int) -> Picture:
    """Decode the bytes of a file for a network whose input has sides of `side` pixels.

    Raises:
        ImageError: they are not an image that can be read.
    """
    image, (width, height) = decode(data, at_least=side)
    return Picture(to_pixels(image, side), width, height, perceptual_hash(image))
