"""Counts of many attributes at once are those of counting one row after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.counting import Counter
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
    counts, any_ = Counter(masks).count(Selection(packed(among)))
    assert counts == (has & among).sum(axis=1).tolist()
    assert any_ == (has.any(axis=0) & among).sum()
    assert Selection(packed(among)).counts(masks) == counts


@given(st.integers(1, 100), st.sets(st.integers(0, 99)))
def test_all_rows_but_some(rows: int, left_out: set[int]) -> None:
    some = sorted(each for each in left_out if each < rows)
    left = Selection.all(rows).without(some)
    assert left.rows.tolist() == sorted(set(range(rows)) - set(some))
    assert left.count == rows - len(some)
    assert Selection.all(rows).count == rows
