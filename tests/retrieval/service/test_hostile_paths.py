"""No path, token or id leads to a file, and no answer tells where one is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from indexer import build
from tests.retrieval.service.conftest import StartService
from tests.retrieval.service.wire import ask

TRAVERSALS = [
    "..",
    "../../../../etc/passwd",
    "....//....//etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "..%252f..%252fetc%252fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..\\..\\etc\\passwd",
    "..%5c..%5cetc%5cpasswd",
    "%c0%ae%c0%ae%c0%af",
    "/etc/passwd",
    "%00",
    "shop%00.png",
    "file:///etc/passwd",
    "~root",
    "%ff%fe",
    "%0d%0aSet-Cookie:%20x=1",
    "\u202egnp.exe",
    "A" * 5_000,
]
PLACES = [
    "/{}",
    "/v1/catalogs/{}",
    "/v1/catalogs/{}/images/1",
    "/v1/catalogs/{}/images/1/thumbnail",
    "/v1/catalogs/shop/images/{}",
    "/v1/catalogs/shop/images/{}/thumbnail",
    "/v1/catalogs/shop/images/1/heatmap?attribute={}",
    "/v1/catalogs/shop/images/1/thumbnail?side={}",
    "/v1/catalogs/shop/pictures/{}/thumbnail",
    "/v1/catalogs/shop/pictures/{}/heatmap?attribute=upper=grey",
    "/static/{}",
]


@pytest.mark.parametrize("place", PLACES)
def test_no_path_leads_out(live: Callable[..., str], place: str, root: Path) -> None:
    address = live()
    for traversal in TRAVERSALS:
        for written in (traversal, quote(traversal, safe="")):
            path = place.format(written.encode().decode("latin-1"))
            reply = ask(address, f"GET {path} HTTP/1.1", "Host: localhost")
            assert 400 <= reply.status < 500, path
            assert reply.headers["content-type"] == "application/problem+json"
            assert b"root:" not in reply.body
            assert str(root).encode() not in reply.body
            assert "set-cookie" not in reply.headers


@pytest.mark.parametrize(
    "token", ["..", ".", "a/../b", "A" * 21, "A" * 23, "A" * 21 + "\n", "ä" * 22]
)
def test_a_token_is_a_token(client: TestClient, token: str) -> None:
    answer = client.post("/v1/catalogs/shop/search", json={"pictures": [token]})
    assert answer.status_code == 422


def test_a_token_is_of_its_catalogue(start: StartService, service_index: Path, root: Path) -> None:
    client = start(catalogs={"shop": service_index, "other": service_index})
    picture = (root / "red" / "red_blue.png").read_bytes()
    kept = client.post("/v1/catalogs/shop/pictures", files={"image": picture}).json()
    for catalog, status in (("shop", 200), ("other", 410)):
        path = f"/v1/catalogs/{catalog}/pictures/{kept['token']}/thumbnail"
        assert client.get(path).status_code == status


def test_what_is_gone_is_told_without_its_path(
    start: StartService, root: Path, tmp_path: Path, color_embedder: object
) -> None:
    images = tmp_path / "images"
    shutil.copytree(root / "red", images)
    build(images, tmp_path / "index", color_embedder)  # type: ignore[arg-type]
    client = start(catalogs={"shop": tmp_path / "index"})
    shutil.rmtree(images)
    for picture in ("thumbnail", "heatmap?attribute=upper=grey"):
        answer = client.get(f"/v1/catalogs/shop/images/1/{picture}")
        assert answer.status_code == 422
        assert answer.json()["detail"] == "the image's file is gone, or may not be read"


def test_an_index_that_cannot_be_opened_is_told_without_its_path(
    start: StartService, tmp_path: Path
) -> None:
    client = start(catalogs={"shop": tmp_path / "nowhere"})
    for path in ("/readyz", "/v1/catalogs/shop", "/v1/catalogs/shop/images/1/thumbnail"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert str(tmp_path) not in answer.text
    answer = client.post("/v1/catalogs/shop/search", json={"where": "upper=grey"})
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("the catalogue shop cannot be searched: ")
    assert str(tmp_path) not in answer.text


def test_an_index_that_is_gone_is_told_without_its_path(
    start: StartService, tmp_path: Path, service_index: Path
) -> None:
    shutil.copytree(service_index, tmp_path / "index")
    client = start(catalogs={"shop": tmp_path / "index"})
    (tmp_path / "index").rename(tmp_path / "moved")
    client.app.state.service.catalogs["shop"].refresh()  # type: ignore[attr-defined]
    for path in ("/v1/catalogs", "/v1/catalogs/shop", "/v1/catalogs/shop/images/1"):
        answer = client.get(path)
        assert answer.status_code in {200, 503}
        assert str(tmp_path) not in answer.text


def test_a_state_folder_that_cannot_be_written_is_told_without_its_path(
    client: TestClient, tmp_path: Path, root: Path
) -> None:
    (tmp_path / "state" / "pictures").write_bytes(b"in the way")
    picture = (root / "red" / "red_blue.png").read_bytes()
    answer = client.post("/v1/catalogs/shop/pictures", files={"image": picture})
    assert answer.status_code == 500
    assert str(tmp_path) not in answer.text
