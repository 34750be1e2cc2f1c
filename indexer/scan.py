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
        bytes: as of a `Candidate`; 0 if not known.
        mtime_ns: as of a `Candidate`; 0 if not known.
        quarantined: whether it hung or crashed its reader, and will be let alone.
        is_folder: whether it is a folder, all of whose files are unknown therefore.
    """

    path: str
    reason: str
    bytes: int = 0
    mtime_ns: int = 0
    quarantined: bool = False
    is_folder: bool = False


class Scan:
    """A walk through a catalogue folder and its subfolders, in no order.

    Hidden files and folders and the folder `leave_out` (the index) are passed over. Links to
    folders are followed, but no folder is walked twice: by its own path before any link.

    Attributes:
        ignored: how many files so far have a name that no image would have.
    """

    def __init__(self, root: Path, leave_out: Path | None = None) -> None:
        """Prepare to walk `root`; nothing is read before the first item is asked for."""
        self.ignored = 0
        self._root = os.fspath(root)
        self._suffixes = readable_suffixes()
        self._seen = {_identity(leave_out.stat())} if leave_out else set[tuple[int, int]]()

    def __iter__(self) -> Iterator[Candidate | Failure]:
        """Yield what may be images, and what was skipped.

        Raises:
            DataError: the root itself cannot be read.
        """
        pending, links = [""], list[str]()
        while pending or links:
            if not pending:
                links.sort(reverse=True)
            folder = pending.pop() if pending else links.pop()
            try:
                if not self._is_new(Path(self._root, folder).stat()):
                    continue
                entries = list(os.scandir(f"{self._root}/{folder}"))
            except OSError as error:
                if not folder:
                    raise DataError(
                        f"the catalogue folder {self._root} {reason_of(error)}"
                    ) from error
                yield Failure(_shown(folder), reason_of(error), is_folder=True)
                continue
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = f"{folder}/{entry.name}" if folder else entry.name
                item = self._item(entry, path)
                if item is not None:
                    yield item
                elif _is_folder(entry):
                    (links if entry.is_symlink() else pending).append(path)
                else:
                    self.ignored += 1

    def _item(self, entry: os.DirEntry[str], path: str) -> Candidate | Failure | None:
        """Say what a folder's entry is; None for a folder, or a file that is no image."""
        # As `Path.suffix`, of which a hundred thousand take a second.
        if entry.name[entry.name.rfind(".") :].lower() not in self._suffixes:
            return None
        try:
            status = entry.stat()
        except OSError as error:
            return Failure(_shown(path), reason_of(error))
        if not stat.S_ISREG(status.st_mode):
            return None
        if not is_utf8(path):
            return Failure(_shown(path), "the name is not valid UTF-8; rename it")
        return Candidate(path, status.st_size, status.st_mtime_ns)

    def _is_new(self, status: os.stat_result) -> bool:
        identity = _identity(status)
        is_new = identity not in self._seen
        self._seen.add(identity)
        return is_new


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


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where nobody may look
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _shown(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")
