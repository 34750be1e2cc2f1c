"""The best rows by probability are those of ranking every row."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retrieval.ranking import ByProbability
from retrieval.where.tree import And, Has, Or
from tests.retrieval.where.tables import ATTRIBUTES, index_of

GREY, BLUE, SMALL = (
    Has(*name)
    for name in [("wing_color", ("grey",)), ("wing_color", ("blue",)), ("size", ("small",))]
)
TREES = st.sampled_from([GREY, And((GREY, BLUE, SMALL)), Or((GREY, And((BLUE, SMALL)))), ~GREY])


@given(
    tree=TREES,
    levels=st.sampled_from([[255], [0, 255], [3, 5, 15, 75], list(range(256))]),
    total=st.integers(0, 60),
    number=st.integers(1, 70),
    seed=st.integers(0, 999),
)
def test_the_most_probable(
    tree: Any, levels: list[int], total: int, number: int, seed: int
) -> None:
    # Of 3 x 75 and 15 x 15, the products are the same and the sums of logarithms may not be.
    random = np.random.default_rng(seed)
    scores = random.choice(np.array(levels, dtype=np.uint8), (len(ATTRIBUTES), total))
    rows = np.flatnonzero(random.random(total) < 0.9)
    ranker = ByProbability(index_of(scores, [{}] * total), tree, rows)
    everything = ranker.top(total + 1)
    assert sorted(everything.rows) == rows.tolist()
    order = np.lexsort([everything.rows, -everything.scores])
    assert order.tolist() == list(range(len(rows)))
    best = ranker.top(number)
    assert best.rows.tolist() == everything.rows[:number].tolist()
    assert best.scores.tolist() == everything.scores[:number].tolist()
