"""The vector files: streamed, trained, chosen; searches have `test_search` and `test_plans`."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.approximation import RABITQ, SQ8, Approximation, Plan
from indexer.vectors import Vectors, calibration, training, write_flat, write_ivf
from tests.indexer.vectors import (
    DIM,
    KINDS,
    ROWS,
    clustered,
    flat,
    prefer,
    time,
    written,
)


@pytest.fixture(autouse=True)
def every_size_is_worth_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small indexes be approximate: whether they are faster is left to the benchmarks."""
    monkeypatch.setattr(training, "FLAT_ROWS", 1000)
    time(monkeypatch)


def test_the_flat_file_is_what_faiss_would_write(tmp_path: Path) -> None:
    vectors = clustered(100)
    write_flat(tmp_path / "flat", DIM, 100, (vectors[i : i + 7] for i in range(0, 100, 7)))
    index = faiss.IndexFlatIP(DIM)
    index.add(vectors)
    faiss.write_index(index, str(tmp_path / "faiss"))
    assert (tmp_path / "flat").read_bytes() == (tmp_path / "faiss").read_bytes()


def test_writing_holds_no_more_than_a_block(tmp_path: Path) -> None:
    def blocks() -> Iterator[NDArray[np.float32]]:
        block = clustered(1000, 256)
        for _ in range(200):
            yield block

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    write_flat(tmp_path / "flat", 256, 200_000, blocks())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB, of 200,000


@pytest.mark.parametrize("rows", [99, 101])
def test_another_number_of_vectors_than_announced_is_refused(tmp_path: Path, rows: int) -> None:
    with pytest.raises(ValueError, match="instead of"):
        write_flat(tmp_path / "flat", DIM, rows, [clustered(100)])
    with pytest.raises(ValueError, match="instead of"):
        write_flat(tmp_path / "flat", DIM + 1, 100, [clustered(100)])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_of_an_index_is_so(tmp_path: Path, kind: str) -> None:
    made = written(tmp_path, clustered(ROWS), kind).approximation
    assert made
    assert [each.rows for each in made.measured] == [3, 30, 300, ROWS // 2, ROWS]
    for each in made.measured:
        assert 0.98 <= each.recall <= 1
    assert made.first >= 1
    assert (made.queries, made.nlist) == (50, 128)
    assert made.trained_rows == ROWS
    assert Approximation.from_dict(json.loads(json.dumps(made.as_dict()))) == made


def test_the_same_vectors_make_the_same_files(tmp_path: Path) -> None:
    vectors = flat(tmp_path / "flat", clustered(2000))
    first = write_ivf(tmp_path / "first", vectors, None, None)
    assert write_ivf(tmp_path / "second", vectors, None, None) == first
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize(
    ("sq8", "rabitq", "kept"),
    [(1.0, 5.0, SQ8), (5.0, 1.0, RABITQ), (1.0, 1.2, RABITQ), (1.2, 1.0, RABITQ), (6, 6, None)],
)
def test_the_faster_kind_is_kept_and_the_smaller_of_equals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sq8: float, rabitq: float, kept: str | None
) -> None:
    vectors = flat(tmp_path / "flat", clustered(1500))
    time(monkeypatch, ivf_flat=5.0, ivf_sq8=sq8, ivf_rabitq=rabitq)
    made = write_ivf(tmp_path / "ivf", vectors, None, None)
    assert (made.kind if made else None) == kept
    assert (tmp_path / "ivf").exists() == (kept is not None)


def test_too_few_rows_or_too_low_a_recall_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = flat(tmp_path / "few", clustered(999))
    assert write_ivf(tmp_path / "ivf", few, None, None) is None
    vectors = flat(tmp_path / "flat", clustered(1000))
    assert write_ivf(tmp_path / "ivf", vectors, None, None)
    (tmp_path / "ivf").unlink()
    monkeypatch.setattr(calibration, "RECALL", 1.01)
    assert write_ivf(tmp_path / "ivf", vectors, None, None) is None
    assert not (tmp_path / "ivf").exists()


