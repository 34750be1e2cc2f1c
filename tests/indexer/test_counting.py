"""Counts of many attributes at once are those of counting one row after the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.counting import Counter, Counts, KeptCounts
from indexer.selection import Selection

SHARES = st.sampled_from([0.0, 0.001, 0.05, 0.5, 1.0])


def packed(bits: NDArray[np.bool_]) -> Any:
    return np.packbits(bits, axis=-1, bitorder="little")


@given(st.integers(1, 3000), SHARES, st.lists(SHARES, min_size=1, max_size=6), st.integers(0, 99))
def test_counts(rows: int, share: float, shares: list[float], seed: int) -> None:
    random = np.random.default_rng(seed)
    among = random.random(rows) < share
    has = np.array([random.random(rows) < each for each in shares])
    masks = list(packed(has))
    counts = Counter(masks).count(Selection(packed(among)))
    assert counts.each.tolist() == (has & among).sum(axis=1).tolist()
    assert counts.any == (has.any(axis=0) & among).sum()
    assert Selection(packed(among)).counts(masks) == counts.each.tolist()


@given(st.integers(1, 100), st.sets(st.integers(0, 99)))
def test_all_rows_but_some(rows: int, left_out: set[int]) -> None:
    some = sorted(each for each in left_out if each < rows)
    left = Selection.all(rows).without(some)
    assert left.rows.tolist() == sorted(set(range(rows)) - set(some))
    assert left.count == rows - len(some)
    assert Selection.all(rows).count == rows


def plain(counts: Counts) -> tuple[list[int], int]:
    return counts.each.tolist(), counts.any


@given(
    rows=st.integers(1, 300),
    share=SHARES,
    shares=st.lists(SHARES, min_size=2, max_size=6),
    left_out=st.lists(st.integers(0, 299), max_size=6),
    seed=st.integers(0, 99),
)
def test_kept_counts_are_those_of_counting_anew(
    rows: int, share: float, shares: list[float], left_out: list[int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    among = random.random(rows) < share
    has = np.array([random.random(rows) < each for each in shares])
    gone = [each for each in left_out if each < rows]
    kept = KeptCounts(packed(has))
    groups = [(0, 1), tuple(range(len(shares)))[1:]]
    for asked in (groups[:1], groups, groups, groups[::-1]):  # counted, and then found
        whole = Selection(packed(among))
        for left in (whole, whole.without(gone), whole.without(gone[:1]).without(gone)):
            bits = np.unpackbits(left.mask, bitorder="little")[:rows].astype(np.bool_)
            for positions, counts in zip(asked, kept.count(asked, left), strict=True):
                chosen = has[list(positions)]
                wanted = (chosen & bits).sum(axis=1).tolist(), (chosen.any(axis=0) & bits).sum()
                assert plain(counts) == wanted


def test_the_same_rows_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[bytes] = []
    count = Counter.count

    def noted(counter: Counter, among: Selection) -> Counts:
        counted.append(among.mask.tobytes())
        return count(counter, among)

    monkeypatch.setattr(Counter, "count", noted)
    has = np.random.default_rng(0).random((3, 64)) < 0.5
    kept = KeptCounts(packed(has), most=2)
    one, two, three = (Selection.of(np.arange(each), 64) for each in (10, 20, 30))
    kept.count([(0, 1)], one)
    kept.count([(0, 1)], Selection.of(np.arange(10), 64))
    kept.count([(0, 1)], one.without([3]))
    assert len(counted) == 1
    kept.count([(0, 1), (2,)], one)  # other attributes
    assert len(counted) == 2
    kept.count([(0, 1)], two)
    kept.count([(0, 1)], one)
    kept.count([(0, 1)], three)  # of the three, two is the one asked for longest ago
    assert len(counted) == 4
    kept.count([(0, 1)], one)
    kept.count([(0, 1)], three)
    assert len(counted) == 4
    kept.count([(0, 1)], two)
    assert len(counted) == 5


def test_threads_count_together() -> None:
    random = np.random.default_rng(0)
    has = random.random((4, 500)) < 0.3
    kept = KeptCounts(packed(has), most=3)
    filters = random.random((8, 500)) < 0.5
    wanted = [
        ((has & each).sum(axis=1).tolist(), (has.any(axis=0) & each).sum()) for each in filters
    ]

    def count(number: int) -> bool:
        which = number % len(filters)
        (counts,) = kept.count([(0, 1, 2, 3)], Selection(packed(filters[which])))
        return plain(counts) == wanted[which]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(count, range(400)))
