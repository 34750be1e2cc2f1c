"""One writer at a time: an advisory lock on a file, released by the system if a writer dies.

Readers need no lock. POSIX only.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finetag_model.errors import InUse
from indexer.layout import LOCK


@contextmanager
def writer_lock(index_dir: Path) -> Iterator[None]:
    """Hold the right to change an index.

    Raises:
        InUse: another process (or thread) holds it.
    """
    descriptor = os.open(index_dir / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InUse(
            f"another command is changing the index {index_dir}; "
            "wait until it has finished, and run this one again"
        ) from None
    finally:
        os.close(descriptor)
