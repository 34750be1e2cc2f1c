"""Which files of a catalogue folder may be images, found without opening any.

Whether a file really is an image is found out in `decode`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finetag_model.errors import DataError
from finetag_model.images import readable_suffixes


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be an image, as it was when it was found.

    Attributes:
        path: relative to the catalogue folder, with forward slashes.
        bytes: size of the file.
        mtime_ns: time of its last change, in nanoseconds since 1970.
    """

    path: str
    bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Failure:
    r"""A file or folder that was skipped.

    Attributes:
        path: relative to the catalogue folder, with forward slashes; bytes that are not
            UTF-8 are written as `\xNN`.
        reason: why, as a phrase for people.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class Scan:
    """What a catalogue folder holds; candidates and failures are sorted by path."""

    candidates: list[Candidate]
    failures: list[Failure]
    ignored: int
    """How many files have a name that no image would have."""


def scan(root: Path, leave_out: Path) -> Scan:
    """Walk a catalogue folder and its subfolders.

    Hidden files and folders and the folder `leave_out` (the index) are passed over. Links to
    folders are followed, except back into a folder that is being walked.

    Raises:
        DataError: the root itself cannot be read.
    """
    suffixes = readable_suffixes()
    candidates: list[Candidate] = []
    failures: list[Failure] = []
    ignored = 0
    root_id = _identity(root.stat())
    excluded = _identity(leave_out.stat())
    pending = [(root, frozenset({root_id}))]
    while pending:
        folder, within = pending.pop()
        for path in _children(folder, root, failures):
            is_candidate = path.suffix.lower() in suffixes
            try:
                status = path.stat()
            except OSError as error:
                if is_candidate:
                    failures.append(Failure(_shown(path, root), reason_of(error)))
                else:
                    ignored += 1
                continue
            identity = _identity(status)
            if stat.S_ISDIR(status.st_mode):
                if identity not in within and identity != excluded:
                    pending.append((path, within | {identity}))
            elif not is_candidate or not stat.S_ISREG(status.st_mode):
                ignored += 1
            elif not is_utf8(relative := path.relative_to(root).as_posix()):
                failures.append(
                    Failure(_shown(path, root), "the name is not valid UTF-8; rename it")
                )
            else:
                candidates.append(Candidate(relative, status.st_size, status.st_mtime_ns))
    candidates.sort(key=lambda candidate: candidate.path)
    failures.sort(key=lambda failure: failure.path)
    return Scan(candidates, failures, ignored)


def is_utf8(text: str) -> bool:
    """Say whether a file name, as Python gives it, can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def reason_of(error: OSError) -> str:
    """Say in a phrase why the operating system would not read something."""
    return f"cannot be read: {(error.strerror or str(error)).lower()}"


def _children(folder: Path, root: Path, failures: list[Failure]) -> Iterator[Path]:
    try:
        names = os.listdir(folder)  # noqa: PTH208  (iterdir is lazy: it fails halfway through)
    except OSError as error:
        if folder == root:
            raise DataError(f"the catalogue folder {root} {reason_of(error)}") from error
        failures.append(Failure(_shown(folder, root), reason_of(error)))
        return
    for name in names:
        if not name.startswith("."):
            yield folder / name


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _shown(path: Path, root: Path) -> str:
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")
