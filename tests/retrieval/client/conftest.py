"""Both kinds of client, on the service of `tests/retrieval/service` or on a scripted server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.clients import KINDS, Scripted, Step, connected
from tests.retrieval.service.conftest import live, make_settings, service_index

__all__ = ["live", "make_settings", "service_index"]


@pytest.fixture(params=KINDS)
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Return a function that connects a client to an address; options are those of `Client`."""
    with ExitStack() as stack:
        yield lambda address, **options: stack.enter_context(
            connected(request.param, address, **options)
        )


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Scripted]]:
    """Return a function that starts a server of some steps; clients do not wait long for it."""
    monkeypatch.setattr("retrieval.client.retries.FIRST_PAUSE", 0.01)
    with ExitStack() as stack:

        def start(*steps: Step) -> Scripted:
            server = Scripted(*steps)
            stack.callback(server.close)
            return server

        yield start
