"""Pictures by URL: off unless asked for, and then from public addresses alone, in bounds."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.retrieval.internet import PUBLIC, Internet, http, redirect
from tests.retrieval.service.conftest import StartService

SEARCH = "/v1/catalogs/shop/search"
URL = "http://pictures.example/wren.png"


@pytest.fixture
def fetching(start: StartService) -> TestClient:
    return start(fetch_urls=True)


def search(client: TestClient, url: str) -> Any:
    return client.post(SEARCH, json={"urls": [url], "limit": 3})


def test_nothing_is_fetched_unless_asked_for(client: TestClient, internet: Internet) -> None:
    internet.serve("pictures.example", PUBLIC, http(b"x"))
    answer = search(client, URL)
    assert answer.status_code == 403
    assert not internet.looked_up
    assert not internet.connected


def test_a_public_picture_is_fetched(fetching: TestClient, internet: Internet, root: Path) -> None:
    internet.serve("pictures.example", PUBLIC, http((root / "red" / "red_blue.png").read_bytes()))
    answer = search(fetching, URL)
    assert answer.status_code == 200
    assert answer.json()["hits"][0]["name"] == "red/red_blue.png"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://10.0.0.1/",
        "http://192.168.1.1:8080/",
        "http://172.16.0.1/",
        "http://169.254.1.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "http://metadata.example/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://[fe80::1]/",
        "http://[64:ff9b::a00:1]/",
        "http://mixed.example/",
        "file:///etc/passwd",
        "gopher://pictures.example/",
        "ftp://pictures.example/",
        "data:image/png;base64,AAAA",
        "/etc/passwd",
        "pictures.png",
        "http://user:hunter2@pictures.example/",
        "http://pictures.example:22/",
        "http://pictures.example\\@127.0.0.1/",
        "http://pictures.example\r\nHost: evil/",
        "",
        "http://" + "a" * 10_000,
    ],
)
def test_what_must_not_be_fetched(fetching: TestClient, internet: Internet, url: str) -> None:
    internet.names["localhost"] = ["127.0.0.1", "::1"]
    internet.names["metadata.example"] = ["169.254.169.254"]
    internet.names["mixed.example"] = [PUBLIC, "10.0.0.1"]
    internet.serve("pictures.example", PUBLIC, http(b"x"))
    answer = search(fetching, url)
    assert 400 <= answer.status_code < 500
    assert not internet.connected
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:8000/v1/catalogs",
        "http://private.example/",
        "file:///etc/passwd",
    ],
)
def test_no_redirect_leads_within(fetching: TestClient, internet: Internet, place: str) -> None:
    internet.names |= {"localhost": ["127.0.0.1"], "private.example": ["10.0.0.1"]}
    internet.serve("pictures.example", PUBLIC, redirect(place))
    answer = search(fetching, URL)
    assert answer.status_code == 422
    assert internet.connected == [(PUBLIC, 80)]


def test_a_name_that_changes_is_looked_up_once(fetching: TestClient, internet: Internet) -> None:
    internet.serve("rebound.example", PUBLIC, http(b"no picture"))
    answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])
    internet.names["rebound.example"] = lambda: next(answers)
    assert search(fetching, "http://rebound.example/").status_code == 422
    assert internet.looked_up == ["rebound.example"]
    assert internet.connected == [(PUBLIC, 80)]


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(bytes(65536))


def _silent(connection: socket.socket) -> None:
    connection.recv(1)


@pytest.mark.parametrize(
    "answer",
    [
        http(b"", length=2**40),
        _endless,
        _silent,
        http(b"<svg/>", "Content-Type: image/svg+xml"),
        http(b"x", "Content-Encoding: gzip"),
        http(status="404 Not Found"),
        redirect(URL),
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ],
    ids=["too large", "endless", "silent", "svg", "gzip", "missing", "circle", "no http"],
)
def test_hostile_servers(
    fetching: TestClient, internet: Internet, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.fetch.SECONDS", 0.5)
    monkeypatch.setattr("retrieval.fetch.MAX_BYTES", 2**20)
    internet.serve("pictures.example", PUBLIC, answer)
    reply = search(fetching, f"{URL}?signature=hunter2")
    assert reply.status_code == 422
    assert "hunter2" not in reply.text
