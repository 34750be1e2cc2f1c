"""How large a request may be, how long it may take, and how many there may be at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from retrieval import Catalog
from retrieval.service.catalogs import Served
from tests.retrieval.service.conftest import StartService
from tests.retrieval.service.wire import Wire, ask

SEARCH = "/v1/catalogs/shop/search"
POST = (f"POST {SEARCH} HTTP/1.1", "Host: localhost", "Content-Type: application/json")
FILTER = b'{"where": "upper=grey"}'


class Held:
    """Searches that last until they are let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    def wait(self) -> None:
        self.begun.release()
        self.go.wait(30)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held, really = Held(), Served.at

    def at(served: Served, cursor: str | None) -> Catalog:
        held.wait()
        return really(served, cursor)

    monkeypatch.setattr(Served, "at", at)
    yield held
    held.go.set()


def metric(client: TestClient, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


# Size


@pytest.mark.parametrize("length", [2**20 + 1, 2**40, 2**63])
def test_too_much_is_refused_before_it_comes(live: Callable[..., str], length: int) -> None:
    reply = ask(live(), *POST, f"Content-Length: {length}")
    assert reply.status == 413
    assert reply.problem["detail"] == "the request is larger than 1,048,576 bytes"
    assert reply.headers["connection"] == "close"


def test_too_much_in_pieces_is_refused_on_the_way(live: Callable[..., str]) -> None:
    with Wire(live()) as wire:
        wire.send(*POST, "Transfer-Encoding: chunked")
        piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
        for _ in range(17):
            wire.socket.sendall(piece)
        assert wire.read().status == 413
        assert wire.is_closed()


def test_a_form_may_be_larger(start: StartService, root: Path) -> None:
    client = start(limits={"body_bytes": 3_000_000})
    small = client.post(f"{SEARCH}/upload", files={"image": bytes(2_000_000)})
    assert small.status_code == 422  # it is no image
    large = client.post(f"{SEARCH}/upload", files={"image": bytes(3_000_000)})
    assert large.status_code == 413


def test_what_brings_images_may_be_larger_still(start: StartService) -> None:
    client = start(limits={"body_bytes": 1_000, "upload_bytes": 100_000})
    for path in ("images", "fields"):
        answer = client.post(f"/v1/catalogs/shop/{path}", content=bytes(10_000))
        assert answer.status_code != 413
        answer = client.post(f"/v1/catalogs/shop/{path}", content=bytes(100_001))
        assert answer.status_code == 413


# Time


def test_a_body_that_trickles_is_not_waited_for(live: Callable[..., str]) -> None:
    with Wire(live(limits={"request_seconds": 0.5})) as wire:
        wire.send(*POST, "Content-Length: 1000", body=b"{")
        reply = wire.read()
        assert reply.status == 408
        assert reply.problem["detail"] == "the request took longer than 0.5 s to arrive"
        assert wire.is_closed()


def test_each_piece_does_not_buy_time(live: Callable[..., str]) -> None:
    with Wire(live(limits={"request_seconds": 0.5})) as wire:
        wire.send(*POST, "Content-Length: 1000")
        began = time.monotonic()
        wire.socket.settimeout(0.1)
        while time.monotonic() - began < 20:
            wire.socket.sendall(b" ")
            try:
                reply = wire.read()
            except TimeoutError:
                continue
            assert reply.status == 408
            return
        pytest.fail("it is still being waited for")


def test_an_answer_that_takes_too_long_is_given_up_but_still_counts(
    start: StartService, held: Held
) -> None:
    client = start(limits={"request_seconds": 0.3, "waiting": 1})
    answer = client.post(SEARCH, content=FILTER, headers={"content-type": "application/json"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["detail"] == "no answer was found within 0.3 s; ask again in a moment"
    assert metric(client, "finetag_requests_working") == 1
    assert client.get("/v1/catalogs").status_code == 503  # there is no room for it
    held.go.set()
    while metric(client, "finetag_requests_working"):
        time.sleep(0.01)
    assert client.get("/v1/catalogs").status_code == 200


def test_the_time_of_the_body_is_not_that_of_the_answer(live: Callable[..., str]) -> None:
    with Wire(live(limits={"request_seconds": 3})) as wire:
        wire.send(*POST, f"Content-Length: {len(FILTER)}", body=FILTER[:-1])
        time.sleep(1)
        wire.socket.sendall(FILTER[-1:])
        assert wire.read().status == 200


def test_what_may_be_large_has_the_time_for_it(live: Callable[..., str]) -> None:
    limits = {"request_seconds": 0.3, "body_bytes": 1_000, "upload_bytes": 4_000}
    with Wire(live(limits=limits)) as wire:
        began = time.monotonic()
        form = "Content-Type: multipart/form-data; boundary=x"
        images = "POST /v1/catalogs/shop/images HTTP/1.1"
        wire.send(images, "Host: localhost", form, "Content-Length: 1000", body=b"--x")
        assert wire.read().status == 408
        assert time.monotonic() - began >= 1.2


# Load


def test_more_than_can_wait_are_turned_away_at_once(live: Callable[..., str], held: Held) -> None:
    address = live(limits={"waiting": 3})
    head = (*POST, f"Content-Length: {len(FILTER)}")
    wires = [Wire(address) for _ in range(3)]
    for wire in wires:
        wire.send(*head, body=FILTER)
        assert held.begun.acquire(timeout=20)
    reply = ask(address, *head, body=FILTER)
    assert reply.status == 503
    assert reply.headers["retry-after"] == "1"
    assert reply.problem["detail"].startswith("the service has too much to do")
    assert ask(address, "GET /healthz HTTP/1.1", "Host: localhost").status == 200
    assert ask(address, "GET /readyz HTTP/1.1", "Host: localhost").status == 200
    held.go.set()
    for wire in wires:
        wire.read()
        wire.socket.close()


def test_health_is_told_also_when_all_threads_are_busy(
    live: Callable[..., str], held: Held
) -> None:
    address = live()
    wires = [Wire(address) for _ in range(20)]
    for wire in wires:
        wire.send(*POST, f"Content-Length: {len(FILTER)}", body=FILTER)
    for _ in range(16):
        assert held.begun.acquire(timeout=20)
    assert ask(address, "GET /healthz HTTP/1.1", "Host: localhost").status == 200
    held.go.set()
    for wire in wires:
        wire.read()
        wire.socket.close()


def test_who_hangs_up_leaves_nothing_behind(
    live: Callable[..., str], held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    address = live(limits={"waiting": 2})
    for _ in range(2):
        with Wire(address) as wire:
            wire.send(*POST, f"Content-Length: {len(FILTER)}", body=FILTER)
            assert held.begun.acquire(timeout=20)
    held.go.set()
    for _ in range(2):  # in the middle of a body
        with Wire(address) as wire:
            wire.send(*POST, "Content-Length: 1000", body=b"{")
    deadline = time.monotonic() + 20
    while ask(address, "GET /v1/catalogs HTTP/1.1", "Host: localhost").status != 200:
        assert time.monotonic() < deadline


def test_who_hangs_up_is_logged_as_gone(
    live: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="finetag")
    with Wire(live()) as wire:
        wire.send(*POST, "Content-Length: 1000", body=b"{")
    deadline = time.monotonic() + 20
    found: list[Any] = []
    while not found and time.monotonic() < deadline:
        found = [each for each in caplog.records if getattr(each, "status", None) == 499]
        time.sleep(0.02)
    assert found


def test_many_at_once_are_all_answered(live: Callable[..., str]) -> None:
    address = live(limits={"waiting": 5})
    head = (*POST, f"Content-Length: {len(FILTER)}")
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: ask(address, *head, body=FILTER), range(100)))
    statuses = {reply.status for reply in replies}
    assert statuses <= {200, 503}
    assert 200 in statuses
    assert ask(address, *head, body=FILTER).status == 200
