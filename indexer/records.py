"""What a generation knows of each image beside scores and vectors: one line of JSON a row.

A second file holds where each line begins, so that one record of a million is read without
the others. Both files are memory-mapped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.manifest import RECORDS

# `json.dumps` would make one for every row.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class ImageRecord:
    """What is known of one image.

    Attributes:
        id: the same for as long as the file keeps its path or its content; never given to
            another image.
        path: relative to the catalogue folder, with forward slashes.
        absolute: the file.
        width: in pixels, upright.
        height: in pixels, upright.
        content_hash: SHA-256 of the file, hexadecimal.
        bytes: size of the file.
        mtime_ns: time of its last change, in nanoseconds since 1970.
        fields: what `finetag-index import` brought: price, brand, own attributes.
        predicted: the scores as the network gave them, uint8 (N,) in hexadecimal, where own
            attributes outrank some; else None, for they are the image's scores.
    """

    id: int
    path: str
    absolute: Path
    width: int
    height: int
    content_hash: str
    bytes: int
    mtime_ns: int
    fields: Mapping[str, Any]
    predicted: str | None = None


def encode(row: Mapping[str, Any]) -> bytes:
    """Return the line of one image; the keys are the attributes of `ImageRecord`."""
    return _ENCODER.encode(dict(row)).encode() + b"\n"


def decode(line: bytes, root: Path) -> ImageRecord:
    """Undo `encode`, for a catalogue at `root`.

    Raises:
        ValueError: the line is damaged.
    """
    try:
        fields = json.loads(line)
        return ImageRecord(absolute=root / fields["path"], **fields)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"a record cannot be read: {error}") from error


class Records:
    """The records of a generation."""

    def __init__(self, lines: NDArray[np.uint8], offsets: NDArray[np.int64], root: Path) -> None:
        """Read from the memory-mapped bytes of the lines, and rows + 1 ascending offsets."""
        self._lines = lines
        self._offsets = offsets
        self._root = root

    def __getitem__(self, row: int) -> ImageRecord:
        """Return the record of a row.

        Raises:
            ValueError: the file is damaged.
        """
        line = self._lines[self._offsets[row] : self._offsets[row + 1]].tobytes()
        try:
            return decode(line, self._root)
        except ValueError as error:
            raise ValueError(f"line {row + 1} of {RECORDS} cannot be read") from error
