"""The true process that does jobs, with the network that is shipped: killed, and at its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from finetag_model.embedder import load_embedder
from indexer import Index, build
from retrieval.service.app import create
from retrieval.service.settings import Settings
from tests.retrieval.service.jobs.conftest import Shop

IMAGES = 120


@pytest.fixture
def sent(tmp_path: Path) -> list[bytes]:
    """Different pictures, of a size that takes a while to read."""
    random = np.random.default_rng(3)
    file = tmp_path / "sent.png"
    made = []
    for _ in range(IMAGES):
        pixels = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((480, 360), 0).save(file)
        made.append(file.read_bytes())
    return made


@pytest.fixture
def open_shop(tmp_path: Path, paint: Callable[..., Path]) -> Iterator[Callable[[], Shop]]:
    root, index_dir, state = (tmp_path / name for name in ("catalogue", "index", "state"))
    paint(root / "red.png", "red", "white", (300, 200))
    build(root, index_dir, load_embedder(runtime="onnx"))
    clients: list[TestClient] = []

    def opened() -> Shop:
        settings = Settings(catalogs={"shop": index_dir}, state=state, runtime="onnx")
        client = TestClient(create(settings), base_url="http://127.0.0.1")
        clients.append(client)
        client.__enter__()
        return Shop(client, root, index_dir, state)

    yield opened
    for client in clients:
        client.__exit__(None, None, None)


def runner_of(shop: Shop) -> Any:
    app: Any = shop.client.app
    (runner,) = app.state.service.runners._processes.values()
    return runner


def rows(index_dir: Path) -> list[tuple[str, str, bytes]]:
    with Index.open(index_dir) as index:
        records = index.images(range(index.rows))
        vectors = index.vectors(0, index.rows)
        scores = np.stack([index.scores(at) for at in range(len(index.manifest.vocabulary))])
        return [
            (each.path, each.content_hash, vectors[i].tobytes() + scores[:, i].tobytes())
            for i, each in enumerate(records)
        ]


def test_a_killed_process_is_replaced_and_the_index_is_as_if_it_was_not(
    open_shop: Callable[[], Shop], sent: list[bytes], tmp_path: Path
) -> None:
    shop = open_shop()
    made = shop.add(*sent)
    seen = shop.until(made, lambda job: 0 < job["done"] < IMAGES)
    assert seen["state"] == "running"
    assert seen["rate"] is None or seen["rate"] >= 0
    os.kill(runner_of(shop).pid, signal.SIGKILL)
    ended = shop.ended(made)
    assert [each["problem"] for each in ended["result"]["images"]] == [None] * IMAGES
    assert len(shop.names()) == IMAGES + 1

    uninterrupted = tmp_path / "uninterrupted"
    build(shop.root, uninterrupted, load_embedder(runtime="onnx"))
    assert rows(shop.index_dir) == rows(uninterrupted)


def test_a_service_that_ends_lets_the_process_finish_its_batch(
    open_shop: Callable[[], Shop], sent: list[bytes]
) -> None:
    shop = open_shop()
    made = shop.add(*sent)
    shop.until(made, lambda job: 0 < job["done"] < IMAGES)
    runner = runner_of(shop)
    shop.client.app.state.service.runners.close()  # type: ignore[attr-defined]
    assert runner.returncode == 0
    assert shop.job(made)["state"] == "queued"
    ended = open_shop().ended(made)
    assert 0 < ended["result"]["embedded"] < IMAGES
    assert ended["result"]["new"] == IMAGES


def test_a_process_ends_when_there_is_nothing_left(open_shop: Callable[[], Shop]) -> None:
    shop = open_shop()
    shop.ended(shop.post("/update"))
    runner = runner_of(shop)
    assert runner.wait(30) == 0
    shop.ended(shop.post("/update"))
