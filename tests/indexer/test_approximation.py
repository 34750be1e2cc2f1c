"""What a manifest says of an approximate index: the plan that follows from it, and its checks."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.approximation import EXACT, MANY, SQ8, Approximation, Measured, Plan

SOUND = Approximation(
    kind=SQ8,
    nlist=64,
    first=256,
    rerank=10,
    queries=50,
    trained_rows=5000,
    measured=(
        Measured(100, 0.1, 0.05, 1.0, 1.0),
        Measured(10_000, 10.0, 2.0, 1.0, 0.995),
        Measured(1_000_000, 1000.0, 100.0, 3.0, 0.985),
    ),
)

times = st.floats(1e-3, 1e4)


@given(
    points=st.lists(st.tuples(times, times, times), min_size=1, max_size=5),
    rows=st.integers(2, 10**7),
    data=st.data(),
    queries=st.sampled_from([1, 2, MANY - 1, MANY, 50]),
)
def test_the_plan_has_the_least_of_the_interpolated_times(
    points: list[tuple[float, float, float]], rows: int, data: st.DataObject, queries: int
) -> None:
    k = data.draw(st.integers(1, rows - 1), "k")
    measured = tuple(Measured(10 ** (i + 1), *each, 0.99) for i, each in enumerate(points))
    plan = replace(SOUND, measured=measured).plan(rows, k, queries)

    def expected(name: str) -> float:
        """Return the time on the straight line through the logarithms of two points."""
        logs = [math.log(getattr(each, name)) for each in measured]
        if len(logs) == 1:
            return math.exp(logs[0])
        at = min(max(math.ceil(round(math.log10(rows), 12)) - 2, 0), len(logs) - 2)
        return math.exp(logs[at] + (math.log10(rows) - at - 1) * (logs[at + 1] - logs[at]))

    costs = {
        EXACT: expected("batch" if queries >= MANY else "exact"),
        SQ8: expected("lists") * max(1.0, k / 10),
    }
    assert costs[plan.kind] <= min(costs.values()) * (1 + 1e-6)
    assert plan.recall == {EXACT: 1.0, SQ8: 0.99}[plan.kind]


@pytest.mark.parametrize(
    ("rows", "k", "queries", "plan"),
    [
        (0, 10, 1, Plan()),
        (1, 1, 1, Plan()),
        (10**6, 10**6, 1, Plan()),
        (10**6, 10**7, 1, Plan()),
        (100, 10, 1, Plan()),
        (1000, 10, 1, Plan()),  # both take a millisecond: of equals the more exact
        (1001, 10, 1, Plan(SQ8, 0.995)),  # of the neighbours the lower recall
        (10_000, 0, 1, Plan(SQ8, 0.995)),
        (10_000, 10, 1, Plan(SQ8, 0.995)),
        (10_000, 99, 1, Plan(SQ8, 0.995)),
        (10_000, 101, 1, Plan()),
        (20_000, 10, 1, Plan(SQ8, 0.985)),
        (10**6, 3000, 1, Plan(SQ8, 0.985)),
        (10**6, 3400, 1, Plan()),
        (10**8, 10, 1, Plan(SQ8, 0.985)),
        (10_000, 21, MANY - 1, Plan(SQ8, 0.995)),
        (10_000, 10, MANY, Plan(SQ8, 0.995)),
        (10_000, 21, MANY, Plan()),
    ],
)
def test_plans_by_rows_that_pass_k_and_queries(rows: int, k: int, queries: int, plan: Plan) -> None:
    assert SOUND.plan(rows, k, queries) == plan


def test_of_one_size_that_was_measured_the_times_are_those_of_all() -> None:
    one = replace(SOUND, measured=SOUND.measured[-1:])
    assert [one.plan(rows, 10).kind for rows in (11, 10**6, 10**9)] == [SQ8] * 3
    assert one.plan(10, 10) == Plan()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "hnsw"),
        ("kind", EXACT),
        ("kind", None),
        ("nlist", 0),
        ("nlist", 64.0),
        ("first", 0),
        ("first", True),
        ("rerank", -1),
        ("queries", "200"),
        ("trained_rows", []),
        ("measured", ()),
        ("measured", None),
        ("measured", {}),
        ("measured", [None]),
        ("measured", [[1, 2]]),
        ("unknown", 1),
    ],
)
def test_what_is_said_of_an_index_is_checked(name: str, value: object) -> None:
    assert Approximation.from_dict(SOUND.as_dict()) == SOUND
    with pytest.raises(ValueError, match="approximate index"):
        Approximation.from_dict({**SOUND.as_dict(), name: value})


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", 0),
        ("rows", -5),
        ("rows", 10.0),
        ("rows", None),
        ("exact", 0.0),
        ("exact", 1),
        ("exact", float("inf")),
        ("batch", float("nan")),
        ("lists", -1.0),
        ("lists", "fast"),
        ("recall", 1.5),
        ("recall", 1),
        ("recall", -0.1),
        ("recall", float("nan")),
        ("unknown", 1.0),
    ],
)
def test_what_was_measured_is_checked(at: int, name: str, value: object) -> None:
    measured: list[dict[str, Any]] = [asdict(each) for each in SOUND.measured]
    measured[at][name] = value
    with pytest.raises(ValueError, match="approximate index"):
        Approximation.from_dict({**SOUND.as_dict(), "measured": measured})


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 0, 1), (2, 1, 0)])
def test_sizes_are_measured_once_and_ascend(order: tuple[int, ...]) -> None:
    measured = [asdict(SOUND.measured[at]) for at in order]
    with pytest.raises(ValueError, match="out of range"):
        Approximation.from_dict({**SOUND.as_dict(), "measured": measured})


@pytest.mark.parametrize("values", [None, [], "x", {}, {"kind": SQ8}])
def test_what_is_said_of_an_index_is_complete(values: object) -> None:
    with pytest.raises(ValueError, match="approximate index"):
        Approximation.from_dict(values)
    for name in SOUND.as_dict():
        some = {key: each for key, each in SOUND.as_dict().items() if key != name}
        with pytest.raises(ValueError, match="approximate index"):
            Approximation.from_dict(some)
