"""One build at a time: an advisory lock on a file, released by the system if a build dies.

Readers need no lock. POSIX only.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finetag_model.errors import CatalogueError
from indexer.layout import LOCK


@contextmanager
def build_lock(index_dir: Path) -> Iterator[None]:
    """Hold the right to change an index.

    Raises:
        CatalogueError: another build holds it.
    """
    with (index_dir / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CatalogueError(
                f"another build of the index {index_dir} is running; wait until it has finished"
            ) from None
        yield
