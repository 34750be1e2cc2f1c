"""A service as its command starts it, for the pages whose examples need one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from finetag_model.drawn import write_catalogue
from tests.pages import run_well

ADDRESS = "http://127.0.0.1:8000"
"""Of the service, on the pages."""


@dataclass(frozen=True)
class Example:
    """A folder with `catalog/`, its index `.finetag` and `query.jpg`, and the service's address."""

    folder: Path
    address: str


@contextmanager
def serving(folder: Path) -> Iterator[Example]:
    """Have the command serve an index of drawn birds."""
    write_catalogue(folder / "catalog", count=12, seed=3)
    shutil.copy(folder / "catalog" / "bird-0001.jpg", folder / "query.jpg")
    run_well("finetag-index build catalog/", folder)
    port = free_port()
    with running(f"finetag-serve --port {port} --state state", folder, port):
        yield Example(folder, f"http://127.0.0.1:{port}")


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@contextmanager
def running(line: str, folder: Path, port: int) -> Iterator[None]:
    """Run a server in a folder from when it listens, and as long as it is needed."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "server.log").open("ab") as log:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {line}"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 60
        while not _is_listening(port):
            told = (folder / "server.log").read_text()
            assert server.poll() is None, told
            assert time.monotonic() < deadline, told
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait(timeout=30)


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionError:
        return False
    return True
