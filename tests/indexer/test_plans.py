"""What every plan of a search promises, whatever the filter: brute force beside it."""

from __future__ import annotations

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.approximation import RABITQ, SQ8, Plan
from indexer.selection import Selection
from indexer.vectors import Vectors
from indexer.vectors.lists import Lists
from tests.indexer.vectors import (
    DIM,
    KINDS,
    ROWS,
    brute_force,
    clustered,
    flat,
    plans_of,
    written,
)

FILTERS = ["random", "alike", "unlike"]


@pytest.fixture(scope="module", params=KINDS)
def approximate(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Vectors:
    return written(tmp_path_factory.mktemp("approximate"), clustered(ROWS), request.param)


def masked(bits: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.packbits(bits, bitorder="little")


def passing(
    kind: str, vectors: NDArray[np.float32], like: NDArray[np.float32], share: float, seed: int
) -> NDArray[np.int64]:
    """Return the rows, one at least, that pass a filter of a kind."""
    number = max(round(share * len(vectors)), 1)
    if kind == "random":
        order = np.random.default_rng(seed).permutation(len(vectors))
    else:
        similarities = vectors @ like
        order = np.argsort(-similarities if kind == "alike" else similarities)
    return np.sort(order[:number])


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(FILTERS),
    exponent=st.floats(-4, 0),
    everything=st.booleans(),
    wanted=st.sampled_from(["few", "any", "nearly all", "more"]),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_any_filter_any_k(
    approximate: Vectors,
    kind: str,
    exponent: float,
    everything: bool,
    wanted: str,
    seed: int,
    data: st.DataObject,
) -> None:
    """The exact plan is right; the others return as many different rows that pass, in order."""
    vectors = approximate.read(0, ROWS)
    queries = clustered(2, seed=seed)
    # What passes is near to, or far from, the first of the queries.
    rows = passing(kind, vectors, queries[0], 10**exponent, seed)
    if everything:
        rows = np.arange(ROWS)
    low, high = {
        "few": (0, 12),
        "any": (0, len(rows)),
        "nearly all": (max(len(rows) - 3, 0), len(rows)),
        "more": (len(rows), len(rows) + 5),
    }[wanted]
    k = data.draw(st.integers(low, high), "k")
    among = None if everything else Selection.of(rows, ROWS)
    for plan in plans_of(approximate):
        found, similarities = approximate.search(queries, k, among, plan)
        assert found.shape == similarities.shape == (2, min(k, len(rows)))
        assert (found.dtype, similarities.dtype) == (np.int64, np.float32)
        for query, row, similarity in zip(queries, found, similarities, strict=True):
            best = brute_force(vectors, query, k, rows if plan == Plan() else row)
            assert (row.tolist(), similarity.tolist()) == tuple(each.tolist() for each in best)
            assert len(np.unique(row)) == len(row)
            assert np.isin(row, rows).all()


def realistic(rows: int, dim: int, seed: int) -> NDArray[np.float32]:
    """Return vectors in clusters, with a spectrum like that of vectors after a PCA."""
    random = np.random.default_rng(0)
    spectrum = 1 / np.sqrt(np.arange(1, dim + 1))
    middles = random.standard_normal((150, dim)) * spectrum
    random = np.random.default_rng(seed)
    vectors = middles[random.integers(0, 150, rows)]
    vectors += 0.7 * random.standard_normal((rows, dim)) * spectrum
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def recalls(
    opened: Vectors, vectors: NDArray[np.float32], queries: NDArray[np.float32], plan: Plan
) -> dict[tuple[str, float], float]:
    """Return the mean recall@10 by kind of filter, made for each query, and share that passes."""
    likeness = vectors @ queries.T
    recall = {}
    for kind, share in itertools.product(FILTERS, (0.001, 0.01, 0.1, 0.5, 1.0)):
        hits = 0
        for at, query in enumerate(queries):
            rows = passing(kind, vectors, query, share, at)
            among = Selection.of(rows, len(vectors))
            found, _ = opened.search(query[np.newaxis], 10, among, plan)
            assert np.isin(found, rows).all()
            assert len(np.unique(found)) == 10
            tenth = np.partition(likeness[rows, at], -10)[-10] - 1e-6
            hits += int((likeness[found[0], at] >= tenth).sum())
        recall[kind, share] = hits / 10 / len(queries)
    return recall


@pytest.mark.parametrize(("codes", "dim"), [(SQ8, 32), (RABITQ, 128)])
def test_nearly_all_of_the_nearest_are_found_through_every_filter(
    tmp_path: Path, codes: str, dim: int
) -> None:
    vectors = realistic(20_000, dim, 1)
    opened = written(tmp_path, vectors, codes, if_good=True)
    queries = realistic(30, dim, 2)
    for plan in plans_of(opened)[1:]:
        recall = recalls(opened, vectors, queries, plan)
        assert not {key: each for key, each in recall.items() if each < 0.95}


@pytest.mark.parametrize("codes", KINDS)
def test_the_nearest_of_what_is_far_are_hardly_apart_and_found(tmp_path: Path, codes: str) -> None:
    """Of the half least alike to a query, thousands are about equally far from it."""
    vectors, queries = realistic(20_000, 32, 1), realistic(30, 32, 2)
    opened = written(tmp_path, vectors, codes, if_good=True)
    for query in queries:
        likeness = vectors @ query
        rows = np.sort(np.argsort(likeness)[: len(vectors) // 2])
        among = Selection.of(rows, len(vectors))
        found, _ = opened.search(query[np.newaxis], 10, among, plans_of(opened)[1])
        assert found.tolist() == opened.search(query[np.newaxis], 10, among)[0].tolist()


def test_one_more_that_is_wanted_is_little_more_to_look_at(
    approximate: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else recall, which is measured with one more than ten, would be that of another search."""
    known = approximate.approximation
    assert known
    looked_at: list[int] = []
    listed = Lists.passing

    def counted(*given: Any) -> NDArray[np.int64]:
        rows = listed(*given)
        looked_at.append(len(rows))
        return rows

    monkeypatch.setattr(Lists, "passing", counted)
    monkeypatch.setattr("indexer.vectors.search._SPARSE", 2.0)  # have no codes read
    longest = int(approximate.lists.sizes.max())
    monkeypatch.setattr(approximate, "approximation", replace(known, first=200))
    for k, least in ((1, 200), (10, 200), (11, 220)):
        looked_at.clear()
        approximate.search(clustered(1, seed=9), k, None, Plan(known.kind))
        assert 2 * least <= looked_at[0] <= 2 * (least + longest)


def test_many_queries_at_once_find_what_each_finds_alone(approximate: Vectors) -> None:
    queries = np.vstack([clustered(12, seed=3), approximate.read(0, 8)])
    random = np.random.default_rng(0)
    for share in (None, 0.001, 0.01, 0.3, 1.0):
        among = None if share is None else Selection(masked(random.random(ROWS) < share))
        for plan, k in itertools.product(plans_of(approximate), (1, 10, 100, ROWS)):
            found, similarities = approximate.search(queries, k, among, plan)
            alone = [approximate.search(each[np.newaxis], k, among, plan) for each in queries]
            assert found.tobytes() == np.vstack([each for each, _ in alone]).tobytes()
            assert similarities.tobytes() == np.vstack([each for _, each in alone]).tobytes()
            if k == 100:  # with so few queries that they are not multiplied by blocks, too
                three = approximate.search(queries[:3], k, among, plan)
                assert three[0].tobytes() == found[:3].tobytes()
                assert three[1].tobytes() == similarities[:3].tobytes()


def test_equal_vectors_are_found_in_the_order_of_their_rows(tmp_path: Path) -> None:
    """Batches, parts of the rows and lists all cut through rows that are alike."""
    vectors = np.repeat(clustered(60), 200, axis=0)[np.random.default_rng(0).permutation(12_000)]
    opened = written(tmp_path, vectors, SQ8)
    queries = clustered(6)
    for among in (None, Selection.of(np.arange(1, 12_000, 3), 12_000)):
        rows = np.arange(12_000) if among is None else among.rows
        for k, batch in itertools.product((5, 200), (queries, queries[:1])):
            found, similarities = opened.search(batch, k, among)
            for at, query in enumerate(batch):
                best = brute_force(vectors, query, k, rows)
                assert found[at].tolist() == best[0].tolist()
                assert similarities[at].tolist() == best[1].tolist()


def test_one_object_is_searched_from_many_threads(approximate: Vectors, tmp_path: Path) -> None:
    known = approximate.approximation
    assert known
    vectors = approximate.read(0, ROWS)
    kept = written(tmp_path, vectors, known.kind)
    queries = clustered(8, seed=4)
    mask = masked(np.random.default_rng(5).random(ROWS) < 0.2)
    ways = list(itertools.product([None, mask], plans_of(approximate), [1, 8]))

    def results(opened: Vectors, shared: Selection) -> list[bytes]:
        found = [
            opened.search(queries[:count], 10, None if each is None else shared, plan)
            for each, plan, count in ways
        ]
        return [each.tobytes() for pair in found for each in pair]

    expected = results(kept, Selection(mask))
    for _ in range(10):
        # Opened anew: what it makes when it is first needed is needed by all at once.
        opened = Vectors(tmp_path / "flat", ROWS, DIM, (tmp_path / "ivf", known))
        shared, together = Selection(mask), Barrier(8)

        def search(opened: Vectors, shared: Selection, together: Barrier) -> list[bytes]:
            together.wait()
            return results(opened, shared)

        with ThreadPoolExecutor(8) as pool:
            runs = [pool.submit(search, opened, shared, together) for _ in range(8)]
            assert all(run.result() == expected for run in runs)


FORKS = """
import os, signal, sys
from pathlib import Path
from indexer.vectors import Vectors

vectors = Vectors(Path(sys.argv[1]), 60_000, 16)
query = vectors.read(5, 6)
for _ in range(20):  # until all threads have started
    vectors.search(query, 3)
child = os.fork()
if not child:
    signal.alarm(20)
    os._exit(0 if vectors.search(query, 3)[0][0, 0] == 5 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_process_that_was_forked_after_a_search_searches(tmp_path: Path) -> None:
    """As those of a server do that loads its catalogue first; threads do not come along."""
    flat(tmp_path / "flat", clustered(60_000))
    program = [sys.executable, "-c", FORKS, str(tmp_path / "flat")]
    subprocess.run(program, cwd=Path(__file__).parents[2], check=True)


def test_a_plan_that_there_is_no_index_for_is_refused(approximate: Vectors, tmp_path: Path) -> None:
    known = approximate.approximation
    assert known
    other = RABITQ if known.kind == SQ8 else SQ8
    bare = flat(tmp_path / "flat", approximate.read(0, ROWS))
    for vectors, plan in ((approximate, Plan(other)), (bare, Plan(other)), (bare, Plan(SQ8))):
        with pytest.raises(ValueError, match="no approximate index"):
            vectors.search(clustered(1), 5, None, plan)
    with pytest.raises(ValueError, match="no approximate index"):
        _ = bare.lists
