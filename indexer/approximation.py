"""What a generation's manifest says of its approximate index: how it searches, how fast, how well.

Neither the index itself nor its measuring: those are in `indexer.vectors`, which needs FAISS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

EXACT = "exact"
SQ8 = "ivf-sq8"
RABITQ = "ivf-rabitq"
NEAREST = 10
"""Recall is measured among so many nearest rows."""
MANY = 8
"""From so many queries in one call on, exact search reads the vectors once for all of them."""


@dataclass(frozen=True)
class Plan:
    """A way to search vectors.

    Attributes:
        kind: `EXACT`: all rows that pass are compared. `SQ8`, `RABITQ`: those in the inverted
            lists nearest to the query are; where many pass, by their codes first.
        recall: the share of the nearest that is expected to be found; 1.0 if it is exact.
    """

    kind: str = EXACT
    recall: float = 1.0


@dataclass(frozen=True)
class Measured:
    """What was measured with filters that let so many rows pass; times are milliseconds a query.

    Attributes:
        rows: how many passed.
        exact: one exact search.
        batch: the same, of many queries in one call.
        lists: one search of inverted lists, through a filter at random.
        recall: the least of its recall through a filter at random, through one that passes the
            rows most alike to the query, and through one that passes those least alike.
    """

    rows: int
    exact: float
    batch: float
    lists: float
    recall: float


@dataclass(frozen=True)
class Approximation:
    """An inverted file (IVF) of quantised vectors, and what was measured when it was written.

    Attributes:
        kind: `SQ8` (a byte a dimension) or `RABITQ` (a bit a dimension, and 8 bytes).
        nlist: the number of inverted lists.
        first: how many rows that pass a search for the `NEAREST` compares before it looks
            whether more would change the answer.
        rerank: how many candidates are compared exactly for each row that is wanted.
        queries: how many rows were searched for to measure recall.
        trained_rows: the rows of the index when k-means last started from nothing.
        measured: by number of rows, ascending.
    """

    kind: str
    nlist: int
    first: int
    rerank: int
    queries: int
    trained_rows: int
    measured: tuple[Measured, ...]

    def first_of(self, k: int) -> int:
        """Return how many rows that pass a search for k compares at first."""
        return -(-self.first * max(k, NEAREST) // NEAREST)

    def plan(self, rows: int, k: int, queries: int = 1) -> Plan:
        """Return the way that is expected to be the quickest.

        Times between two that were measured lie on a power law. Those of inverted lists are
        taken to grow with k.

        Args:
            rows: how many pass the filter.
            k: how many are wanted.
            queries: how many are searched for in one call.
        """
        if rows < 1 or k >= rows:
            return Plan()
        exact = self._at(rows, "batch" if queries >= MANY else "exact")
        if exact <= self._at(rows, "lists") * max(1.0, k / NEAREST):
            return Plan()
        # Of the two measured nearest in number the lower recall.
        above = next((i for i, each in enumerate(self.measured) if each.rows >= rows), -1)
        near = self.measured[max(above - 1, 0) :][:2] if above >= 0 else self.measured[-1:]
        return Plan(self.kind, min(each.recall for each in near))

    def _at(self, rows: int, name: str) -> float:
        return math.exp(_interpolated(math.log(rows), self._logarithms[name]))

    @cached_property
    def _logarithms(self) -> dict[str, list[tuple[float, float]]]:
        rows = [math.log(each.rows) for each in self.measured]
        return {
            name: [
                (x, math.log(getattr(each, name)))
                for x, each in zip(rows, self.measured, strict=True)
            ]
            for name in ("exact", "batch", "lists")
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Approximation:  # noqa: ANN401  (whatever JSON holds)
        """Undo `as_dict`.

        Raises:
            ValueError: something is missing, unknown, of another type or out of range.
        """
        _check(cls, values)
        if not isinstance(values["measured"], list | tuple) or not values["measured"]:
            raise ValueError("the approximate index was not measured")
        for each in values["measured"]:
            _check(Measured, each)
        measured = tuple(Measured(**each) for each in values["measured"])
        made = cls(**{**values, "measured": measured})
        counts = (made.nlist, made.first, made.rerank, made.queries, made.trained_rows)
        rows = [each.rows for each in measured]
        times = [(each.exact, each.batch, each.lists) for each in measured]
        sound = (
            made.kind in (SQ8, RABITQ)
            and min(counts) > 0
            and rows[0] > 0
            and rows == sorted(set(rows))
            and all(0 < time < math.inf for each in times for time in each)
            and all(0 <= each.recall <= 1 for each in measured)
        )
        if not sound:
            raise ValueError("the numbers of the approximate index are out of range")
        return made


def _check(kind: type[Approximation | Measured], values: Any) -> None:  # noqa: ANN401
    types = {field.name: str(field.type) for field in fields(kind)}
    if not isinstance(values, dict) or set(values) != set(types):
        raise ValueError("not the attributes of an approximate index")
    for name, value in values.items():
        if types[name] in {"int", "float", "str"} and type(value).__name__ != types[name]:
            raise ValueError(f"{name} of the approximate index cannot be {value!r}")


def _interpolated(x: float, points: Sequence[tuple[float, float]]) -> float:
    """Return y at x on the line through the two points on either side, or the last two."""
    if len(points) == 1:
        return points[0][1]
    at = next((i for i, (each, _) in enumerate(points[1:-1], 1) if each >= x), len(points) - 1)
    (x0, y0), (x1, y1) = points[at - 1], points[at]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
