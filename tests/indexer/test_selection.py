"""Selections of rows: counted, listed, brought into another order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.selection import Mask, Selection, places


@given(
    total=st.integers(0, 700),
    share=st.sampled_from([0.0, 0.002, 0.02, 0.2, 0.5, 0.9, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_count_rows_and_mask_are_those_of_the_bits(total: int, share: float, seed: int) -> None:
    bits = np.random.default_rng(seed).random(total) < share
    rows, mask = np.flatnonzero(bits), np.packbits(bits, bitorder="little")
    for selection in (Selection(mask), Selection.of(rows, total)):
        assert selection.mask.tolist() == mask.tolist()
        assert selection.count == len(rows)
        assert selection.rows.dtype == np.int64
        assert selection.rows.tolist() == rows.tolist()


@given(data=st.binary(max_size=40), zeros=st.integers(0, 60))
def test_places_are_found_in_any_mask(data: bytes, zeros: int) -> None:
    mask = np.frombuffer(b"\0" * zeros + data, np.uint8)  # as of a file: not to be written to
    found = places(mask)
    assert found.dtype == np.int64
    assert found.tolist() == [i for i in range(8 * len(mask)) if mask[i // 8] >> (i % 8) & 1]


def test_rows_may_come_in_any_order_and_more_than_once() -> None:
    assert Selection.of(np.array([9, 2, 9, 0]), 10).rows.tolist() == [0, 2, 9]
    assert Selection.of(np.array([], dtype=np.int64), 10).rows.tolist() == []
    with pytest.raises(IndexError):
        Selection.of(np.array([10]), 10)


def test_the_order_of_the_lists_is_asked_for_once() -> None:
    mask = np.array([5], np.uint8)
    asked: list[NDArray[np.uint8]] = []

    def reorder(each: Mask) -> Mask:
        asked.append(each)
        return each[::-1]

    selection = Selection(mask)
    for _ in range(2):
        assert selection.listed(reorder).tolist() == [5]
    assert len(asked) == 1
    assert asked[0] is mask
    quicker = Selection(mask, lambda: np.array([7], np.uint8))
    assert quicker.listed(reorder).tolist() == [7]
    assert len(asked) == 1
