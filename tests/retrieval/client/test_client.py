"""Both clients find over HTTP what the library finds, and say what the service says."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from finetag_model.errors import FineTagError, ImageError, UsageError
from indexer import Index, build
from retrieval import Attr, Catalog
from retrieval.client import AsyncClient, Client, Expired, NotAllowed, NotFound, ServiceError
from retrieval.service.catalogs import POLL_SECONDS

SLOW = {"fastapi", "starlette", "uvicorn", "torch", "onnxruntime", "faiss", "PIL", "pyarrow"}


@pytest.fixture
def library(service_index: Path, color_embedder: Any) -> Catalog:
    return Catalog(Index.open(service_index), embedder=color_embedder)


@pytest.fixture
def client(live: Callable[..., str], connect: Callable[..., Any]) -> Any:
    return connect(live(), catalog="shop")


def ids(answer: Any) -> list[int]:
    return [hit.id for hit in answer.hits]


def test_importing_it_brings_nothing_slow() -> None:
    program = f"import sys, retrieval.client\nassert not {SLOW!r} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def forms_of(path: Path) -> list[Any]:
    return [path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())]


def test_an_image_in_any_form(client: Any, library: Catalog, root: Path) -> None:
    path = root / "red" / "red_blue.png"
    expected = ids(library.search(path, limit=4))
    for image in forms_of(path):
        assert ids(client.search(image, limit=4)) == expected
    assert ids(client.search(client.keep(path), limit=4)) == expected
    token = client.keep(path).token
    assert ids(client.search(pictures=[token], limit=4)) == expected


def test_several_images_are_one_search(client: Any, library: Catalog, root: Path) -> None:
    one, other = root / "red" / "red_blue.png", root / "green" / "green_white.png"
    answer = client.search([one, client.keep(other)], limit=4, like=3)
    assert ids(answer) == ids(library.search([one, other], limit=4, like=3))


UPPER = Attr("upper") == "grey"
LOWER = Attr("lower").isin("red", "blue")


@pytest.mark.parametrize(
    "where",
    [
        "upper=grey AND lower=red,blue",
        UPPER & LOWER,
        [UPPER, "lower=red,blue"],
        {"and": [{"attr": "upper", "in": ["grey"]}, {"attr": "lower", "in": ["red", "blue"]}]},
    ],
    ids=["text", "tree", "several", "json"],
)
def test_a_filter_in_any_form(client: Any, library: Catalog, where: Any) -> None:
    answer = client.search(where=where, limit=5)
    expected = library.search(where=where, limit=5)
    assert ids(answer) == ids(expected)
    assert answer.total == expected.total
    assert answer.filter == "upper=grey AND lower=red,blue"


def test_every_option_arrives(client: Any, library: Catalog, root: Path) -> None:
    path = root / "red" / "red_blue.png"
    options: dict[str, Any] = {
        "unlike": [5],
        "crop": (0, 0, 1, 0.5),
        "weight": 0.6,
        "min_score": 0.2,
        "group_by": "lower",
        "facets": [],
        "explain": True,
    }
    answer, expected = client.search(path, **options), library.search(path, **options)
    assert [(hit.id, hit.score, hit.grouped) for hit in answer.hits] == [
        (hit.id, hit.score, hit.grouped) for hit in expected.hits
    ]
    assert [facet.values for facet in answer.facets] == [f.values for f in expected.facets]
    assert answer.hits[0].explanation is not None
    assert answer.next == expected.next


def test_pages_joined_are_the_whole(client: Any, library: Catalog, root: Path) -> None:
    path = root / "green" / "green_white.png"
    expected = ids(library.search(path, limit=1000))
    with path.open("rb") as file:  # which can be read once only
        pages = list(client.pages(file, limit=20))
    assert [id for page in pages for id in ids(page)] == expected
    assert [hit.id for hit in client.hits(path, limit=7)] == expected
    rest = client.pages(path, limit=20, cursor=pages[0].next)
    assert [id for page in rest for id in ids(page)] == expected[20:]


def test_a_cursor_that_has_expired_is_for_the_caller(
    tmp_path: Path,
    paint: Callable[..., Path],
    color_embedder: Any,
    live: Callable[..., str],
    connect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("retrieval.service.catalogs.KEPT_SECONDS", 0.0)
    for lower in ("red", "green", "blue"):
        paint(tmp_path / "images" / f"{lower}.png", "grey", lower)
    build(tmp_path / "images", tmp_path / "index", color_embedder)
    client = connect(live(catalogs={"shop": tmp_path / "index"}), catalog="shop")
    pages = client.pages(where="upper=grey", limit=1)
    first = next(pages)
    paint(tmp_path / "images" / "white.png", "grey", "white")
    build(tmp_path / "images", tmp_path / "index", color_embedder)
    while client.catalog().generation == first.generation:
        pass
    time.sleep(2 * POLL_SECONDS)  # until it is let go of
    with pytest.raises(Expired, match="search from the first page again") as caught:
        next(pages)
    assert caught.value.status == 410


def test_a_picture_that_is_no_longer_kept(client: Any, root: Path) -> None:
    kept = client.keep(root / "green" / "green_white.png")
    gone = kept.model_copy(update={"token": "A" * 22})
    assert client.search(kept, limit=1).hits
    with pytest.raises(Expired, match="no longer kept, or never was; upload it again") as caught:
        client.search(gone)
    assert caught.value.status == 410


def test_what_there_is(client: Any, library: Catalog, root: Path) -> None:
    assert client.ready() is True
    (info,) = client.catalogs()
    assert info == client.catalog()
    assert (info.name, info.images) == ("shop", library.index.rows)
    counted = [
        (each.group, [(value.value, value.images) for value in each.values])
        for each in client.attributes()
    ]
    assert counted == library.attributes()
    hit = client.search(where="upper=grey", limit=1).hits[0]
    image = client.image(hit.id)
    assert (image.name, image.width) == (hit.name, hit.width)
    picture = client.keep(root / "red" / "red_blue.png")
    for data in (client.thumbnail(hit.id, 200), client.thumbnail(picture)):
        assert PillowImage.open(io.BytesIO(data)).format == "JPEG"


def test_what_is_wrong_is_told(client: Any, root: Path) -> None:
    with pytest.raises(ServiceError, match="unknown attribute or field 'uper'") as caught:
        client.search(where="uper=grey")
    assert isinstance(caught.value, FineTagError)
    assert caught.value.status == 400
    with pytest.raises(NotFound, match="no image with the id 123456"):
        client.image(123456)
    with pytest.raises(NotAllowed, match="fetches no URLs"):
        client.search("https://example.com/bird.jpg")
    with pytest.raises(ServiceError, match="not an image in a known format") as caught:
        client.search(b"<html>")
    assert caught.value.status == 422
    with pytest.raises(ServiceError, match=r"unknown attribute .uper"):
        client.heatmap(1, "uper=grey", 200)
    with pytest.raises(ServiceError) as caught:
        client.thumbnail(1, side=123)
    assert caught.value.errors[0].startswith("query.side")


def test_an_unknown_catalogue(live: Callable[..., str], connect: Callable[..., Any]) -> None:
    with pytest.raises(NotFound, match="there is no catalogue 'other'"):
        connect(live(), catalog="other").search(where="upper=grey")


def test_what_cannot_be_right_is_not_sent(client: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="limit: Input should be less than or equal to 200"):
        client.search(where="upper=grey", limit=1000)
    for where, told in (
        (3, "3 is no filter"),
        ([["upper=grey"]], "is no filter"),
        ({"field": "price", "<": float("nan")}, "where: the JSON form holds what JSON does not"),
        ({"field": "price", "<": object()}, "where: the JSON form holds what JSON does not"),
    ):
        with pytest.raises(UsageError, match=told):
            client.search(where=where)
    with pytest.raises(UsageError, match="limt: Extra inputs"):
        client.search(where="upper=grey", limt=3)
    with pytest.raises(UsageError, match="StringIO is no image"):
        client.search(io.StringIO("text"))
    with pytest.raises(ImageError, match=r"missing.jpg: No such file"):
        client.search(tmp_path / "missing.jpg")


def test_both_clients_have_the_same_methods() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert public(Client) == public(AsyncClient)
