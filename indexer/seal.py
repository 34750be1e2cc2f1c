"""The checksum of the SQLite file while nobody writes: it tells of bits that changed by themselves.

SQLite finds damage to its own structure, but not in the texts and numbers it holds. While a
command writes, and after one was killed, there is no seal, and the rows are compared instead.
PostgreSQL looks after its own files.
"""

from __future__ import annotations

from pathlib import Path

from indexer.layout import DATABASE, SEAL, write_durably
from indexer.manifest import Checksum


def break_seal(index_dir: Path) -> None:
    """Say that the database may change from now on."""
    (index_dir / SEAL).unlink(missing_ok=True)


def is_at_rest(index_dir: Path) -> bool:
    """Say whether nobody has the database open: then the file is all of it, and stays as it is."""
    return not (index_dir / f"{DATABASE}-wal").exists()


def seal(index_dir: Path) -> None:
    """Say that the database is complete and at rest; all connections to it are closed.

    A seal that is there was not broken, so nothing has changed.
    """
    if (index_dir / SEAL).exists():
        return
    checksum = Checksum.of(index_dir / DATABASE)
    write_durably(index_dir / SEAL, f"{checksum.sha256}\n".encode())


def is_intact(index_dir: Path) -> bool | None:
    """Say whether the database is what it was when it was sealed; None if it is not sealed."""
    try:
        sealed = (index_dir / SEAL).read_bytes()
        return sealed == f"{Checksum.of(index_dir / DATABASE).sha256}\n".encode()
    except FileNotFoundError:
        return None if (index_dir / DATABASE).exists() else False
