"""Searches over HTTP give what the library gives, and say what is wrong with a request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from indexer import Index
from retrieval import Catalog

SEARCH = "/v1/catalogs/shop/search"


@pytest.fixture
def library(service_index: Path, color_embedder: Any) -> Catalog:
    return Catalog(Index.open(service_index), embedder=color_embedder)


def ids(answer: Any) -> list[int]:
    return [hit["id"] for hit in answer["hits"]]


def test_a_filter_alone(client: TestClient, library: Catalog) -> None:
    answer = client.post(SEARCH, json={"where": "upper=grey", "limit": 5}).json()
    expected = library.search(where="upper=grey", limit=5)
    assert ids(answer) == [hit.id for hit in expected.hits]
    assert answer["total"] == expected.total
    assert answer["next"] == expected.next


def test_no_answer_tells_where_files_are(client: TestClient, root: Path) -> None:
    answer = client.post(SEARCH, json={"where": "upper=grey", "facets": [], "explain": True})
    assert str(root) not in answer.text


def test_an_upload_is_searched_with(client: TestClient, library: Catalog, root: Path) -> None:
    picture = (root / "red" / "red_blue.png").read_bytes()
    query = json.dumps({"where": {"attr": "lower", "in": ["blue"]}, "limit": 3})
    answer = client.post(f"{SEARCH}/upload", files={"image": picture}, data={"query": query})
    expected = library.search(picture, "lower=blue", 3)
    assert ids(answer.json()) == [hit.id for hit in expected.hits]


def test_a_kept_picture_pages_as_one_search(
    client: TestClient, library: Catalog, root: Path
) -> None:
    picture = root / "green" / "green_white.png"
    kept = client.post("/v1/catalogs/shop/pictures", files={"image": picture.read_bytes()})
    assert kept.status_code == 201
    asked: dict[str, Any] = {"pictures": [kept.json()["token"]], "limit": 20}
    found: list[int] = []
    while True:
        answer = client.post(SEARCH, json=asked).json()
        found += ids(answer)
        if answer["next"] is None:
            break
        asked["cursor"] = answer["next"]
    assert found == [hit.id for hit in library.search(picture, limit=1000).hits]


def test_a_crop_is_of_the_picture(client: TestClient, library: Catalog, root: Path) -> None:
    picture = (root / "green" / "green_white.png").read_bytes()
    query = json.dumps({"crop": [0, 0, 1, 0.5], "limit": 3})
    answer = client.post(f"{SEARCH}/upload", files={"image": picture}, data={"query": query})
    expected = library.search(picture, limit=3, crop=(0, 0, 1, 0.5))
    assert ids(answer.json()) == [hit.id for hit in expected.hits]


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ({"where": "uper=grey"}, 400, "unknown attribute or field 'uper' at character 1"),
        ({}, 400, "nothing to search for"),
        ({"like": [123456]}, 400, "there is no image with the id 123456"),
        ({"where": "upper=grey", "limit": 0}, 422, "body.limit"),
        ({"where": "upper=grey", "limt": 3}, 422, "body.limt"),
        ({"where": "upper=grey", "cursor": "x"}, 400, "'x' is not a cursor"),
        ({"pictures": ["A" * 22]}, 410, "no longer kept, or never was"),
        ({"pictures": ["../../../etc/passwd"]}, 422, "body.pictures.0"),
        ({"urls": ["http://127.0.0.1/"]}, 403, "fetches no URLs"),
    ],
)
def test_what_is_wrong_is_told(
    client: TestClient, asked: dict[str, Any], status: int, told: str
) -> None:
    answer = client.post(SEARCH, json=asked)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in answer.json()["detail"]


def test_what_is_no_image_is_told(client: TestClient) -> None:
    answer = client.post(f"{SEARCH}/upload", files={"image": b"<html>"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "the image is not an image in a known format"


def test_an_unknown_catalogue(client: TestClient) -> None:
    answer = client.post("/v1/catalogs/other/search", json={"where": "upper=grey"})
    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no catalogue 'other'"
