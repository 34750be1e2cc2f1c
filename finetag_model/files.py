"""Files that a command writes are complete or not there: written aside, then put in place.

For single files of a size that is written in one go. An index, which must also survive a power
cut, has its own way in `indexer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; at the end it replaces `path` in one step.

    Whatever goes wrong on the way, the old file stays and nothing is left beside it.

    Raises:
        OSError: what was written cannot be put in place.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
