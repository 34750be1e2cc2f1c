"""Clients before a server that is busy, slow, broken or hostile."""

from __future__ import annotations

import logging
import pickle
import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from finetag_model.errors import UsageError
from retrieval.client import Busy, NotAllowed, ServiceError, Unreachable
from tests.clients import Scripted, answers, hangs_up, stops_midway

KEY = "ft_0123456789abcdefghij"
FOUND = (
    '{"hits": [], "total": 0, "where": [], "filter": "", "plan": "exact", "exact": true, '
    '"recall": 1, "reason": "none", "generation": 1, "milliseconds": {}, "next": null, '
    '"facets": [], "of_a_later_version": 1}'
)
KEPT = '{"token": "AAAAAAAAAAAAAAAAAAAAAA", "width": 1, "height": 1, "expires": 1800000000}'
BUSY = '{"title": "Busy", "status": 429, "detail": "too much", "request_id": "r1", "errors": []}'

Start = Callable[..., Scripted]
Connect = Callable[..., Any]


@pytest.mark.parametrize(
    "step",
    [answers(503), answers(429, BUSY), answers(503, "<html>"), hangs_up, stops_midway],
    ids=["503", "429", "html", "hang-up", "cut short"],
)
def test_a_search_is_sent_again(scripted: Start, connect: Connect, step: Any) -> None:
    server = scripted(step, step, answers(200, FOUND))
    assert connect(server.address).search(b"image", where="a=b").total == 0
    assert len(server.paths) == 3
    assert server.bodies[0].count(b"image") >= 1
    assert len({len(body) for body in server.bodies}) == 1


def test_it_is_sent_a_few_times_only(scripted: Start, connect: Connect) -> None:
    server = scripted(answers(429, BUSY))
    with pytest.raises(Busy, match=r"^too much$") as caught:
        connect(server.address).search(where="a=b")
    assert len(server.paths) == 3
    assert (caught.value.status, caught.value.request_id) == (429, "r1")
    assert caught.value.retry_after is None
    with pytest.raises(Busy):
        connect(server.address, retries=0).catalog()
    assert len(server.paths) == 4


@pytest.mark.parametrize("step", [answers(503), answers(429, BUSY), hangs_up])
def test_what_changes_something_is_sent_once(scripted: Start, connect: Connect, step: Any) -> None:
    server = scripted(step, answers(201, KEPT))
    with pytest.raises(ServiceError):
        connect(server.address).keep(b"image")
    assert len(server.paths) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 410, 413, 422, 500, 502])
def test_what_would_not_pass_is_sent_once(scripted: Start, connect: Connect, status: int) -> None:
    server = scripted(answers(status))
    with pytest.raises(ServiceError, match=f"answers {status}") as caught:
        connect(server.address).search(where="a=b")
    assert caught.value.status == status
    assert len(server.paths) == 1


def test_the_service_says_how_long_to_wait(scripted: Start, connect: Connect) -> None:
    server = scripted(answers(429, BUSY, Retry_After="1"), answers(200, FOUND))
    began = time.monotonic()
    connect(server.address).search(where="a=b")
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("told", ["seconds", "date"])
def test_a_long_wait_is_for_the_caller(scripted: Start, connect: Connect, told: str) -> None:
    after = "3600" if told == "seconds" else formatdate(time.time() + 3600, usegmt=True)
    server = scripted(answers(503, BUSY, Retry_After=after))
    with pytest.raises(Busy) as caught:
        connect(server.address).search(where="a=b")
    assert caught.value.retry_after == pytest.approx(3600, abs=60)
    assert len(server.paths) == 1


@pytest.mark.parametrize("after", ["", "soon", "-1", "²", "9" * 400])
def test_a_wait_that_is_none(scripted: Start, connect: Connect, after: str) -> None:
    server = scripted(answers(503, Retry_After=after.encode().decode("latin-1")))
    with pytest.raises(Busy):
        connect(server.address, retries=0).catalog()


