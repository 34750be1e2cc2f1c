"""Sessions of the page: a cookie that reads, never writes, and is for no other site."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from retrieval.service import sessions
from retrieval.service.access import COOKIE, Writable
from retrieval.service.keys import Keys
from retrieval.service.store import open_store

SESSION = "/v1/session"
HERE = {"Origin": "http://127.0.0.1"}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(open_store(tmp_path / "state"))


@pytest.fixture
def locked(start: Any, service_index: Path) -> TestClient:
    client: TestClient = start(keys=True, catalogs={"shop": service_index, "other": service_index})
    return client


def sign_in(client: TestClient, key: str, **headers: str) -> Any:
    return client.post(SESSION, json={"key": key}, headers={**HERE, **headers})


def test_a_session_opens_what_its_key_does(locked: TestClient, keys: Keys) -> None:
    assert sign_in(locked, keys.create("read", ["shop"])).status_code == 204
    assert [each["name"] for each in locked.get("/v1/catalogs").json()] == ["shop"]
    assert locked.get("/v1/catalogs/other").status_code == 404
    found = locked.post("/v1/catalogs/shop/search", json={"where": "upper=grey"}, headers=HERE)
    assert found.status_code == 200


def test_the_cookie_is_for_this_service_alone_and_not_the_key(
    locked: TestClient, keys: Keys, tmp_path: Path
) -> None:
    key = keys.create("read")
    cookie = sign_in(locked, key).headers["set-cookie"]
    value, *flags = (part.strip().lower() for part in cookie.split(";"))
    assert set(flags) == {"httponly", "samesite=strict", "path=/", f"max-age={sessions.SECONDS}"}
    token = locked.cookies[COOKIE]
    assert value == f"{COOKIE}={token.lower()}"
    assert key[16:] not in cookie
    for path in (tmp_path / "state").iterdir():
        if path.is_file():
            assert token.encode() not in path.read_bytes()


def test_by_https_the_cookie_is_secure(start: Any, keys: Keys) -> None:
    client = start(keys=True)
    client.base_url = "https://127.0.0.1"
    answer = sign_in(client, keys.create("read"), Origin="https://127.0.0.1")
    assert "secure" in answer.headers["set-cookie"].lower()


def test_who_is_not_trusted_does_not_say_that_it_is_https(locked: TestClient, keys: Keys) -> None:
    answer = sign_in(locked, keys.create("read"), **{"X-Forwarded-Proto": "https"})
    assert "secure" not in answer.headers["set-cookie"].lower()


def test_a_session_never_writes(locked: TestClient, keys: Keys) -> None:
    sign_in(locked, keys.create("write"))
    assert not any(each["writable"] for each in locked.get("/v1/catalogs").json())


def test_what_takes_the_right_to_write_is_refused(locked: TestClient, keys: Keys) -> None:
    def change(served: Writable) -> str:
        return served.name

    app: Any = locked.app
    app.add_api_route("/v1/catalogs/{catalog}/change", change, methods=["POST"])

    def status(catalog: str, key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"} if key else HERE
        return locked.post(f"/v1/catalogs/{catalog}/change", headers=headers).status_code

    write = keys.create("write", ["shop"])
    assert status("shop", write) == 200
    assert status("other", write) == 404
    assert status("shop", keys.create("read")) == 403
    sign_in(locked, write)
    assert status("shop", "") == 403
    assert status("other", "") == 404


ELSEWHERE: list[dict[str, str]] = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1", "Host": "localhost"},
    {"Origin": "http://["},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("headers", ELSEWHERE)
def test_other_sites_can_use_no_session(
    locked: TestClient, keys: Keys, headers: dict[str, str]
) -> None:
    key = keys.create("read")
    sign_in(locked, key)
    asked = {"where": "upper=grey"}
    answer = locked.post("/v1/catalogs/shop/search", json=asked, headers=headers)
    assert answer.status_code == 403
    assert locked.delete(SESSION, headers=headers).status_code == 403
    assert locked.post(SESSION, json={"key": key}, headers=headers).status_code == 403
    with_key = {**headers, "Authorization": f"Bearer {key}"}
    answer = locked.post("/v1/catalogs/shop/search", json=asked, headers=with_key)
    is_program = headers in ({}, {"Sec-Fetch-Site": "none"})
    assert answer.status_code == (200 if is_program else 403)


@pytest.mark.parametrize("headers", [HERE, {"Sec-Fetch-Site": "same-origin"}])
def test_the_page_can(locked: TestClient, keys: Keys, headers: dict[str, str]) -> None:
    sign_in(locked, keys.create("read"))
    asked = {"where": "upper=grey"}
    answer = locked.post("/v1/catalogs/shop/search", json=asked, headers=headers)
    assert answer.status_code == 200


def test_signing_out_ends_the_session_and_removes_the_cookie(
    locked: TestClient, keys: Keys
) -> None:
    sign_in(locked, keys.create("read"))
    token = locked.cookies[COOKIE]
    assert locked.get("/v1/catalogs").status_code == 200
    assert locked.delete(SESSION, headers=HERE).status_code == 204
    assert COOKIE not in locked.cookies
    locked.cookies.set(COOKIE, token)
    answer = locked.get("/v1/catalogs")
    assert answer.status_code == 401
    assert "this session is not known, or no longer" in answer.json()["detail"]
    locked.cookies.clear()
    assert locked.delete(SESSION, headers=HERE).status_code == 204


@pytest.mark.parametrize("bad", ["", "x", "ft_" + "0" * 12 + "_" + "A" * 43, "é" * 100])
def test_a_bad_key_begins_no_session(locked: TestClient, bad: str) -> None:
    answer = sign_in(locked, bad)
    assert answer.status_code in {401, 422}
    assert "set-cookie" not in answer.headers
    assert COOKIE not in locked.cookies


@pytest.mark.parametrize("body", [b'{"key": "\\ud800"}', b'{"key": 1}', b'"ft_"', b"\xff", b""])
def test_what_is_no_text_begins_no_session(locked: TestClient, body: bytes) -> None:
    headers = {**HERE, "Content-Type": "application/json"}
    assert locked.post(SESSION, content=body, headers=headers).status_code in {400, 401, 422}


@pytest.mark.parametrize("token", ["", "x", "A" * 43, '"\\303\\251"', "A" * 5000])
def test_a_forged_cookie_opens_nothing(locked: TestClient, token: str) -> None:
    answer = locked.get("/v1/catalogs", headers={"Cookie": f"{COOKIE}={token}"})
    assert answer.status_code == 401


def test_a_key_is_no_session_and_a_session_no_key(locked: TestClient, keys: Keys) -> None:
    key = keys.create("read")
    as_cookie = locked.get("/v1/catalogs", headers={"Cookie": f"{COOKIE}={key}"})
    assert as_cookie.status_code == 401
    sign_in(locked, key)
    token = locked.cookies[COOKIE]
    locked.cookies.clear()
    as_key = locked.get("/v1/catalogs", headers={"Authorization": f"Bearer {token}"})
    assert as_key.status_code == 401


def test_a_session_ends_with_its_key_and_with_its_time(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = sessions.Sessions(open_store(tmp_path / "state"), keys)
    text = keys.create("read")
    key = keys.shown(text)
    assert key is not None
    token, other = known.begin(key), known.begin(key)
    assert known.key(token) is not None
    known.end(other)
    assert known.key(other) is None
    now = time.time()
    monkeypatch.setattr(sessions.time, "time", lambda: now + sessions.SECONDS + 1)
    assert known.key(token) is None
    monkeypatch.undo()
    keys.revoke(key.id)
    assert known.key(token) is None
