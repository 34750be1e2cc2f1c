"""Where everything lies in an index folder, and which generation is the current one.

Not what the files hold: `database` knows the database, `generation` the rest. The file
`current` names the generation that readers open and the checksum of its manifest, which in
turn holds the checksums of the generation's other files.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from finetag_model.errors import CatalogueError
from finetag_model.files import replacing

BUILD = "finetag-index build CATALOGUE"
REPAIR = "finetag-index repair"

INDEX_NAME = ".finetag"
DATABASE = "catalogue.db"
SEAL = "catalogue.db.sha256"
DAMAGED = "catalogue.db.damaged"
SETTINGS = "index.json"
CURRENT = "current"
LOCK = "lock"
GENERATIONS = "generations"
_OURS = {DATABASE, SEAL, DAMAGED, SETTINGS, CURRENT, LOCK, GENERATIONS}
_OURS |= {f"{DATABASE}{suffix}" for suffix in ("-wal", "-shm", "-journal")}


def is_index(folder: Path) -> bool:
    """Say whether a folder is an index, finished or not."""
    return any((folder / name).is_file() for name in (SETTINGS, DATABASE, CURRENT))


def generation_dir(index_dir: Path, number: int) -> Path:
    """Return the folder of a published generation."""
    return index_dir / GENERATIONS / str(number)


def partial_dir(index_dir: Path, number: int) -> Path:
    """Return the folder in which a generation is written before it is published."""
    return index_dir / GENERATIONS / f".{number}.partial"


@dataclass(frozen=True)
class Pointer:
    """What the file `current` says.

    Attributes:
        generation: the number of the generation to open.
        manifest: SHA-256 of its manifest file, hexadecimal.
    """

    generation: int
    manifest: str

    @classmethod
    def read(cls, index_dir: Path) -> Pointer | None:
        """Read the file; None if there is none, since no build was ever finished.

        Raises:
            ValueError: the file is damaged.
        """
        try:
            text = (index_dir / CURRENT).read_bytes()
        except FileNotFoundError:
            return None
        match = re.fullmatch(rb"([1-9]\d{0,17}) ([0-9a-f]{64})\n", text)
        if match is None:
            raise ValueError(f"the file {CURRENT} cannot be read")
        return cls(int(match[1]), match[2].decode())

    def write(self, index_dir: Path) -> None:
        """Make readers open this generation from now on, by one atomic replace."""
        write_durably(index_dir / CURRENT, f"{self.generation} {self.manifest}\n".encode())


def prepare(index_dir: Path) -> None:
    """Make the folder of a new index, or accept that of an existing one.

    Raises:
        CatalogueError: the folder holds something else.
        OSError: it cannot be made.
    """
    if index_dir.exists() and not index_dir.is_dir():
        raise CatalogueError(f"{index_dir} is a file; name a folder for the index with --index")
    index_dir.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in index_dir.iterdir()}
    foreign = sorted(name for name in names - _OURS if not name.endswith(".partial"))
    if foreign and not is_index(index_dir):
        raise CatalogueError(
            f"{index_dir} is not an index (it holds {foreign[0]!r}); "
            "name a new or empty folder with --index"
        )
    (index_dir / GENERATIONS).mkdir(exist_ok=True)


def sweep(index_dir: Path, keep: Collection[int | None]) -> None:
    """Remove what killed builds left behind, and the generations that nobody needs.

    A generation that a reader holds open, or that cannot be removed, is tried again next time.
    """
    kept = {str(number) for number in keep}
    for path in (index_dir / GENERATIONS).iterdir():
        if path.name not in kept and re.fullmatch(r"\d+|\.\d+\.partial", path.name):
            _remove(path)


def hold(file: int) -> None:
    """Keep a generation from being swept for as long as its open manifest file is.

    A file system without locks does without: nothing is swept there either.

    Raises:
        ValueError: it is being swept at this moment.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError("the generation is being removed") from None
    except OSError:
        return


def _remove(generation: Path) -> None:
    try:
        file = os.open(generation / "manifest.json", os.O_RDONLY)
    except OSError:  # half-written: nobody has it open
        shutil.rmtree(generation, ignore_errors=True)
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(generation, ignore_errors=True)
    except OSError:
        return
    finally:
        os.close(file)


def write_durably(path: Path, data: bytes) -> None:
    """Write a small file that is the old or the new one, complete, even after a power cut."""
    with replacing(path) as partial:
        partial.write_bytes(data)
        fsync(partial)
    fsync(path.parent)


def damaged(index_dir: Path, what: object) -> CatalogueError:
    """Return the error that says what is damaged, and how to mend it."""
    return CatalogueError(f"the index {index_dir} is damaged: {what}; mend it with '{REPAIR}'")


def current_pointer(index_dir: Path) -> Pointer:
    """Return what the file `current` says, for a reader.

    Raises:
        CatalogueError: there is no index, or it is damaged or was never finished.
    """
    try:
        pointer = Pointer.read(index_dir)
    except ValueError as error:
        raise damaged(index_dir, error) from error
    except OSError as error:
        raise CatalogueError(
            f"cannot read the index {index_dir}: {(error.strerror or str(error)).lower()}"
        ) from error
    if pointer is not None:
        return pointer
    if is_index(index_dir):
        raise CatalogueError(
            f"the index {index_dir} was never finished, or is of an earlier FineTag; run '{BUILD}'"
        )
    raise CatalogueError(f"there is no index in {index_dir}; make one with '{BUILD}'")


def fsync(path: Path) -> None:
    """Wait until a file or folder is on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
