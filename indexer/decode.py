"""From a candidate file to its content hash and pixels, several files at a time.

A file's bytes are read once and both hashed and decoded, so that a file which changes
meanwhile can never get the vectors of another content.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetag_model.ahead import ahead
from finetag_model.errors import ImageError
from finetag_model.images import decode, to_pixels
from indexer.scan import Candidate, reason_of

MAX_BYTES = 1 << 30
"""Larger files are refused: each is read into memory as a whole."""


@dataclass(frozen=True)
class Picture:
    """What the network needs of an image, and its upright size in pixels."""

    pixels: NDArray[np.uint8]
    width: int
    height: int


@dataclass(frozen=True)
class Content:
    """What was found in a candidate file; times are in seconds.

    Attributes:
        hash: SHA-256 of the bytes, hexadecimal; None if they could not be read.
        picture: None if the hash was known already, or if there is a problem.
        problem: why the file cannot be indexed, or None.
    """

    candidate: Candidate
    hash: str | None
    picture: Picture | None
    problem: str | None
    hashing: float
    decoding: float


def read_all(
    root: Path, candidates: Iterable[Candidate], size: int, known: Collection[str]
) -> Generator[Content]:
    """Read candidates in threads, in their order, at most a fixed number ahead of the caller.

    Args:
        root: the catalogue folder.
        candidates: the files to read.
        size: side in pixels of the pictures made.
        known: content hashes that need no picture.
    """

    def read(candidate: Candidate) -> Content:
        return _read(root / candidate.path, candidate, size, known)

    return ahead(read, candidates)


def _read(path: Path, candidate: Candidate, size: int, known: Collection[str]) -> Content:
    start = time.perf_counter()
    digest, picture, problem = None, None, None
    hashed = start
    try:
        data = _bytes(path, candidate)
        digest = hashlib.sha256(data).hexdigest()
        hashed = time.perf_counter()
        if digest not in known:
            picture = _picture(data, size)
    except ImageError as error:
        problem = str(error)
    except OSError as error:
        problem = reason_of(error)
    return Content(
        candidate, digest, picture, problem, hashed - start, time.perf_counter() - hashed
    )


def _bytes(path: Path, candidate: Candidate) -> bytes:
    if candidate.bytes > MAX_BYTES:
        raise ImageError(f"larger than {MAX_BYTES >> 20:,} MiB")
    data = path.read_bytes()
    if not data:
        raise ImageError("the file is empty")
    return data


def _picture(data: bytes, size: int) -> Picture:
    image, (width, height) = decode(data, at_least=size)
    return Picture(to_pixels(image, size), width, height)
