"""Files of jobs: what clients sent, kept until the job has ended; and the lock of who does jobs.

They lie below `<state>/jobs`: a folder for each job, and a lock for each catalogue. Names come
from here alone.
"""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from finetag_model.files import replacing
from indexer.layout import fsync

_ABANDONED_SECONDS = 60 * 60  # after which a folder without a job is nobody's


def folder_of(state: Path, job: str) -> Path:
    """Return the folder of a job's files."""
    return state / "jobs" / job


def lock_of(state: Path, catalog: str) -> Path:
    """Return the file that whoever does a catalogue's jobs holds a lock on."""
    return state / "jobs" / f"{catalog}.lock"


def keep(path: Path, data: bytes | BinaryIO) -> None:
    """Write a file that is complete or not there, and on the disk itself.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with replacing(path) as partial:
        with partial.open("wb") as file:
            shutil.copyfileobj(io.BytesIO(data) if isinstance(data, bytes) else data, file)
        fsync(partial)


def discard(state: Path, job: str) -> None:
    """Remove the files of a job."""
    shutil.rmtree(folder_of(state, job), ignore_errors=True)


def discard_abandoned(state: Path, jobs: Collection[str]) -> None:
    """Remove what requests that were killed have left, and all other jobs' but these."""
    for path in (state / "jobs").iterdir():
        try:
            is_old = path.stat().st_mtime < time.time() - _ABANDONED_SECONDS
        except FileNotFoundError:  # another process was quicker
            continue
        if path.is_dir() and path.name not in jobs and is_old:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def locked(path: Path, patience: float = 0.0) -> Iterator[bool]:
    """Hold a lock for a block, if it is free within some seconds; say whether it is held.

    The system frees it if the process dies.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    until = time.monotonic() + patience
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    yield False
                    return
                time.sleep(0.05)
            else:
                yield True
                return
    finally:
        os.close(file)
