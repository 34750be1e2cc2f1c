"""Generations change under a running service: nothing is lost, wrong, or kept for too long."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from finetag_model.errors import CatalogueError
from indexer import Index, build, delete_images
from indexer.manifest import model_of
from indexer.publish import publication
from indexer.writer import open_writer
from retrieval import Catalog
from retrieval.service import catalogs
from retrieval.service.catalogs import MOST_KEPT, Catalogs, Served
from tests.conftest import ColorEmbedder

SEARCH = "/v1/catalogs/shop/search"
GREY: dict[str, Any] = {"where": "upper=grey"}


@pytest.fixture
def folder(service_index: Path, tmp_path: Path) -> Path:
    """A copy of the index, to be changed."""
    return Path(shutil.copytree(service_index, tmp_path / "index"))


@pytest.fixture
def serve(folder: Path, color_embedder: Any) -> Iterator[Callable[[], Served]]:
    """Open the index as a service does, which looks for newer generations all the time."""
    running: list[Catalogs] = []

    def started() -> Served:
        served = Served("shop", folder, color_embedder, _no_pixels)
        running.append(Catalogs({"shop": served}))
        return served

    yield started
    for each in running:
        each.close()


def _no_pixels(*_: object) -> Any:
    raise AssertionError


def wait_until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def generation(served: Served) -> int:
    return served.newest().index.manifest.generation


def search(catalog: Catalog, **more: Any) -> tuple[list[int], int]:
    answer = catalog.search(where="upper=grey", **more)
    return [hit.id for hit in answer.hits], answer.total


def hits_by_page(client: TestClient, limit: int) -> Iterator[dict[str, Any]]:
    asked: dict[str, Any] = {**GREY, "limit": limit}
    while asked.get("cursor", "") is not None:
        answer = client.post(SEARCH, json=asked)
        assert answer.status_code == 200, answer.text
        yield answer.json()
        asked["cursor"] = answer.json()["next"]


def delete_best(folder: Path) -> int:
    """Delete the best hit of `GREY`; return its id."""
    with Index.open(folder) as index:
        best = Catalog(index).search(**GREY, limit=1).hits[0]
    delete_images(folder, ids=[best.id])
    return best.id


def make_anew(root: Path, folder: Path, embedder: Any) -> None:
    """Put another index in the place of one."""
    build(root, folder.with_name("new"), embedder)
    folder.rename(folder.with_name("old"))
    folder.with_name("new").rename(folder)


def test_a_new_generation_is_served_without_a_restart(
    start: Callable[..., TestClient], folder: Path
) -> None:
    client = start(catalogs={"shop": folder})
    before = client.post(SEARCH, json=GREY).json()
    deleted = delete_best(folder)
    wait_until(lambda: client.get("/v1/catalogs/shop").json()["generation"] == 2)
    after = client.post(SEARCH, json=GREY).json()
    assert (before["generation"], after["generation"]) == (1, 2)
    assert after["total"] == before["total"] - 1
    assert [hit["id"] for hit in before["hits"] if hit["id"] != deleted] == [
        hit["id"] for hit in after["hits"]
    ]


def test_a_request_ends_on_the_generation_that_it_began_with(
    serve: Callable[[], Served], folder: Path
) -> None:
    served = serve()
    begun = served.newest()
    before = search(begun)
    delete_best(folder)
    wait_until(lambda: generation(served) == 2)
    assert search(begun) == before
    assert search(served.newest())[1] == before[1] - 1


def test_pages_go_on_in_the_generation_of_the_first(
    start: Callable[..., TestClient], folder: Path
) -> None:
    client = start(catalogs={"shop": folder})
    whole = client.post(SEARCH, json=GREY).json()
    pages = hits_by_page(client, 2)
    found = next(pages)["hits"]
    delete_best(folder)
    wait_until(lambda: client.get("/v1/catalogs/shop").json()["generation"] == 2)
    for page in pages:
        assert page["generation"] == 1
        found += page["hits"]
    assert [hit["id"] for hit in found] == [hit["id"] for hit in whole["hits"]]


def test_a_page_of_a_generation_let_go_is_refused(
    start: Callable[..., TestClient], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start(catalogs={"shop": folder})
    first = client.post(SEARCH, json={**GREY, "limit": 2}).json()
    monkeypatch.setattr(catalogs, "KEPT_SECONDS", 0.3)
    delete_best(folder)
    wait_until(
        lambda: client.post(SEARCH, json={**GREY, "cursor": first["next"]}).status_code == 410
    )
    refused = client.post(SEARCH, json={**GREY, "cursor": first["next"]}).json()
    assert "the cursor is of generation 1 of the index, which is at 2 now" in refused["detail"]


def test_a_cursor_of_a_newer_generation_makes_it_look(
    folder: Path, color_embedder: Any, serve: Callable[[], Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogs, "POLL_SECONDS", 3600)
    served = serve()
    delete_best(folder)
    assert generation(served) == 1
    other = Catalog(Index.open(folder), embedder=color_embedder)  # as another worker process
    page = other.search(**GREY, limit=2)
    following = other.search(**GREY, limit=2, cursor=page.next)
    assert search(served.at(page.next), limit=2, cursor=page.next)[0] == [
        hit.id for hit in following.hits
    ]
    assert generation(served) == 2


@pytest.mark.parametrize("cursor", ["x", "", "A" * 60])
def test_what_is_no_cursor_gets_the_newest(serve: Callable[[], Served], cursor: str) -> None:
    served = serve()
    assert served.at(cursor) is served.newest()


def damage(folder: Path, root: Path) -> None:
    (folder / "current").write_text("what?")


def remove(folder: Path, root: Path) -> None:
    shutil.rmtree(folder)


def cut_off(folder: Path, root: Path) -> None:
    delete_best(folder)
    path = folder / "generations" / "2" / "scores.npy"
    path.write_bytes(path.read_bytes()[:-8])


def replace_by_another_model(folder: Path, root: Path) -> None:
    make_anew(root, folder, ColorEmbedder(digest="ab" * 32))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (damage, "the index shop is damaged: the file current cannot be read"),
        (remove, "there is no index in shop; make one with"),
        (cut_off, "the index shop is damaged: scores.npy"),
        (replace_by_another_model, "the index was built with the model color-halves (abab"),
    ],
)
def test_what_is_open_is_served_on_whatever_comes(
    start: Callable[..., TestClient],
    folder: Path,
    service_index: Path,
    root: Path,
    color_embedder: Any,
    harm: Callable[[Path, Path], None],
    told: str,
) -> None:
    client = start(catalogs={"shop": folder})
    before = client.post(SEARCH, json=GREY).json()["hits"]
    about = client.get("/v1/catalogs/shop").json()
    assert about["problem"] is None
    harm(folder, root)
    wait_until(lambda: told in (client.get("/v1/catalogs/shop").json()["problem"] or ""))
    about = client.get("/v1/catalogs/shop").json()
    assert str(folder) not in about["problem"]
    assert about["generation"] == 1
    assert client.post(SEARCH, json=GREY).json()["hits"] == before
    assert client.get("/readyz").status_code == 200

    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(service_index, folder)
    delete_best(folder)
    wait_until(lambda: client.get("/v1/catalogs/shop").json()["generation"] == 2)
    assert client.get("/v1/catalogs/shop").json()["problem"] is None
    assert client.post(SEARCH, json=GREY).json()["hits"] != before


def test_an_index_made_anew_is_noticed_by_more_than_its_number(
    serve: Callable[[], Served], folder: Path, root: Path, color_embedder: Any, tmp_path: Path
) -> None:
    served = serve()
    images = served.newest().index.rows
    fewer = tmp_path / "fewer"
    shutil.copytree(root / "grey", fewer)
    make_anew(fewer, folder, color_embedder)
    wait_until(lambda: served.newest().index.rows < images)
    assert generation(served) == 1


def test_errors_that_nobody_thought_of_do_not_end_the_looking(
    serve: Callable[[], Served], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    with monkeypatch.context() as patched:
        patched.setattr(Index, "is_current", _too_many_files)
        wait_until(lambda: served.problem)
        assert served.problem == "the index shop cannot be opened: [Errno 24] Too many open files"
        assert served.newest()
    delete_best(folder)
    wait_until(lambda: generation(served) == 2)
    assert served.problem is None


def _too_many_files(_: Index) -> bool:
    raise OSError(24, "Too many open files")


def test_a_service_waits_for_an_index_that_is_not_there_yet(
    start: Callable[..., TestClient], service_index: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "later"
    client = start(catalogs={"shop": folder})
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    assert client.get("/v1/catalogs").json() == []
    refused = client.post(SEARCH, json=GREY)
    assert refused.status_code == 503
    assert "there is no index in shop" in refused.json()["detail"]
    assert str(folder) not in refused.text
    shutil.copytree(service_index, tmp_path / "made")
    (tmp_path / "made").rename(folder)
    wait_until(lambda: client.get("/readyz").status_code == 200)
    assert client.post(SEARCH, json=GREY).status_code == 200


def open_files(folder: Path) -> int:
    """Return how many files below a folder this process has open or mapped."""
    opened = sum(
        os.path.realpath(each).startswith(str(folder)) for each in Path("/proc/self/fd").iterdir()
    )
    return opened + Path("/proc/self/maps").read_text().count(str(folder))


def test_generations_replaced_are_let_go(
    serve: Callable[[], Served], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogs, "KEPT_SECONDS", 0.0)
    served = serve()
    search(served.newest())
    opened = open_files(folder)
    for number in range(2, 52):
        republish(folder)
        served.refresh()
        search(served.newest())
        assert generation(served) == number
    served.refresh()
    assert open_files(folder) == opened
    delete_best(folder)  # sweeps
    assert {each.name for each in (folder / "generations").iterdir()} <= {"51", "52"}


def test_no_more_are_kept_than_memory_is_for(serve: Callable[[], Served], folder: Path) -> None:
    served = serve()
    first = served.newest().search(**GREY, limit=1)
    assert first.next is not None
    for _ in range(MOST_KEPT - 1):
        republish(folder)
        served.refresh()
    assert served.at(first.next).index.manifest.generation == 1
    republish(folder)
    served.refresh()
    assert generation(served) == MOST_KEPT + 1
    assert served.at(first.next) is served.newest()


def republish(folder: Path) -> None:
    """Write the same images as a new generation."""
    with open_writer(folder) as writer:
        assert writer.model is not None
        with publication(writer, model_of(writer.model)):
            pass


def test_no_answer_mixes_generations(
    start: Callable[..., TestClient], folder: Path, color_embedder: Any
) -> None:
    """Many search while images are deleted one by one: each answer is right for its generation."""
    client = start(catalogs={"shop": folder})
    expected: dict[int, tuple[list[int], int]] = {}
    held: list[Index] = []

    def note() -> None:
        held.append(Index.open(folder))
        expected[held[-1].manifest.generation] = search(Catalog(held[-1]))

    note()
    done = threading.Event()

    def ask() -> list[dict[str, Any]]:
        answers = []
        while not done.is_set():
            answer = client.post(SEARCH, json=GREY)
            assert answer.status_code == 200, answer.text
            answers.append(json.loads(answer.text))
        return answers

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask) for _ in range(8)]
        for _ in range(4):
            delete_best(folder)
            note()
            number = held[-1].manifest.generation
            wait_until(
                lambda number=number: client.get("/v1/catalogs/shop").json()["generation"] == number
            )
        done.set()
        answers = [answer for each in asking for answer in each.result(60)]
    for each in held:
        each.close()
    assert {answer["generation"] for answer in answers} >= {1, 2, 3, 4}
    for answer in answers:
        found = [hit["id"] for hit in answer["hits"]], answer["total"]
        assert found == expected[answer["generation"]]


def test_nothing_can_be_searched_before_it_is_open(folder: Path, color_embedder: Any) -> None:
    served = Served("shop", folder, color_embedder, _no_pixels)
    with pytest.raises(CatalogueError, match="cannot be searched: it is being opened"):
        served.newest()
