"""Filters and nearest neighbours, against brute force."""

from __future__ import annotations

import itertools
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetag_model.images import load_rgb, to_pixels
from indexer import Index, build, cutoff
from indexer.quantise import to_bytes
from indexer.selection import Selection
from indexer.vectors import Vectors, write_flat
from tests.indexer.vectors import brute_force


@settings(max_examples=150, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 300))
def test_search_equals_brute_force(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, seed: int, rows: int
) -> None:
    random = np.random.default_rng(seed)
    dim = data.draw(st.sampled_from([1, 3, 7, 64]), "dim")
    distinct = data.draw(st.sampled_from([1, 2, rows]), "different vectors")
    made = random.standard_normal((distinct, dim)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    vectors = made[random.integers(0, distinct, rows)]
    queries = made[random.integers(0, distinct, data.draw(st.integers(0, 25), "queries"))]
    k = data.draw(st.integers(0, rows + 5), "k")
    share = data.draw(st.sampled_from([None, 0.0, 0.02, 0.5, 1.0]), "share that passes")
    passing = None if share is None else np.flatnonzero(random.random(rows) < share)

    path = tmp_path_factory.mktemp("vectors") / "visual.faiss"
    cut = int(random.integers(0, rows + 1))
    write_flat(path, dim, rows, (vectors[:cut], vectors[cut:]))
    selected = None if passing is None else Selection.of(passing, rows)
    found, similarities = Vectors(path, rows, dim).search(queries, k, selected)

    among = np.arange(rows) if passing is None else passing
    assert found.shape == similarities.shape == (len(queries), min(k, len(among)))
    assert (found.dtype, similarities.dtype) == (np.int64, np.float32)
    for query, row, similarity in zip(queries, found, similarities, strict=True):
        expected, products = brute_force(vectors, query, k, among)
        assert row.tolist() == expected.tolist()
        assert similarity.tolist() == products.tolist()


def test_vectors_of_another_length_are_refused(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    index = Index.open(index_dir)
    with pytest.raises(ValueError, match="needs"):
        index.search(np.ones((1, 6), dtype=np.float32), 3)
    with pytest.raises(ValueError, match="needs"):
        index.search(np.ones(7, dtype=np.float32), 3)


@pytest.mark.usefixtures("database")
def test_an_index_opened_by_a_relative_path_outlives_a_change_of_folder(
    catalogue: Path, tmp_path: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build(Path("catalogue"), Path("index"), color_embedder)
    index = Index.open(Path("index"))
    monkeypatch.chdir("/")
    rows, _ = index.search(np.eye(1, 7, dtype=np.float32), 5)
    assert {each.absolute.parent for each in index.images(rows[0])} >= {catalogue}


def test_an_image_is_its_own_nearest_neighbour(
    many: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(many, index_dir, color_embedder)
    index = Index.open(index_dir)
    for record in index.images([3, 0, 49, 3]):
        pixels = to_pixels(load_rgb(record.absolute), 8)[np.newaxis]
        rows, similarities = index.search(color_embedder.embed(pixels).visual, 1)
        assert index.images(rows[0])[0] == record
        assert similarities[0, 0] == pytest.approx(1.0, abs=1e-6)


def test_matching_is_the_and_of_the_thresholds(
    many: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(many, index_dir, color_embedder)
    index = Index.open(index_dir)
    scores = np.load(index_dir / "generations" / "1" / "scores.npy")
    query = np.full((1, 7), 7**-0.5, dtype=np.float32)
    for count in range(3):
        for positions in itertools.combinations(range(10), count):
            expected = [row for row in range(50) if all(scores[p, row] >= 128 for p in positions)]
            matching = index.matching(positions)
            assert matching.dtype == np.int64
            assert matching.tolist() == expected
            found, _ = index.search(query, 1000, Selection.of(matching, 50))
            assert sorted(found[0].tolist()) == expected


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    edges=st.lists(st.tuples(st.integers(0, 49), st.integers(-1, 1)), min_size=10, max_size=10),
    out_of_reach=st.sets(st.integers(0, 9), max_size=1),
    positions=st.lists(st.integers(0, 9), max_size=4),
)
def test_matching_goes_by_the_thresholds_of_the_model(
    *,
    many: Path,
    index_dir: Path,
    color_embedder: Any,
    edges: list[tuple[int, int]],
    out_of_reach: set[int],
    positions: list[int],
) -> None:
    """Each threshold is just at, a level under or a level over the score of some image."""
    build(many, index_dir, color_embedder)
    with closing(Index.open(index_dir)) as index:
        scores = np.array([index.scores(position) for position in range(10)], np.int64)
    levels = [int(scores[p, row]) + step for p, (row, step) in enumerate(edges)]
    levels = [300 if p in out_of_reach else level for p, level in enumerate(levels)]
    color_embedder.model.thresholds[:] = np.array(levels) / 255
    build(many, index_dir, color_embedder)
    expected = [
        row for row in range(50) if all(int(scores[p, row]) >= levels[p] for p in positions)
    ]
    with closing(Index.open(index_dir)) as index:
        assert index.matching(positions).tolist() == expected
    if out_of_reach & set(positions):
        assert expected == []


def test_attributes_need_neither_faiss_nor_pillow_nor_a_runtime(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    program = (
        "import sys; from pathlib import Path; from indexer import Index, find_index;"
        "index = Index.open(find_index(Path(sys.argv[1]))); index.images(index.matching([0]));"
        "print(sorted({'faiss', 'PIL', 'torch', 'onnxruntime'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(index_dir)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("threshold", np.linspace(0, 1, 101))
def test_a_score_passes_the_threshold_that_equals_it(threshold: float) -> None:
    needed = cutoff(threshold)
    assert needed == cutoff(float(np.float32(threshold)))
    assert (needed - 1) / 255 < threshold <= needed / 255 + 1e-6


def test_scores_are_rounded_probabilities() -> None:
    probabilities = np.array([[-1e-7, 0.0, 0.1, 0.5, 0.999, 1.0, 1.0000001]], dtype=np.float32)
    stored = to_bytes(probabilities)
    assert stored.dtype == np.uint8
    assert stored.tolist() == [[0, 0, 26, 128, 255, 255, 255]]
    assert cutoff(1.5) > 255
