"""Runs a service on a port of its own, in a thread of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from retrieval.service.app import create
from retrieval.service.server import uvicorn_options
from retrieval.service.settings import Settings


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """Serve until the context ends; gives the address."""
    told = {"log_config": None, "access_log": None, "timeout_graceful_shutdown": 5}
    options = uvicorn_options("json") | told
    config = uvicorn.Config(create(settings), port=0, lifespan="on", **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.02)
    host, port = server.servers[0].sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=30)
