"""What a generation's manifest says of its approximate index: how it searches, how well.

Neither the index itself nor its measuring: those are in `indexer.vectors`, which needs FAISS.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

SQ8 = "ivf-sq8"
RABITQ = "ivf-rabitq"
NEAREST = 10
"""Recall is measured among so many nearest rows."""


@dataclass(frozen=True)
class Approximation:
    """An inverted file (IVF) of quantised vectors, and what was measured when it was written.

    Attributes:
        kind: `SQ8` (a byte a dimension) or `RABITQ` (a bit a dimension, and 8 bytes).
        nlist: the number of inverted lists.
        nprobe: how many of them a search for the `NEAREST` among all rows reads.
        rerank: how many candidates are compared exactly for each row that is wanted.
        recall: the share of the `NEAREST` rows to a row that was found, itself not counted.
        queries: how many rows were searched for to measure recall and time.
        trained_rows: the rows of the index when k-means last started from nothing.
        milliseconds: the mean time of one query.
        exact_milliseconds: the same for exact search.
    """

    kind: str
    nlist: int
    nprobe: int
    rerank: int
    recall: float
    queries: int
    trained_rows: int
    milliseconds: float
    exact_milliseconds: float

    def as_dict(self) -> dict[str, str | int | float]:
        """Return the attributes, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Approximation:  # noqa: ANN401  (whatever JSON holds)
        """Undo `as_dict`.

        Raises:
            ValueError: something is missing, unknown, of another type or out of range.
        """
        types = {field.name: field.type for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != set(types):
            raise ValueError("not the attributes of an approximate index")
        for name, value in values.items():
            if type(value).__name__ != types[name]:
                raise ValueError(f"{name} of the approximate index cannot be {value!r}")
        made = cls(**values)
        counts = (made.nlist, made.nprobe, made.rerank, made.queries, made.trained_rows)
        times = (made.milliseconds, made.exact_milliseconds)
        sound = (
            made.kind in (SQ8, RABITQ)
            and min(counts) > 0
            and made.nprobe <= made.nlist
            and 0 <= made.recall <= 1
            and all(0 < time < math.inf for time in times)
        )
        if not sound:
            raise ValueError("the numbers of the approximate index are out of range")
        return made
