"""Who may do what, tried on every route there is: roles, catalogues, and nobody at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from retrieval.service.access import _writable
from retrieval.service.app import create
from retrieval.service.keys import Keys
from retrieval.service.settings import Settings
from retrieval.service.store import open_store

OPEN = {"/", "/favicon.ico", "/openapi.json", "/healthz", "/readyz", "/v1/session"}
"""What is answered without a key; a route that is added here is open to the world."""

CHANGES_NO_CATALOGUE = {"/search", "/search/upload", "/pictures"}
"""Ends of the paths that take more than GET but need no right to write."""

VALUES = {"image": "0", "token": "A" * 22, "job": "A" * 22}


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    writes: bool

    def url(self, catalog: str) -> str:
        path = self.path.replace("{catalog}", catalog)
        for name, value in VALUES.items():
            path = path.replace(f"{{{name}}}", value)
        return path.split("{")[0]

    @property
    def is_open(self) -> bool:
        return self.path in OPEN or self.path.startswith("/page/")


def depends_on(dependant: Any, call: Any) -> bool:
    return any(each.call is call or depends_on(each, call) for each in dependant.dependencies)


def every_route() -> Iterator[Route]:
    app = create(Settings(catalogs={}, state=Path("/nowhere")))
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        writes = dependant is not None and depends_on(dependant, _writable)
        for method in sorted(route.methods or {"GET"}):
            yield Route(method, str(route.path), writes)


ROUTES = list(every_route())
CLOSED = [route for route in ROUTES if not route.is_open]
OF_A_CATALOGUE = [route for route in CLOSED if "{catalog}" in route.path]


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


closed = pytest.mark.parametrize("route", CLOSED, ids=named)
of_a_catalogue = pytest.mark.parametrize("route", OF_A_CATALOGUE, ids=named)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(open_store(tmp_path / "state"))


@pytest.fixture
def locked(start: Any, service_index: Path) -> TestClient:
    client: TestClient = start(keys=True, catalogs={"shop": service_index, "other": service_index})
    return client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def ask(client: TestClient, route: Route, catalog: str, key: str) -> Any:
    headers = {**bearer(key), "X-Request-ID": "one"}
    return client.request(route.method, route.url(catalog), headers=headers)


def test_there_are_routes() -> None:
    assert len(OF_A_CATALOGUE) > 8
    assert {"/openapi.json", "/healthz", "/readyz", "/v1/session"} <= {r.path for r in ROUTES}


@of_a_catalogue
def test_what_changes_a_catalogue_needs_the_right_to(route: Route) -> None:
    end = route.path.partition("{catalog}")[2]
    reads = route.method in {"GET", "HEAD"} or end in CHANGES_NO_CATALOGUE
    assert route.writes != reads


@closed
def test_nobody_gets_nothing(locked: TestClient, route: Route) -> None:
    for catalog in ("shop", "nothing", "NO-NAME"):
        answer = locked.request(route.method, route.url(catalog), content=b"{")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        if route.method != "HEAD":
            assert answer.headers["content-type"] == "application/problem+json"
            assert "needs an API key" in answer.json()["detail"]


@closed
def test_a_bad_key_opens_nothing(locked: TestClient, keys: Keys, route: Route) -> None:
    good = keys.create("write")
    revoked, expired = keys.create("write"), keys.create("write", days=-1)
    keys.revoke(revoked[3:15])
    for bad in (good[:-1], revoked, expired, "x", "", "ft_" + "A" * 20_000):
        assert ask(locked, route, "shop", bad).status_code == 401


@of_a_catalogue
@pytest.mark.parametrize("role", ["read", "write"])
def test_a_key_sees_its_catalogues_alone(
    locked: TestClient, keys: Keys, route: Route, role: Any
) -> None:
    key = keys.create(role, ["shop"])
    hidden, absent = ask(locked, route, "other", key), ask(locked, route, "absent", key)
    assert hidden.status_code == absent.status_code == 404
    assert hidden.text.replace("other", "absent") == absent.text
    differ = {"content-length": "", "ratelimit": ""}
    assert {**hidden.headers, **differ} == {**absent.headers, **differ}
    if not route.writes:  # it would
        assert ask(locked, route, "shop", key).status_code not in {401, 403, 500}


@of_a_catalogue
def test_a_key_to_read_with_does_not_write(locked: TestClient, keys: Keys, route: Route) -> None:
    answer = ask(locked, route, "shop", keys.create("read", ["shop"]))
    assert (answer.status_code == 403) == route.writes
    if route.writes:
        assert "may read the catalogue, not change it" in answer.json()["detail"]


@pytest.mark.parametrize("route", [route for route in ROUTES if route.is_open], ids=named)
def test_what_is_open_tells_of_no_catalogue(locked: TestClient, route: Route) -> None:
    answer = locked.request(route.method, route.url("shop"))
    if route.path != "/v1/session":
        assert answer.status_code in {200, 404}
    for name in ("shop", "other"):
        assert f'"{name}"' not in answer.text


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/metrics", "/docs", "/v1/session/", "/nothing"])
def test_paths_without_a_route_are_closed(locked: TestClient, path: str) -> None:
    assert locked.get(path, follow_redirects=False).status_code == 401


def test_the_path_is_not_taken_from_the_host(locked: TestClient) -> None:
    answer = locked.get("/v1/catalogs", headers={"Host": "127.0.0.1/healthz?"})
    assert answer.status_code == 421


def test_only_what_a_key_sees_is_listed(locked: TestClient, keys: Keys) -> None:
    def listed(key: str) -> list[tuple[str, bool]]:
        told = locked.get("/v1/catalogs", headers=bearer(key)).json()
        return [(each["name"], each["writable"]) for each in told]

    assert listed(keys.create("read", ["other", "absent"])) == [("other", False)]
    assert listed(keys.create("write", ["shop"])) == [("shop", True)]
    assert listed(keys.create("write")) == [("shop", True), ("other", True)]
    assert listed(keys.create("read", ["absent"])) == []


@pytest.mark.parametrize(
    "header",
    [("Authorization", "Bearer {}"), ("Authorization", "bearer  {}"), ("X-API-Key", "{}")],
)
def test_a_key_is_shown_in_either_header(
    locked: TestClient, keys: Keys, header: tuple[str, str]
) -> None:
    name, form = header
    answer = locked.get("/v1/catalogs", headers={name: form.format(keys.create("read"))})
    assert answer.status_code == 200


def test_another_scheme_is_none_of_ours(locked: TestClient, keys: Keys) -> None:
    both = {"Authorization": "Basic dXNlcjpwYXNz", "X-API-Key": keys.create("read")}
    assert locked.get("/v1/catalogs", headers=both).status_code == 200
    assert locked.get("/v1/catalogs?key=" + both["X-API-Key"]).status_code == 401


@pytest.mark.parametrize("value", [b"Bearer \xff\xfe", "Bearer ключ".encode(), b"Bearer", b"\x80"])
def test_headers_that_are_not_text(locked: TestClient, value: bytes) -> None:
    answer = locked.get("/v1/catalogs", headers={b"Authorization": value})
    assert answer.status_code == 401


def test_without_keys_anyone_may_do_all(client: TestClient) -> None:
    (told,) = client.get("/v1/catalogs").json()
    assert told["writable"]
    assert client.get("/v1/catalogs", headers=bearer("whatever")).status_code == 200


def test_no_log_and_no_answer_has_the_secret(
    locked: TestClient, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = keys.create("read", ["shop"])
    secret, texts = key[16:], []
    for shown in (key, key[:-1] + "é".encode().decode("latin-1")):
        headers = {b"Authorization": f"Bearer {shown}".encode("latin-1")}
        paths = ("/v1/catalogs/shop", "/v1/catalogs/other", "/v1/session", "/openapi.json")
        texts += [locked.get(path, headers=headers).text for path in paths]
        body = {"key": shown, "more": 1}
        texts.append(locked.post("/v1/session", json=body).text)
        texts.append(locked.post("/v1/session", json={"key": shown * 9}).text)
        texts.append(locked.post("/v1/session", content=shown.encode()).text)
    texts += [record.getMessage() + str(record.__dict__) for record in caplog.records]
    assert not [text for text in texts if secret[:30] in text]


def test_the_description_says_how_to_show_a_key(client: TestClient) -> None:
    told = client.get("/openapi.json").json()
    assert set(told["components"]["securitySchemes"]) == {"key", "key header", "session"}
    for path, operations in told["paths"].items():
        for operation in operations.values():
            assert ("security" in operation) == (path not in OPEN)
