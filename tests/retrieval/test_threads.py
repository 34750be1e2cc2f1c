"""One catalogue searched in many threads at once gives what it gives in one after the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from growth import table_rows

from indexer import Index, vectors
from indexer.approximation import SQ8
from indexer.publish import publication
from indexer.schema import embedding, image
from indexer.vectors import calibration, training
from indexer.writer import open_writer
from retrieval import Catalog
from tests.indexer.vectors import prefer

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 6000


@pytest.fixture
def folder(tmp_path: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of made-up rows with inverted lists, which only large ones have otherwise."""
    for module in (vectors, training):
        monkeypatch.setattr(module, "FLAT_ROWS", 1000)
    monkeypatch.setattr(training, "_QUERIES", 10)
    monkeypatch.setattr(calibration, "SHARES", (0.01, 0.3, 1.0))
    prefer(monkeypatch, SQ8)
    model = color_embedder.model
    random = np.random.default_rng(4)
    visual = random.standard_normal((ROWS, model.visual_dim))
    visual /= np.linalg.norm(visual, axis=1, keepdims=True)
    scores = random.integers(0, 256, (ROWS, len(model.vocabulary)), dtype=np.uint8)
    images, embeddings = table_rows(0, visual.astype("<f4"), scores, model)
    (tmp_path / "catalogue").mkdir()
    with open_writer(tmp_path / "index", root=tmp_path / "catalogue") as writer:
        with writer.changing() as connection:
            connection.execute(embedding.insert(), embeddings)
            connection.execute(image.insert(), images)
        with publication(writer, model):
            pass
    return tmp_path / "index"


def test_threads_get_what_one_gets(folder: Path, color_embedder: Any) -> None:
    random = np.random.default_rng(6)
    names = color_embedder.model.vocabulary.names
    asked: list[dict[str, Any]] = []
    for number in range(240):
        one, two = random.choice(names, 2, replace=False)
        ways: list[dict[str, Any]] = [
            {"where": one},
            {"where": f"{one} AND NOT {two}", "facets": []},
            {"where": f"{one} OR {two}>=0.9", "group_by": "upper"},
            {"facets": ["lower"]},
            {"where": one, "weight": 0.5},
            {"where": f"{one} AND {two}", "explain": True},
        ]
        way = ways[number % len(ways)]
        picture = {} if number % 12 in {0, 1} else {"like": int(random.integers(1, ROWS))}
        if way.keys() & {"weight"} or "where" not in way:
            picture = {"like": int(random.integers(1, ROWS))}
        asked.append({**way, **picture, "limit": int(random.integers(1, 30))})

    def answer(catalog: Catalog, each: dict[str, Any]) -> dict[str, Any]:
        found = catalog.search(**each).as_dict()
        del found["milliseconds"]
        return found

    with Index.open(folder) as index:
        alone = [answer(Catalog(index), each) for each in asked]
    assert any("ivf" in each["plan"] for each in alone)
    for _ in range(3):  # what is made when it is first needed is made by several at once
        with Index.open(folder) as index, ThreadPoolExecutor(24) as pool:
            shared = Catalog(index)
            assert list(pool.map(lambda each: answer(shared, each), asked)) == alone  # noqa: B023
