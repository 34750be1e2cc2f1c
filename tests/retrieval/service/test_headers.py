"""Every answer tells a browser what it must not do with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.retrieval.service.conftest import StartService
from tests.retrieval.service.wire import ask

EXPECTED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/metrics", 200),
        ("/v1/catalogs/shop", 200),
        ("/v1/catalogs/shop/images/1/thumbnail", 200),
        ("/v1/catalogs/other", 404),
        ("/nowhere", 404),
        ("/v1/catalogs/shop/images/x", 422),
    ],
)
def test_headers_of_security(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert EXPECTED.items() <= dict(answer.headers).items()
    assert "strict-transport-security" not in answer.headers
    assert "server" not in answer.headers


def test_json_is_not_kept_and_pictures_are(client: TestClient) -> None:
    assert client.get("/v1/catalogs").headers["cache-control"] == "no-store"
    assert client.get("/v1/catalogs/none").headers["cache-control"] == "no-store"
    picture = client.get("/v1/catalogs/shop/images/1/thumbnail")
    assert picture.headers["cache-control"] == "private, max-age=3600"


def test_tls_is_asked_for_where_there_is_tls(client: TestClient) -> None:
    answer = client.get("https://127.0.0.1/healthz")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_a_failure_has_them_too(
    start: StartService, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    client = start()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"secret {root}")

    monkeypatch.setattr("retrieval.catalog.Catalog.search", fail)
    answer = client.post("/v1/catalogs/shop/search", json={"where": "upper=grey"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert EXPECTED.items() <= dict(answer.headers).items()
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_what_is_no_http_is_answered_with_them(live: Callable[..., str]) -> None:
    reply = ask(live(), "HELLO")
    assert reply.status == 400
    assert reply.problem["detail"] == "the request is no well-formed HTTP"
    assert EXPECTED.items() <= reply.headers.items()
    assert "server" not in reply.headers
