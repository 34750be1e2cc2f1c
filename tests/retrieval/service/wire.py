"""HTTP by hand, for what no well-behaved client sends."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """What came until the server hung up, or the first answer was complete."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> Any:
        assert self.headers["content-type"] == "application/problem+json"
        return json.loads(self.body)


class Wire:
    """A connection to a service."""

    def __init__(self, address: str) -> None:
        place = urlsplit(address)
        self.socket = socket.create_connection((place.hostname, place.port), timeout=20)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *lines: str, body: bytes = b"") -> None:
        """Send a head and what follows it."""
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def is_cut_off(self, piece: bytes, pause: float = 0.02) -> bool:
        """Send a piece again and again, and say whether the server hangs up."""
        try:
            for _ in range(1000):
                self.socket.sendall(piece)
                time.sleep(pause)
        except ConnectionError:
            return True
        return False

    def is_closed(self) -> bool:
        """Wait until the server hangs up."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True

    def read(self) -> Reply:
        """Read one answer."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        while len(body) < int(headers.get("content-length", 0)):
            body += self._more()
        return Reply(int(first.split(" ")[1]), headers, body)

    def _more(self) -> bytes:
        received = self.socket.recv(65536)
        assert received, "the server hung up without an answer"
        return received


def ask(address: str, *lines: str, body: bytes = b"") -> Reply:
    """Send one request and read its answer."""
    with Wire(address) as wire:
        wire.send(*lines, body=body)
        return wire.read()
