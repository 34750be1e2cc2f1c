"""Inverted lists: masks in their order, and what passes in some of them, by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.vectors.lists import Lists


def lists_of(sizes: list[int], seed: int) -> tuple[Lists, list[NDArray[np.int64]]]:
    """Deal rows out to lists of these sizes."""
    random = np.random.default_rng(seed)
    rows = random.permutation(sum(sizes)).astype(np.int64)
    each = np.split(rows, np.cumsum(sizes)[:-1])
    return Lists(each), each


@given(
    sizes=st.lists(st.sampled_from([0, 0, 1, 2, 7, 8, 9, 16, 31, 64, 100]), min_size=1),
    share=st.sampled_from([0.0, 0.01, 0.2, 0.9, 1.0]),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_what_passes_in_some_lists_is_found_as_by_brute_force(
    sizes: list[int], share: float, seed: int, data: st.DataObject
) -> None:
    lists, rows = lists_of(sizes, seed)
    bits = np.random.default_rng(seed).random(lists.total) < share
    listed = lists.listed(np.packbits(bits, bitorder="little"))
    chosen = data.draw(st.permutations(range(len(sizes))), "lists")
    chosen = chosen[: data.draw(st.integers(1, len(sizes)), "how many")]
    for mask, passes in ((listed, bits), (lists.everything, np.ones_like(bits))):
        found = lists.passing(mask, np.array(chosen))
        assert found.dtype == np.int64
        counts = lists.counts(mask, np.array(chosen))
        assert counts.tolist() == [int(passes[rows[at]].sum()) for at in chosen]
        assert found.tolist() == sorted(r for at in chosen for r in rows[at].tolist() if passes[r])


def test_masks_are_combined_in_either_order() -> None:
    """A filter may bring its parts into the order of the lists before it combines them."""
    lists, _ = lists_of([3, 0, 17, 8, 1], 0)
    random = np.random.default_rng(1)
    one, two = (np.packbits(random.random(29) < 0.5, bitorder="little") for _ in range(2))
    assert lists.listed(one & two).tolist() == (lists.listed(one) & lists.listed(two)).tolist()
    assert lists.listed(one | two).tolist() == (lists.listed(one) | lists.listed(two)).tolist()
    every = np.packbits(np.ones(29, np.uint8), bitorder="little")
    outside = lists.everything & ~lists.listed(one)
    assert lists.listed(every & ~one).tolist() == outside.tolist()


@pytest.mark.parametrize("wrong", [-1, -(2**63), 29, 30, 2**40, 2**63 - 1, 5])
@pytest.mark.parametrize("at", [(0, 0), (2, 16), (4, 0)])
def test_rows_out_of_range_or_twice_are_refused(wrong: int, at: tuple[int, int]) -> None:
    _, rows = lists_of([3, 0, 17, 8, 1], 0)
    if rows[at[0]][at[1]] == wrong:
        wrong += 1
    rows[at[0]][at[1]] = wrong
    with pytest.raises(ValueError, match="do not hold each row once"):
        Lists(rows)
