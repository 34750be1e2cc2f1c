"""Connections that are slow, never end, or speak something that only looks like HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.retrieval.service.wire import Wire, ask

LIST = ("GET /v1/catalogs HTTP/1.1", "Host: localhost")
POST = (
    "POST /v1/catalogs/shop/search HTTP/1.1",
    "Host: localhost",
    "Content-Type: application/json",
)
FILTER = b'{"where": "upper=grey"}'


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_SECONDS", "LINGER_SECONDS", "TAKE_SECONDS"):
        monkeypatch.setattr(f"retrieval.service.connections.{name}", 0.5)


# Heads


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("start", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: local", b"\r\n\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(
    live: Callable[..., str], start: bytes
) -> None:
    with Wire(live()) as wire:
        wire.socket.sendall(start)
        reply = wire.read()
        assert reply.status == 408
        assert reply.problem["detail"] == "the head of a request must arrive within 0.5 s"
        assert wire.is_closed()


@pytest.mark.usefixtures("hasty")
def test_a_head_that_trickles_is_not_waited_for(live: Callable[..., str]) -> None:
    with Wire(live()) as wire:
        assert wire.is_cut_off(b"X")


@pytest.mark.usefixtures("hasty")
def test_a_second_head_that_trickles_is_not_waited_for(live: Callable[..., str]) -> None:
    with Wire(live()) as wire:
        wire.send(*LIST)
        assert wire.read().status == 200
        wire.socket.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert wire.read().status == 408
        assert wire.is_closed()


@pytest.mark.parametrize(
    "piece", [b"a" * 65536, b"X: y\r\n" * 10_000, b"X" * 60_000 + b": y\r\n"], ids=[1, 2, 3]
)
@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_head_without_end_is_refused(
    live: Callable[..., str], start: bytes, piece: bytes
) -> None:
    with Wire(live()) as wire:
        wire.socket.sendall(start)
        assert wire.is_cut_off(piece, pause=0)


def test_too_large_a_head_is_told(live: Callable[..., str]) -> None:
    with Wire(live()) as wire:
        wire.socket.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 65536)
        assert wire.read().status == 431


def test_there_are_only_so_many_connections(
    live: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.service.connections.MOST_CONNECTIONS", 3)
    address = live()
    wires = [Wire(address) for _ in range(3)]
    for wire in wires:
        wire.send(*LIST)
        assert wire.read().status == 200
    with Wire(address) as wire:
        assert wire.read().status == 503
        assert wire.is_closed()
    wires.pop().socket.close()
    deadline = time.monotonic() + 20
    while ask(address, *LIST).status == 503:
        assert time.monotonic() < deadline
    for wire in wires:
        wire.socket.close()


# Requests in requests

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
ZERO = b"0\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 5", "Content-Length: 5"),
        ("Content-Length: 5, 5",),
        ("Content-Length: +5",),
        ("Content-Length: -5",),
        ("Content-Length: 0x5",),
        ("Content-Length: 5 5",),
        ("Content-Length: 99999999999999999999999999",),
        ("Content-Length:",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: \x0bchunked",),
        (" Transfer-Encoding: chunked",),
        ("X: y\nTransfer-Encoding: chunked",),
        ("X: y\rTransfer-Encoding: chunked",),
        ("X: y\x00",),
        ("X\x00: y",),
    ],
    ids=repr,
)
def test_two_ways_to_read_a_request_are_none(
    live: Callable[..., str], headers: tuple[str, ...]
) -> None:
    with Wire(live()) as wire:
        wire.send(*POST, *headers, body=ZERO + SMUGGLED)
        assert wire.read().status == 400
        assert wire.is_closed()


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n",
        b"-1\r\n",
        b"ffffffffffffffffff\r\n",
        b"1\r\nab\r\n",
        b"1\nab",
        b"5\r\n" + FILTER[:4] + b"\r\n",
    ],
)
def test_chunks_that_are_none(live: Callable[..., str], body: bytes) -> None:
    with Wire(live()) as wire:
        wire.send(*POST, "Transfer-Encoding: chunked", body=body + ZERO)
        assert wire.read().status == 400
        assert wire.is_closed()


def test_two_requests_in_one_piece_are_two(live: Callable[..., str]) -> None:
    head = "\r\n".join([*POST, f"Content-Length: {len(FILTER)}", "", ""]).encode()
    with Wire(live()) as wire:
        wire.socket.sendall((head + FILTER) * 2)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 2:
            received += wire.socket.recv(65536)


@pytest.mark.parametrize(
    "line",
    [
        "GET",
        "GET /v1/catalogs HTTP/9.9",
        "get /v1/catalogs HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT localhost:80 HTTP/1.1",
        "GET /\xff HTTP/1.1",
        "GET / HTTP/1.1 ",
        "PRI * HTTP/2.0",
        "\x16\x03\x01\x02\x00\x01",
    ],
    ids=repr,
)
def test_lines_that_ask_for_nothing(live: Callable[..., str], line: str) -> None:
    with Wire(live()) as wire:
        wire.send(line, "Host: localhost")
        assert 400 <= wire.read().status < 500


def test_an_upgrade_is_not_made(live: Callable[..., str]) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    reply = ask(live(), *LIST, *upgrade, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    assert reply.status == 200


def test_an_id_adds_no_header(live: Callable[..., str]) -> None:
    reply = ask(live(), *LIST, "X-Request-ID: a%0d%0aSet-Cookie: x=1")
    assert "set-cookie" not in reply.headers
    assert reply.headers["x-request-id"].isalnum()


# What comes too late, or is not taken


@pytest.mark.usefixtures("hasty")
def test_what_follows_an_early_answer_is_not_read_for_ever(live: Callable[..., str]) -> None:
    with Wire(live()) as wire:
        wire.send(*POST, "Content-Length: 100000000")
        assert wire.read().status == 413
        assert wire.is_cut_off(b"x")


@pytest.mark.usefixtures("hasty")
def test_a_body_nobody_asked_for_is_not_read_for_ever(live: Callable[..., str]) -> None:
    with Wire(live()) as wire:
        wire.send(*LIST, "Content-Length: 1000000")
        assert wire.read().status == 200
        assert wire.is_cut_off(b"x")


@pytest.mark.usefixtures("hasty")
def test_an_answer_that_is_not_taken_is_thrown_away(
    live: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.service.decoding.Decoder.jpeg", lambda *_: bytes(50_000_000))
    address = live(limits={"waiting": 2, "per_minute": 0})
    thumbnail = "GET /v1/catalogs/shop/images/1/thumbnail HTTP/1.1"
    wires = [Wire(address) for _ in range(3)]
    for wire in wires:
        wire.send(thumbnail, "Host: localhost", body=b"")
        wire.send(thumbnail, "Host: localhost", body=b"")
    deadline = time.monotonic() + 20
    while ask(address, *LIST).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for wire in wires:
        wire.socket.close()


def test_a_connection_serves_many(live: Callable[..., str]) -> None:
    with Wire(live()) as wire:
        for _ in range(20):
            wire.send(*POST, f"Content-Length: {len(FILTER)}", body=FILTER)
            reply = wire.read()
            assert json.loads(reply.body)["hits"]
