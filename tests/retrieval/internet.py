"""An internet of this process alone: names, addresses and servers, reached as the real ones are."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

PUBLIC = "93.184.215.14"
"""An address that strangers may reach."""

Answer = bytes | Callable[[socket.socket], None]
"""What a server sends back: bytes, or a function that sends as it likes."""


def http(
    body: bytes = b"", *headers: str, status: str = "200 OK", length: int | None = None
) -> bytes:
    """Return an answer in HTTP; `length` may be wrong."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {size}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(place: str, status: str = "302 Found") -> bytes:
    return http(b"", f"Location: {place}", status=status)


class Server:
    """A server on this machine that answers every request the same."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place: tuple[str, int] = self._listener.getsockname()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=30)
        assert not self._thread.is_alive(), "the client has not hung up"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with suppress(OSError), connection:
                if self._tls is None:
                    self._reply(connection)
                else:
                    with self._tls.wrap_socket(connection, server_side=True) as secured:
                        self._reply(secured)

    def _reply(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            received = connection.recv(65536)
            if not received:
                return
            request += received
        self.requests.append(request.decode())
        if isinstance(self.answer, bytes):
            connection.sendall(self.answer)
        else:
            self.answer(connection)


class Internet:
    """Replaces the system's resolver and its connections.

    Attributes:
        names: the addresses of each host; a function gives other ones at each look-up.
        servers: what listens at an address, at any port.
        looked_up: the names that were resolved, in order.
        connected: the addresses and ports that connections were made to, in order.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, list[str] | Callable[[], list[str]]] = {}
        self.servers: dict[str, Server] = {}
        self.looked_up: list[str] = []
        self.connected: list[tuple[str, int]] = []
        self._resolve = socket.getaddrinfo
        self._connect = socket.create_connection
        patch.setattr(socket, "getaddrinfo", self._getaddrinfo)
        patch.setattr(socket, "create_connection", self._create_connection)

    def serve(
        self, name: str, address: str, answer: Answer, tls: ssl.SSLContext | None = None
    ) -> Server:
        """Let a host have an address, and a server there."""
        self.names[name] = [address]
        self.servers[address] = Server(answer, tls)
        return self.servers[address]

    def close(self) -> None:
        for server in self.servers.values():
            server.close()

    def _getaddrinfo(self, host: str, port: int, *rest: Any, **options: Any) -> list[Any]:
        # Numbers in any of their forms are for the system to read.
        if re.fullmatch(r"[0-9.]+|0x[0-9a-f.x]+|[0-9a-f:.]*:[0-9a-f:.]*", host):
            return self._resolve(host, port, *rest, **options)
        self.looked_up.append(host)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        known = self.names[host]
        return [
            found
            for address in (known() if callable(known) else known)
            for found in self._resolve(address, port, *rest, **options)
        ]

    def _create_connection(
        self, place: tuple[str, int], timeout: float | None = None, **_: Any
    ) -> socket.socket:
        self.connected.append(place)
        if place[0] not in self.servers:
            raise OSError("no route to host")
        return self._connect(self.servers[place[0]].place, timeout)
