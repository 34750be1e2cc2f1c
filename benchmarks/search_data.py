"""The rows, filters and queries of benchmarks/search.py, and what is right to answer.

Rows are grown from those of a real index: each is a mixture of one of its rows (a parent) and
one of that row's nearest neighbours, with a random weight from 0 to 1, plus normal noise of
`NOISE` times the parents' standard deviation in each dimension, brought back to length 1. Its
scores are the same mixture of their scores. A query is a row with as much noise again.

A filter lets so many rows pass exactly, and either needs one tag, or three which only those rows
have together. What passes is, by kind:

    random           any rows; queries are like any rows
    correlated       those nearest to some row; queries are like rows that pass
    anti-correlated  those farthest from some row; queries are like the hundredth nearest to it

All of it lies in one folder, made once and then mapped into memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow

    from indexer import Index

RATES = (0.0001, 0.001, 0.01, 0.1, 0.5, 1.0)
KINDS = ("random", "random, three", "correlated", "correlated, three", "anti-correlated")
K = 10
NOISE = 0.3
_NEIGHBOURS = 8
_BLOCK = 20_000
_DESCRIPTION = "data.json"


@dataclass(frozen=True)
class Filter:
    """The rows that have some tags.

    Attributes:
        kind: one of `KINDS`.
        rate: about the share of rows that pass.
        tags: numbers of the tags that a row must have, all of them.
        passing: how many rows pass.
    """

    kind: str
    rate: float
    tags: tuple[int, ...]
    passing: int


class Data:
    """What engines are filled with and asked; arrays are mapped from files.

    Attributes:
        folder: where all of it lies.
        cores: how many cores an engine may use.
        vectors: float32 (rows, D), each of length 1.
        scores: uint8 (rows, N).
        tags: bool (tags, rows).
        filters: all filters.
        queries: float32 (filters, Q, D), each of length 1.
        truth: int64 (filters, Q, K), the rows nearest to each query among those that pass, best
            first; -1 where fewer than K pass.
    """

    def __init__(self, folder: Path, cores: int) -> None:
        """Open what `make` made."""
        self.folder, self.cores = folder, cores
        description = json.loads((folder / _DESCRIPTION).read_text())
        self.filters = [
            Filter(**{**each, "tags": tuple(each["tags"])}) for each in description["filters"]
        ]

    @cached_property
    def vectors(self) -> NDArray[np.float32]:  # noqa: D102  (see the class)
        return np.load(self.folder / "vectors.npy", mmap_mode="r")

    @cached_property
    def scores(self) -> NDArray[np.uint8]:  # noqa: D102
        return np.load(self.folder / "scores.npy", mmap_mode="r")

    @cached_property
    def tags(self) -> NDArray[np.bool_]:  # noqa: D102
        return np.load(self.folder / "tags.npy", mmap_mode="r")

    @cached_property
    def queries(self) -> NDArray[np.float32]:  # noqa: D102
        return np.load(self.folder / "queries.npy")

    @cached_property
    def truth(self) -> NDArray[np.int64]:  # noqa: D102
        return np.load(self.folder / "truth.npy")

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.vectors.shape[0]

    @property
    def dim(self) -> int:
        """The length D of a vector."""
        return self.vectors.shape[1]

    def passing(self, tags: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return the mask of the rows that have all these tags; bool (rows,)."""
        return np.logical_and.reduce([self.tags[tag] for tag in tags])

    def arrow_blocks(self) -> Iterator[pyarrow.Table]:
        """Yield the rows as tables of the columns id, vector, and t0, t1 and so on."""
        import pyarrow  # noqa: PLC0415  (an extra)

        for start in range(0, self.rows, _BLOCK):
            block = np.array(self.vectors[start : start + _BLOCK])
            columns = {
                "id": pyarrow.array(np.arange(start, start + len(block))),
                "vector": pyarrow.FixedSizeListArray.from_arrays(block.ravel(), self.dim),
            }
            for number, tag in enumerate(self.tags[:, start : start + _BLOCK]):
                columns[f"t{number}"] = pyarrow.array(np.array(tag))
            yield pyarrow.table(columns)


