"""FAISS's files: written so that a full disk is noticed, memory-mapped, checked when opened.

FAISS reads past the end of a file cut short, and may crash on any number that is wrong. So it is
given a file only when all that it takes numbers from is as it was written. A flipped byte among
vectors or codes is not noticed here: the manifest's checksums are for that.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.approximation import RABITQ, SQ8

Faiss = Any
"""An object of FAISS, whose own stubs tell less, and other things, than what SWIG makes of it."""

KINDS: dict[str, Faiss] = {
    SQ8: faiss.IndexIVFScalarQuantizer,
    RABITQ: faiss.IndexIVFRaBitQ,
}

_ID, _LENGTH, _DIGEST = 8, 8, hashlib.sha256().digest_size  # bytes


def write_flat(path: Path, dim: int, rows: int, blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write vectors as FAISS writes an `IndexFlatIP`, without ever holding more than a block.

    Args:
        path: the file.
        dim: the length D of a vector.
        rows: how many vectors there are in all.
        blocks: the vectors in row order, float32 (any, D), each vector of length 1.

    Raises:
        OSError: the file cannot be written.
        ValueError: the blocks do not hold `rows` vectors of `dim`.
    """
    written = 0
    with path.open("wb") as file:
        file.write(_flat_header(dim, rows))
        for block in blocks:
            if block.ndim != 2 or block.shape[1] != dim:
                raise ValueError(f"vectors of shape {block.shape} instead of (any, {dim})")
            file.write(np.ascontiguousarray(block, dtype="<f4").data)
            written += len(block)
    if written != rows:
        raise ValueError(f"{written:,} vectors instead of {rows:,}")


def read_flat(path: Path, rows: int, dim: int) -> Faiss:
    """Map the file written by `write_flat`, as an `IndexFlatIP`.

    Raises:
        ValueError: the file is not what it should be.
    """
    header = _flat_header(dim, rows)
    try:
        with path.open("rb") as file:
            sound = file.read(len(header)) == header
            sound &= file.seek(0, os.SEEK_END) == len(header) + 4 * rows * dim
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error
    if not sound:
        raise ValueError("it does not hold the vectors that the manifest announces")
    return _mapped(path)


def write_lists(path: Path, index: Faiss) -> None:
    """Write an `IndexPreTransform`: a rotation, then an IVF index.

    The codes and ids of the inverted lists come last, but for the length and the SHA-256 of all
    that is before them, which FAISS does not see.

    Raises:
        OSError: the file cannot be written.
    """
    # Given a path, FAISS would not notice a disk that fills up with its last few bytes.
    with path.open("w+b") as file:
        writer = faiss.PyCallbackIOWriter(file.write)  # type: ignore[attr-defined]
        faiss.write_index(index, writer)
        head = file.tell() - index.ntotal * (inner(index).code_size + _ID)
        file.seek(0)
        digest = hashlib.sha256(file.read(head)).digest()
        file.seek(0, os.SEEK_END)
        file.write(head.to_bytes(_LENGTH, "little") + digest)


def read_lists(path: Path, dim: int, kind: str, nlist: int) -> Faiss:
    """Map the file written by `write_lists`.

    Raises:
        ValueError: the file is not what it should be.
    """
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END) - _LENGTH - _DIGEST
            file.seek(max(end, 0))
            head = int.from_bytes(file.read(_LENGTH), "little")
            digest = file.read()
            file.seek(0)
            sound = head <= end and hashlib.sha256(file.read(head)).digest() == digest
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error
    if not sound:
        raise ValueError("it is damaged")
    index = _mapped(path)
    ivf = inner(index)
    if (type(ivf), ivf.d, ivf.nlist) != (KINDS[kind], dim, nlist):
        raise ValueError("it is not the approximate index that the manifest announces")
    return index


def inner(index: Faiss) -> Faiss:
    """Return the IVF index behind the rotation; it lives as long as `index`."""
    return faiss.downcast_index(index.index)


def _flat_header(dim: int, rows: int) -> bytes:
    empty = faiss.IndexFlatIP(dim)
    empty.ntotal = rows
    # It ends with how many 4-byte words follow.
    return faiss.serialize_index(empty).tobytes()[:-8] + (rows * dim).to_bytes(8, "little")


def _mapped(path: Path) -> Faiss:
    try:
        # Plain IO_FLAG_MMAP reads a flat index into memory, and starts 32 threads at every
        # search of inverted lists; this one maps both.
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except (RuntimeError, MemoryError) as error:
        # Leave out the C++ place that FAISS puts before its message.
        message = " ".join(str(error).split()).rpartition("Error: ")[2]
        raise ValueError(message or type(error).__name__) from error