def test_equal_vectors_do_not_count_as_missed(tmp_path: Path) -> None:
    """Of 1,500 rows that are all alike, any ten are the nearest ten."""
    vectors = flat(tmp_path / "flat", np.repeat(clustered(50), 30, axis=0))
    made = write_ivf(tmp_path / "ivf", vectors, None, None)
    assert made
    assert min(each.recall for each in made.measured) >= 0.98


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list of k-means iterations run from now on."""
    runs = []
    run = training._centroids

    def counted(sample: Any, nlist: int, iterations: int, start: Any = None) -> Any:
        runs.append(iterations)
        return run(sample, nlist, iterations, start)

    monkeypatch.setattr(training, "_centroids", counted)
    return runs


@pytest.mark.parametrize(("rows", "again"), [(1100, 1), (3990, 1), (4010, 10), (1000, 10)])
def test_centroids_are_kept_until_the_rows_have_doubled_or_halved(
    tmp_path: Path,
    trainings: list[int],
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    again: int,
) -> None:
    prefer(monkeypatch, SQ8)
    vectors = flat(tmp_path / "flat", clustered(4010))
    first = write_ivf(tmp_path / "1", flat(tmp_path / "old", vectors.read(0, 2000)), None, None)
    assert first
    now = flat(tmp_path / "new", vectors.read(0, rows))
    second = write_ivf(tmp_path / "2", now, tmp_path / "1", first)
    assert trainings == [10, again]
    assert second
    assert second.trained_rows == (2000 if again == 1 else rows)
    opened = Vectors(tmp_path / "new", rows, DIM, (tmp_path / "2", second))
    found, _ = opened.search(now.read(0, 50), 1, plan=Plan(second.kind))
    assert found[:, 0].tolist() == list(range(50))


def test_centroids_that_no_longer_reach_the_recall_are_sought_anew(
    tmp_path: Path, trainings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = flat(tmp_path / "flat", clustered(2000))
    others = flat(tmp_path / "others", clustered(2000, seed=1))
    first = write_ivf(tmp_path / "1", others, None, None)
    anew = write_ivf(tmp_path / "anew", vectors, None, None)
    measure = calibration.Probes.measured

    def fallen(probes: Any, index: Any, approximation: Approximation) -> Any:
        made = measure(probes, index, approximation)
        return made if trainings[-1] == 10 else None

    monkeypatch.setattr(calibration.Probes, "measured", fallen)
    assert write_ivf(tmp_path / "2", vectors, tmp_path / "1", first) == anew
    assert (tmp_path / "2").read_bytes() == (tmp_path / "anew").read_bytes()
    assert trainings == [10, 10, 1, 10]


def test_a_damaged_previous_file_does_not_stop_a_build(
    tmp_path: Path, trainings: list[int]
) -> None:
    vectors = flat(tmp_path / "flat", clustered(2000))
    first = write_ivf(tmp_path / "1", vectors, None, None)
    (tmp_path / "1").write_bytes((tmp_path / "1").read_bytes()[:-1])
    assert write_ivf(tmp_path / "2", vectors, tmp_path / "1", first) == first
    assert write_ivf(tmp_path / "3", vectors, tmp_path / "gone", first) == first
    assert trainings == [10, 10, 10]


@pytest.mark.parametrize("kind", KINDS)
def test_removed_vectors_are_nowhere_in_the_new_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """They are far from all others, so that a centroid was theirs alone."""
    random = np.random.default_rng(0)
    kept, removed = clustered(2000), 0.01 * random.standard_normal((100, DIM), dtype=np.float32)
    kept[:, 0] = -np.abs(kept[:, 0])
    removed[:, 0] += 1
    removed /= np.linalg.norm(removed, axis=1, keepdims=True)
    prefer(monkeypatch, kind)
    first = write_ivf(tmp_path / "1", flat(tmp_path / "a", np.vstack([kept, removed])), None, None)
    second = write_ivf(tmp_path / "2", flat(tmp_path / "b", kept), tmp_path / "1", first)
    assert first
    assert second
    assert (first.kind, second.kind, second.trained_rows) == (kind, kind, 2100)

    turned = faiss.RandomRotationMatrix(DIM, DIM)
    turned.init(0)

    def distance(path: Path) -> float:
        """Return how far the nearest centroid is from the removed vectors."""
        index = faiss.read_index(str(path))
        ivf: Any = faiss.downcast_index(index.index)
        centroids = ivf.quantizer.reconstruct_n(0, ivf.nlist)
        center = turned.apply(removed.mean(axis=0, keepdims=True))
        return float(np.linalg.norm(centroids - center, axis=1).min())

    assert distance(tmp_path / "1") < 0.1
    assert distance(tmp_path / "2") > 0.9
    written = [(tmp_path / name).read_bytes() for name in ("b", "2")]
    for vector in np.vstack([removed, turned.apply(removed)]):
        assert not any(vector.tobytes() in data for data in written)
    opened = Vectors(tmp_path / "b", 2000, DIM, (tmp_path / "2", second))
    assert opened.search(removed[:1], 100, plan=Plan(kind))[0].max() < 2000
