"""Files read and decoded by processes of their own, several at a time, ahead of the network.

A file whose decoding hangs or crashes costs one process, which is replaced; the file is
quarantined with the reason. The processes are kept for the next build in the same program.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from queue import Empty, SimpleQueue

from finetag_model.ahead import ahead
from finetag_model.errors import FineTagError
from indexer.decode import Picture
from indexer.scan import Candidate
from indexer.worker import Answer

TIMEOUT = 60.0
"""Seconds that reading or decoding one file may take."""
START_TIMEOUT = 60.0
"""Seconds that a process may take until it is ready."""


@dataclass(frozen=True)
class Content:
    """What was found in a candidate file; times are in seconds.

    Attributes:
        hash: SHA-256 of the bytes, hexadecimal; None if they could not be read.
        picture: None if it was not wanted, or if there is a problem.
        problem: why the file cannot be indexed, or None.
        quarantined: whether it hung or crashed its reader.
    """

    candidate: Candidate
    hash: str | None
    picture: Picture | None
    problem: str | None
    quarantined: bool
    hashing: float
    decoding: float


def read_all(
    root: Path, candidates: Iterable[Candidate], size: int, wanted: Callable[[bytes], bool]
) -> Generator[Content]:
    """Read candidates in their order, at most a fixed number ahead of the caller.

    Args:
        root: the catalogue folder.
        candidates: the files to read.
        size: side in pixels of the pictures made.
        wanted: asked, in several threads, whether the picture of a content is needed, given
            its SHA-256 of 32 bytes.
    """

    def read(candidate: Candidate) -> Content:
        reader = _take()
        content = reader.read(root, candidate, size, wanted)
        _idle.put(reader)
        return content

    return ahead(read, candidates)


class _Reader:
    """A worker process, started when first needed, and again after it died.

    One that was ended between two files, as the system does when memory is short, costs no file.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def read(
        self, root: Path, candidate: Candidate, size: int, wanted: Callable[[bytes], bool]
    ) -> Content:
        digest: str | None = None
        hashing = decoding = 0.0
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._start()
        try:
            self._send((str(root / candidate.path), candidate.bytes, size))
            answer, hashing = self._receive(TIMEOUT)
            if not isinstance(answer, bytes):
                return Content(candidate, None, None, str(answer), False, hashing, 0.0)
            digest = answer.hex()
            is_wanted = wanted(answer)
            self._send(is_wanted)
            if not is_wanted:
                return Content(candidate, digest, None, None, False, hashing, 0.0)
            answer, decoding = self._receive(TIMEOUT)
            if not isinstance(answer, Picture):
                return Content(candidate, digest, None, str(answer), False, hashing, decoding)
            return Content(candidate, digest, answer, None, False, hashing, decoding)
        except TimeoutError:
            problem = f"reading it took more than {TIMEOUT:.0f} s"
        except (EOFError, OSError):
            problem = "reading it crashed the decoder"
        self.stop()
        return Content(candidate, digest, None, problem, True, hashing, decoding)

    def _send(self, message: object) -> None:
        self._connection.send(message)

    def _receive(self, timeout: float) -> Answer:
        if not self._connection.poll(timeout):
            raise TimeoutError
        answer: Answer = self._connection.recv()
        return answer

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        # Not multiprocessing's processes: these would run the caller's main module again.
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "indexer.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            process_group=0,  # Ctrl-C is for the build, which tells these when it has finished
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        theirs.close()
        try:
            self._receive(START_TIMEOUT)
        except (EOFError, OSError) as error:
            self.stop()
            raise FineTagError(
                f"the decoding process does not start: {sys.executable} -m indexer.worker"
            ) from error

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._connection.close()
            self._process = None


_all: list[_Reader] = []
_idle: SimpleQueue[_Reader] = SimpleQueue()


def _take() -> _Reader:
    try:
        return _idle.get_nowait()
    except Empty:
        reader = _Reader()
        _all.append(reader)
        return reader


@atexit.register
def _stop_all() -> None:
    for reader in _all:
        reader.stop()
