"""Makes the system refuse what it refuses to nobody who is root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def cannot_list(folder: Path, number: int) -> Iterator[None]:
    """Make listing a folder fail with the error of that number."""
    scandir = os.scandir

    def scan(path: Any) -> Any:
        if isinstance(path, str) and Path(path) == folder:
            raise OSError(number, os.strerror(number), path)
        return scandir(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", scan)
        yield
