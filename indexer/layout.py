"""Where everything lies in an index folder, and how it is kept tidy.

Not what the files hold: `store` knows the database, `generation` the rest.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from finetag_model.errors import CatalogueError

SCHEMA_VERSION = 1
"""Of the database and the generation files together; an index of another one is refused."""

INDEX_NAME = ".finetag"
DATABASE = "catalogue.db"
LOCK = "lock"
GENERATIONS = "generations"
_OURS = {DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal", LOCK, GENERATIONS}


def generation_dir(index_dir: Path, number: int) -> Path:
    """Return the folder of a published generation."""
    return index_dir / GENERATIONS / str(number)


def partial_dir(index_dir: Path, number: int) -> Path:
    """Return the folder in which a generation is written before it is published."""
    return index_dir / GENERATIONS / f".{number}.partial"


def prepare(index_dir: Path) -> None:
    """Make the folder of a new index, or accept that of an existing one.

    Raises:
        CatalogueError: the folder holds something else.
        OSError: it cannot be made.
    """
    if index_dir.exists() and not index_dir.is_dir():
        raise CatalogueError(f"{index_dir} is a file; name a folder for the index with --index")
    index_dir.mkdir(parents=True, exist_ok=True)
    foreign = sorted({path.name for path in index_dir.iterdir()} - _OURS)
    if foreign and not (index_dir / DATABASE).exists():
        raise CatalogueError(
            f"{index_dir} is not an index (it holds {foreign[0]!r}); "
            "name a new or empty folder with --index"
        )
    (index_dir / GENERATIONS).mkdir(exist_ok=True)


def sweep(index_dir: Path, keep: int | None) -> None:
    """Remove what killed builds left behind and all generations but one.

    A folder that cannot be removed now is tried again by the next build.
    """
    for path in (index_dir / GENERATIONS).iterdir():
        if path.name != str(keep) and re.fullmatch(r"\d+|\.\d+\.partial", path.name):
            shutil.rmtree(path, ignore_errors=True)


def fsync(path: Path) -> None:
    """Wait until a file or folder is on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