@pytest.mark.parametrize("body", ["", "{", "[]", '{"hits": 3}', FOUND.replace("exact", "éx")[:-9]])
def test_an_answer_that_is_none(scripted: Start, connect: Connect, body: str) -> None:
    server = scripted(answers(200, body))
    with pytest.raises(ServiceError, match="no FineTag service of this version") as caught:
        connect(server.address).search(where="a=b")
    assert "\n" not in str(caught.value)
    assert len(server.paths) == 1


def test_a_picture_that_is_none(scripted: Start, connect: Connect) -> None:
    server = scripted(answers(200, "<html>", Content_Type="text/html"))
    with pytest.raises(ServiceError, match="text/html instead of an image"):
        connect(server.address).thumbnail(1)


def test_the_key_goes_to_the_service_alone(scripted: Start, connect: Connect) -> None:
    elsewhere = scripted(answers(200, FOUND))
    location = elsewhere.address.replace("//", "//name:secret@") + "/x?token=secret"
    server = scripted(answers(307, Location=location))
    with pytest.raises(ServiceError, match=f"leads to {elsewhere.address}/x; if that") as caught:
        connect(server.address, key=KEY).search(where="a=b")
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert elsewhere.paths == []
    assert "secret" not in str(caught.value)


def test_the_key_is_told_nowhere(
    scripted: Start, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = scripted(hangs_up, answers(401, BUSY))
    client = connect(server.address, key=KEY)
    with pytest.raises(NotAllowed) as caught:
        client.search(where="a=b")
    assert "sent again in" in caplog.text
    for text in (repr(client), str(caught.value), repr(caught.value), caplog.text):
        assert KEY not in text


@pytest.mark.parametrize("key", ["", f"{KEY}\n", f"{KEY} {KEY}", "ключ", "\x00", "k" * 300])
def test_a_key_that_is_none(connect: Connect, key: str) -> None:
    with pytest.raises(UsageError, match="the key is empty, too long") as caught:
        connect("http://127.0.0.1:1", key=key)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:8000", "is no address of a service"),
        ("ftp://127.0.0.1", "is no address of a service"),
        ("http://", "is no address of a service"),
        ("http://a b:x/", "is no address of a service"),
        ("http://me:secret@127.0.0.1", "http://127.0.0.1 has a name, a password"),
        ("http://127.0.0.1/?key=secret", "http://127.0.0.1/ has a name, a password"),
    ],
)
def test_an_address_that_is_none(connect: Connect, address: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        connect(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("catalog", ["", "../other", "Shop", "a/b", "a" * 65])
def test_a_catalogue_that_cannot_be(connect: Connect, catalog: str) -> None:
    with pytest.raises(UsageError, match="is no name of a catalogue"):
        connect("http://127.0.0.1:1", catalog=catalog)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_there_is_always_a_timeout(connect: Connect, timeout: float) -> None:
    with pytest.raises(UsageError, match="the timeout is"):
        connect("http://127.0.0.1:1", timeout=timeout)


def test_a_service_below_a_path(scripted: Start, connect: Connect) -> None:
    server = scripted(answers(200, FOUND))
    connect(f"{server.address}/finetag/", catalog="shop").search(where="a=b")
    assert server.paths == ["/finetag/v1/catalogs/shop/search"]


def test_no_answer_in_time_is_not_asked_for_again(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = connect(address, timeout=0.2)
        with pytest.raises(Unreachable, match=f"no answer in time from {address}") as caught:
            client.search(where="a=b")
        assert caught.value.timed_out
        assert client.ready() is False


def test_nobody_is_there(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.client.retries.FIRST_PAUSE", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as socket_:
        address = f"http://127.0.0.1:{socket_.getsockname()[1]}"
    client = connect(address)
    with pytest.raises(Unreachable, match=f"no answer from {address}: ") as caught:
        client.catalog()
    assert caught.value.status is None
    assert client.ready() is False


def test_what_is_not_ready(scripted: Start, connect: Connect) -> None:
    server = scripted(answers(503), answers(200, "{}"))
    client = connect(server.address)
    assert client.ready() is False
    assert client.ready() is True


def test_errors_survive_a_queue_of_tasks() -> None:
    error = Busy("too much", status=503, request_id="r1", errors=("x",), retry_after=2.0)
    assert str(error) == "too much (request r1)"
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(copy), str(copy), vars(copy)) == (Busy, str(error), vars(error))
