"""The service over the small real index of `tests/retrieval`, in this process or on a port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient

from indexer import build
from retrieval.service.app import create
from retrieval.service.server import uvicorn_options
from retrieval.service.settings import Settings

StartService = Callable[..., TestClient]


@pytest.fixture
def service_index(shared: Path, root: Path, color_embedder: Any) -> Path:
    folder = shared / "index-service"
    if not folder.exists():
        build(root, folder, color_embedder)
    return folder


@pytest.fixture
def make_settings(
    service_index: Path, tmp_path: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Settings]:
    """Return settings for the catalogue `shop`, with the colour model in place of the shipped."""
    monkeypatch.setattr("retrieval.service.service.load_embedder", lambda *_: color_embedder)

    def make(**changed: Any) -> Settings:
        told = {"catalogs": {"shop": service_index}, "state": tmp_path / "state", **changed}
        return Settings(**told)

    return make


@pytest.fixture
def start(make_settings: Callable[..., Settings]) -> Iterator[StartService]:
    """Start a service in this process, with settings of choice; the client calls it."""
    with ExitStack() as stack:

        def started(**changed: Any) -> TestClient:
            app = create(make_settings(**changed))
            return stack.enter_context(
                TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
            )

        yield started


@pytest.fixture
def client(start: StartService) -> TestClient:
    return start()


@pytest.fixture
def live(make_settings: Callable[..., Settings]) -> Iterator[Callable[..., str]]:
    """Start a service on a port of its own, with settings of choice; returns its address."""
    stops: list[Callable[[], None]] = []

    def started(**changed: Any) -> str:
        config = uvicorn.Config(
            create(make_settings(**changed)),
            port=0,
            **uvicorn_options("json")
            | {"log_config": None, "access_log": None, "timeout_graceful_shutdown": 5},
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()

        def stop() -> None:
            server.should_exit = True
            thread.join(timeout=30)

        stops.append(stop)
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            time.sleep(0.02)
        host, port = server.servers[0].sockets[0].getsockname()
        return f"http://{host}:{port}"

    yield started
    for stop in stops:
        stop()
