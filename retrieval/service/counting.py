"""The folder into which the worker processes of a service count; `metrics` adds up what is in it.

Set up before prometheus_client is imported by anything, which then takes its place from the
environment. Nothing here needs the extra `serve`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finetag_model.files import plain_write_errors

_METRICS = re.compile(r"metrics-([0-9]+)")


@contextmanager
def counting_together(state: Path) -> Iterator[None]:
    """Let the worker processes that are started count into one folder, which is gone at the end.

    Raises:
        FineTagError: the folder cannot be made.
    """
    folder = state / f"metrics-{os.getpid()}"
    with plain_write_errors(folder, "make room, or name another folder with --state"):
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in state.iterdir():  # of services that were killed
            pid = _METRICS.fullmatch(left.name)
            if pid is not None and (left == folder or not _is_running(int(pid[1]))):
                shutil.rmtree(left, ignore_errors=True)
        folder.mkdir(mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]
        shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
