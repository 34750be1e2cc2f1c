"""The vector files: streamed, trained, damaged; searches have `test_search` and `test_plans`."""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.approximation import FLAT, RABITQ, SQ8, Approximation, Plan
from indexer.selection import Selection
from indexer.vectors import Vectors, calibration, training, write_flat, write_ivf
from indexer.vectors.files import inner, write_lists
from tests.indexer.vectors import (
    DIM,
    KINDS,
    ROWS,
    clustered,
    flat,
    plans_of,
    prefer,
    time,
    written,
)


@pytest.fixture(autouse=True)
def every_size_is_worth_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small indexes be approximate: whether they are faster is left to the benchmarks."""
    monkeypatch.setattr(training, "FLAT_ROWS", 1000)
    time(monkeypatch)


@pytest.fixture(scope="module", params=KINDS)
def approximate(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Vectors:
    return written(tmp_path_factory.mktemp("approximate"), clustered(ROWS), request.param)


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


def test_what_is_said_of_an_index_is_so(approximate: Vectors) -> None:
    made = approximate.approximation
    assert made
    assert [each.rows for each in made.measured] == [3, 30, 300, ROWS]
    for each in made.measured:
        assert 0.98 <= min(each.lists_recall, each.codes_recall) <= 1
    assert 1 <= made.first < ROWS
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
    assert min(each.lists_recall for each in made.measured) >= 0.98
    assert min(each.codes_recall for each in made.measured) >= 0.98


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
    for kind in (FLAT, second.kind):
        found, _ = opened.search(now.read(0, 50), 1, plan=Plan(kind))
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
    for plan in (Plan(FLAT), Plan(kind)):
        assert opened.search(removed[:1], 100, plan=plan)[0].max() < 2000


def test_a_full_disk_is_an_error_to_the_last_byte(tmp_path: Path) -> None:
    vectors = flat(tmp_path / "flat", clustered(1500))
    write_ivf(tmp_path / "ivf", vectors, None, None)
    size = (tmp_path / "ivf").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, size // 2, size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(OSError, match="too large"):
                write_ivf(tmp_path / "ivf", vectors, None, None)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def files(approximate: Vectors, tmp_path: Path) -> dict[str, Any]:
    """Return what opens each of the two files."""
    made = approximate.approximation
    write_flat(tmp_path / "good", DIM, ROWS, [approximate.read(0, ROWS)])
    with pytest.MonkeyPatch.context() as patch:
        assert made
        prefer(patch, made.kind)
        write_ivf(tmp_path / "ivf", approximate, None, None)

    def use(vectors: Vectors) -> None:
        for among in (None, Selection.of(np.arange(0, ROWS, 2), ROWS)):
            vectors.search(clustered(3, seed=9), 5, among)
            for plan in plans_of(vectors):
                vectors.search(clustered(3, seed=9), 5, among, plan)

    return {
        "good": lambda path: use(Vectors(path, ROWS, DIM)),
        "ivf": lambda path: use(Vectors(tmp_path / "good", ROWS, DIM, (path, made))),
    }


@pytest.mark.parametrize("name", ["good", "ivf"])
def test_a_file_cut_short_or_with_a_garbled_head_is_refused(
    files: dict[str, Any], tmp_path: Path, name: str
) -> None:
    data = (tmp_path / name).read_bytes()
    random = np.random.default_rng(0)
    bad = tmp_path / "bad"
    lengths = [*range(120), *random.integers(0, len(data), 50), *range(len(data) - 45, len(data))]
    damaged = [data[:length] for length in lengths]
    damaged += [
        data[:i] + bytes([data[i] ^ int(random.integers(1, 256))]) + data[i + 1 :]
        for i in random.permutation(np.repeat(np.arange(45), 2))
    ]
    damaged += [data + b"\0", random.bytes(len(data)), b"\x93NUMPY" + data]
    for contents in damaged:
        bad.write_bytes(contents)
        with pytest.raises(ValueError, match=r"\w \w"):
            files[name](bad)
    bad.unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        files[name](bad)
    files[name](tmp_path / name)


def test_codes_and_ids_that_are_wrong_crash_nothing(files: dict[str, Any], tmp_path: Path) -> None:
    data = (tmp_path / "ivf").read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        i = int(random.integers(0, len(data) - 8))
        (tmp_path / "bad").write_bytes(data[:i] + random.bytes(8) + data[i + 8 :])
        try:
            files["ivf"](tmp_path / "bad")
        except ValueError as error:
            refused += re.search("is damaged|each row once", str(error)) is not None
    assert refused > 20


@pytest.mark.parametrize("wrong", [-1, -(2**63), ROWS, 2**40, 2**63 - 1, "of another row"])
@pytest.mark.usefixtures("files")
def test_ids_that_are_no_row_or_one_twice_are_refused(
    approximate: Vectors, tmp_path: Path, wrong: int | str
) -> None:
    made = approximate.approximation
    assert made
    index: Any = faiss.read_index(str(tmp_path / "ivf"))
    lists = inner(index).invlists
    longest = max(range(made.nlist), key=lists.list_size)
    ids = faiss.rev_swig_ptr(lists.get_ids(longest), lists.list_size(longest))
    ids[1] = ids[0] if isinstance(wrong, str) else wrong
    write_lists(tmp_path / "bad", index)
    vectors = Vectors(tmp_path / "good", ROWS, DIM, (tmp_path / "bad", made))
    for among in (None, Selection.of(np.arange(0, ROWS, 2), ROWS)):
        for plan in plans_of(vectors)[1:]:
            with pytest.raises(ValueError, match="do not hold each row once"):
                vectors.search(clustered(1), 5, among, plan)
        assert vectors.search(clustered(1), 5, among)[0].shape == (1, 5)


def test_files_of_another_index_are_refused(approximate: Vectors, tmp_path: Path) -> None:
    other = flat(tmp_path / "flat", clustered(2000))
    made = write_ivf(tmp_path / "ivf", other, None, None)
    assert made
    vectors = clustered(2001)
    flat(tmp_path / "larger", vectors)
    wider = flat(tmp_path / "wider", clustered(2000, DIM + 1))
    another_kind = replace(made, kind=SQ8 if made.kind == RABITQ else RABITQ)
    for path, rows, dim, said in (
        ("larger", 2001, DIM, made),
        ("wider", 2000, wider.dim, made),
        ("flat", 2000, DIM, replace(made, nlist=2 * made.nlist)),
        ("flat", 2000, DIM, another_kind),
    ):
        with pytest.raises(ValueError, match=r"\w \w"):
            Vectors(tmp_path / path, rows, dim, (tmp_path / "ivf", said))
    with pytest.raises(ValueError, match="announces"):
        Vectors(tmp_path / "larger", 2000, DIM)
