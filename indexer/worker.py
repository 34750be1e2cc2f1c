"""The process in which files are read and decoded; the other end is `readers`.

Started as `python -m indexer.worker FD`, FD being its end of a pipe. It says that it is ready.
For each (path, bytes, side of the picture) it is sent it answers with the hash of the content, is
told whether the picture is wanted, and answers with that. A decoder that hangs or crashes takes
this process with it, and no more.
"""

from __future__ import annotations

import hashlib
import resource
import signal
import sys
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter

from finetag_model.errors import ImageError
from indexer.decode import read_bytes, read_picture
from indexer.scan import reason_of

MEMORY = 6 << 30
"""Bytes of address space a worker may use, far more than any picture within the limits takes."""

Answer = tuple[object, float]
"""What was asked for, or the reason (a str) why there is none; and the seconds it took."""


def main() -> None:
    """Serve until the other end is closed."""
    connection = Connection(int(sys.argv[1]))
    # Whoever is interrupted, this process ends when its pipe does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")  # Pillow's, of odd metadata
    connection.send(None)
    while True:
        try:
            path, size, side = connection.recv()
            _serve(connection, Path(path), size, side)
        except (EOFError, OSError):  # nobody is there any more
            return


def _serve(connection: Connection, path: Path, size: int, side: int) -> None:
    start = perf_counter()
    try:
        data = read_bytes(path, size)
    except (ImageError, OSError, MemoryError) as error:
        connection.send((_reason(error), perf_counter() - start))
        return
    digest = hashlib.sha256(data).digest()
    connection.send((digest, perf_counter() - start))
    if not connection.recv():
        return
    start = perf_counter()
    try:
        picture: object = read_picture(data, side)
    except (ImageError, MemoryError) as error:
        picture = _reason(error)
    connection.send((picture, perf_counter() - start))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return reason_of(error)
    return str(error) or "it takes too much memory"


if __name__ == "__main__":
    main()
