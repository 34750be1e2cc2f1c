"""The two clients of the service behind one face, and a server that answers as it is told."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from retrieval.client import AsyncClient, Client

KINDS = ("sync", "async")


class Blocking:
    """An AsyncClient that is called as a Client is; the event loop is in a thread."""

    def __init__(self, client: AsyncClient, portal: BlockingPortal) -> None:
        self._client, self._portal = client, portal

    def __repr__(self) -> str:
        return repr(self._client)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def called(*args: Any, **options: Any) -> Any:
            if inspect.isasyncgenfunction(found):
                return self._items(found(*args, **options))
            return self._portal.call(lambda: found(*args, **options))

        return called

    def _items(self, made: Any) -> Iterator[Any]:
        while True:
            try:
                item = self._portal.call(made.__anext__)
            except StopAsyncIteration:
                return
            yield item


@contextmanager
def connected(kind: str, address: str, **options: Any) -> Iterator[Any]:
    """Connect a client of either kind; both are called as `Client` is."""
    if kind == "sync":
        with Client(address, **options) as client:
            yield client
        return
    with start_blocking_portal() as portal:
        client = portal.call(lambda: _made(address, **options))
        yield Blocking(client, portal)
        portal.call(client.close)


async def _made(address: str, **options: Any) -> AsyncClient:
    return AsyncClient(address, **options)


Step = Callable[[BaseHTTPRequestHandler], None]


class Scripted:
    """A server that takes a step for each request, the last one ever after; it keeps them all."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                scripted.bodies.append(self.rfile.read(length))
                scripted.paths.append(self.path)
                scripted.headers.append({k.lower(): v for k, v in self.headers.items()})
                step = scripted.steps.pop(0) if len(scripted.steps) > 1 else scripted.steps[0]
                step(self)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def answers(status: int, body: bytes | str = b"", **headers: str) -> Step:
    """Answer with a status, a body and headers, `_` for each `-`."""
    data = body.encode() if isinstance(body, str) else body

    def step(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return step


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without a word."""
    handler.close_connection = True


def stops_midway(handler: BaseHTTPRequestHandler) -> None:
    """Promise more than is sent."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"{")
    handler.close_connection = True
