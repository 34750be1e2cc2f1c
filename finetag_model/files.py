"""Files that a command writes are complete or not there: written aside, then put in place.

For single files of a size that is written in one go. An index, which must also survive a power
cut, has its own way in `indexer`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from finetag_model.errors import FineTagError


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


@contextmanager
def plain_write_errors(path: Path, advice: str) -> Iterator[None]:
    """Turn what goes wrong with writing a file into one line for users.

    Args:
        path: the file.
        advice: what to do about it.

    Raises:
        FineTagError: the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise FineTagError(f"cannot write {path}: {reason}; {advice}") from None