def make(folder: Path, index: Index, rows: int, queries: int, seed: int) -> None:
    """Grow data from an index into an empty folder."""
    visual = index.vectors(0, index.rows)
    scores = np.stack([index.scores(i) for i in range(len(index.manifest.vocabulary))], axis=1)
    spread = NOISE * visual.std(axis=0)
    _grow(folder, visual, scores, spread, rows, np.random.default_rng([seed, 0]))
    grown = np.load(folder / "vectors.npy", mmap_mode="r")
    tags: list[NDArray[np.bool_]] = []
    filters, asked, right = [], [], []
    for number, (kind, rate) in enumerate((k, r) for k in KINDS for r in RATES):
        if rate == 1.0 and not kind.startswith("random"):
            continue  # all rows pass, however they are chosen
        random = np.random.default_rng([seed, 1, number])
        chosen, origins = _choose(kind, max(round(rate * rows), 1), grown, queries, random)
        made = _three(chosen, random) if kind.endswith("three") else [chosen]
        numbers = tuple(range(len(tags), len(tags) + len(made)))
        tags += made
        near = grown[origins] + spread * random.standard_normal((queries, visual.shape[1]))
        asked.append(_unit(near))
        right.append(nearest(grown, np.flatnonzero(chosen), asked[-1], K))
        filters.append(Filter(kind, rate, numbers, int(chosen.sum())))
    np.save(folder / "tags.npy", np.array(tags))
    np.save(folder / "queries.npy", np.array(asked))
    np.save(folder / "truth.npy", np.array(right))
    description = {"filters": [asdict(each) for each in filters]}
    (folder / _DESCRIPTION).write_text(json.dumps(description))  # last: it says all is there


def is_made(folder: Path) -> bool:
    """Say whether `make` has come to its end in a folder."""
    return (folder / _DESCRIPTION).exists()


def nearest(
    vectors: NDArray[np.float32], rows: NDArray[np.int64], queries: NDArray[np.float32], k: int
) -> NDArray[np.int64]:
    """Return each query's k best of some rows, by all inner products; int64 (Q, k), -1 filled."""
    found = np.full((len(queries), k), -1, dtype=np.int64)
    alike = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        both = np.concatenate([alike, queries @ vectors[block].T], axis=1)
        numbers = np.concatenate([found, np.broadcast_to(block, (len(queries), len(block)))], 1)
        best = np.argpartition(-both, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(both, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        alike = np.take_along_axis(both, best, axis=1)
        found = np.take_along_axis(numbers, best, axis=1)
    return found


def _grow(
    folder: Path,
    visual: NDArray[np.float32],
    scores: NDArray[np.uint8],
    spread: NDArray[np.float32],
    rows: int,
    random: np.random.Generator,
) -> None:
    all_rows, k = np.arange(len(visual)), min(_NEIGHBOURS + 1, len(visual))
    blocks = [visual[start : start + 1000] for start in range(0, len(visual), 1000)]
    neighbours = np.concatenate([nearest(visual, all_rows, block, k) for block in blocks])
    opened = np.lib.format.open_memmap
    grown = opened(folder / "vectors.npy", "w+", np.float32, (rows, visual.shape[1]))
    mixed = opened(folder / "scores.npy", "w+", np.uint8, (rows, scores.shape[1]))
    for start in range(0, rows, _BLOCK):
        number = min(_BLOCK, rows - start)
        one = random.integers(len(visual), size=number)
        # The first neighbour is the parent itself.
        two = neighbours[one, random.integers(1, neighbours.shape[1], size=number)]
        weight = random.random((number, 1))
        noise = spread * random.standard_normal((number, visual.shape[1]))
        mixture = weight * visual[one] + (1 - weight) * visual[two]
        grown[start : start + number] = _unit(mixture + noise)
        mixed[start : start + number] = np.rint(weight * scores[one] + (1 - weight) * scores[two])


def _choose(
    kind: str,
    number: int,
    grown: NDArray[np.float32],
    queries: int,
    random: np.random.Generator,
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return the mask of the rows that pass, and the rows that the queries are made from."""
    rows = len(grown)
    chosen = np.zeros(rows, dtype=np.bool_)
    if kind.startswith("random"):
        chosen[random.permutation(rows)[:number]] = True
        return chosen, random.integers(rows, size=queries)
    order = np.argsort(-(grown @ grown[random.integers(rows)]), kind="stable")
    if kind == "anti-correlated":
        chosen[order[-number:]] = True
        return chosen, random.choice(order[: max(rows // 100, 1)], queries)
    chosen[order[:number]] = True
    return chosen, random.choice(order[:number], queries)


def _three(chosen: NDArray[np.bool_], random: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Return three tags that exactly the chosen rows have together.

    Each is as common as if three independent ones made the same share of rows pass.
    """
    share = chosen.mean() ** (1 / 3)
    tags = random.random((3, len(chosen))) < share
    tags[:, chosen] = True
    too_many = np.flatnonzero(tags.all(axis=0) & ~chosen)
    tags[random.integers(3, size=len(too_many)), too_many] = False
    return list(tags)


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
