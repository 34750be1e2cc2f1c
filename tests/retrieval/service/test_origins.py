"""The service answers to its own names alone, and no page of another site."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.retrieval.service.conftest import StartService
from tests.retrieval.service.wire import ask

LIST = "/v1/catalogs"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1:1", "127.8.8.8", "[::1]", "[::1]:80"],
)
def test_a_name_of_this_machine(client: TestClient, host: str) -> None:
    assert client.get(LIST, headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example:80@localhost",
        "localhost/evil",
        "localhost:80:80",
        "10.0.0.1",
        "169.254.169.254",
        "[::2]",
        "0.0.0.0",  # noqa: S104
        "2130706433",
        "",
        "[localhost]",
        "xn--localhost",
    ],
)
def test_another_name_is_misdirected_and_not_repeated(client: TestClient, host: str) -> None:
    answer = client.get(LIST, headers={"host": host})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    assert not host or host not in answer.text


def test_names_can_be_added(start: StartService) -> None:
    client = start(hosts=("Shop.Example",))
    assert client.get(LIST, headers={"host": "shop.example:8443"}).status_code == 200
    assert client.get(LIST, headers={"host": "www.shop.example"}).status_code == 421


def test_a_request_has_one_host(live: object) -> None:
    address = live()  # type: ignore[operator]
    for lines in ([], ["Host: localhost", "Host: localhost"], ["Host: localhost", "Host: evil"]):
        assert ask(address, f"GET {LIST} HTTP/1.1", *lines).status == 400


def test_an_address_that_was_called_is_a_name(client: TestClient) -> None:
    """As where the service listens on all addresses of a machine."""
    answer = client.get(f"http://192.168.1.5:8000{LIST}")
    assert answer.status_code == 200
    assert client.get(f"http://rebound.example{LIST}").status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "null"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        {"sec-fetch-site": "same-origin", "origin": "http://evil.example"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_another_site_is_refused(client: TestClient, method: str, headers: dict[str, str]) -> None:
    answer = client.request(method, f"{LIST}/shop", headers=headers)
    assert answer.status_code == 403
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
)
def test_the_same_site_is_not(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get(LIST, headers=headers).status_code == 200


def test_a_link_may_lead_to_the_page_and_nowhere_else(client: TestClient) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/?q=1", headers=link).status_code in {200, 404}  # 404: there is no page
    assert client.get(LIST, headers=link).status_code == 403
    assert client.post("/", headers=link).status_code == 403


def test_a_preflight_is_refused_and_nothing_allows_other_origins(client: TestClient) -> None:
    preflight = {
        "origin": "http://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    refused = client.options(f"{LIST}/shop/search", headers=preflight)
    assert refused.status_code == 403
    own = client.options(f"{LIST}/shop/search", headers={"origin": "http://127.0.0.1"})
    assert own.status_code == 405
    for answer in (refused, own, client.get(LIST, headers={"origin": "http://127.0.0.1"})):
        assert not [name for name in answer.headers if name.startswith("access-control")]
