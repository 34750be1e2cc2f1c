"""In what order the rows that pass a filter are shown: by looks, attributes, both, or a field.

Each way is asked for its best n rows; those before them may differ only if its plan is not exact.
Of equals, the smaller row comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexer import Index, Plan, Selection
from retrieval.target import Target
from retrieval.where import Filter, Names, log_probability

Rows = NDArray[np.int64]

_SAME = 1e-9
"""Logarithms whose exponentials may be equal are far less apart."""


@dataclass(frozen=True)
class Ranking:
    """Rows of an index, best first.

    Attributes:
        rows: int64 of shape (n,).
        scores: float64 of shape (n,); see `Hit.score`.
    """

    rows: Rows
    scores: NDArray[np.float64]

    def only(self, which: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Ranking:
        """Return some of the rows, by their places in the ranking."""
        return Ranking(self.rows[which], self.scores[which])


class Ranker(Protocol):
    """A way to rank."""

    @property
    def plan(self) -> Plan:
        """How vectors are searched."""
        ...

    def top(self, number: int) -> Ranking:
        """Return the best rows, at most so many."""
        ...


class ByLooks:
    """By cosine similarity to the target."""

    def __init__(self, index: Index, target: Target, among: Selection | None, plan: Plan) -> None:
        self._index, self._target, self._among, self.plan = index, target, among, plan

    def top(self, number: int) -> Ranking:
        """Return the rows that look most like the target."""
        return self.tops(self._target.vector[np.newaxis], number)[0]

    def tops(self, vectors: NDArray[np.float32], number: int) -> list[Ranking]:
        """Return the same for each of several vectors, float32 (Q, D), by one search."""
        hidden = self._target.rows
        found = self._index.search(vectors, number + len(hidden), self._among, self.plan)
        rankings = [
            Ranking(rows, alike.astype(np.float64)) for rows, alike in zip(*found, strict=True)
        ]
        return [each.only(~np.isin(each.rows, hidden)).only(slice(number)) for each in rankings]


class Ordered:
    """In an order that is known beforehand."""

    def __init__(self, ranking: Ranking, plan: Plan | None = None) -> None:
        """Take all rows, best first, and how they were found."""
        self._ranking, self.plan = ranking, plan or Plan()

    def top(self, number: int) -> Ranking:
        """Return the first rows."""
        return self._ranking.only(slice(number))


class ByScore:
    """By a score that every row has."""

    plan = Plan()

    def __init__(self, rows: Rows, scores: NDArray[np.float64]) -> None:
        """Take rows, int64 (n,), ascending, and their scores, float64 (n,)."""
        self._rows, self._scores = rows, scores

    def top(self, number: int) -> Ranking:
        """Return the rows of the highest scores; only as many are put in order."""
        rows, scores = self._rows, self._scores
        if number < len(rows):
            last = np.partition(scores, len(scores) - number)[len(scores) - number]
            better, equal = np.flatnonzero(scores > last), np.flatnonzero(scores == last)
            taken = np.sort(np.concatenate([better, equal[: number - len(better)]]))
            rows, scores = rows[taken], scores[taken]
        order = np.argsort(-scores, kind="stable")
        return Ranking(rows[order], scores[order])


class ByProbability:
    """By the joint probability of the attributes that a filter asks for."""

    plan = Plan()

    def __init__(self, index: Index, tree: Filter, rows: Rows) -> None:
        """Take the rows that pass, int64 (n,), ascending."""
        self._rows, self._logs = rows, log_probability(tree, index, rows)

    def top(self, number: int) -> Ranking:
        """Return the most probable rows."""
        rows, logs = self._rows, self._logs
        if number < len(rows):
            # Logarithms are turned into probabilities of few: those that are better than the
            # last, and those that may become equal to it.
            last = np.partition(logs, len(logs) - number)[len(logs) - number]
            better = np.flatnonzero(logs > last + _SAME)
            equal = np.flatnonzero((logs >= last - _SAME) & (logs <= last + _SAME))
            if (logs[equal] == last).all():
                equal = equal[: number - len(better)]
            taken = np.sort(np.concatenate([better, equal]))
            rows, logs = rows[taken], logs[taken]
        return ByScore(rows, np.exp(logs)).top(number)


def by_looks_and_attributes(index: Index, target: Target, rows: Rows, weight: float) -> ByScore:
    """Rank by `weight` x cosine similarity + (1 - weight) x attribute similarity."""
    looks = index.similarities(target.vector, rows).astype(np.float64)
    scores = weight * looks + (1 - weight) * attribute_similarity(index, target, rows)
    seen = ~np.isin(rows, target.rows)
    return ByScore(rows[seen], scores[seen])


def attribute_similarity(index: Index, target: Target, rows: Rows) -> NDArray[np.float64]:
    """Return what share of the target's attributes rows are expected to have; float64 (n,).

    The mean of their probabilities, weighted by the target's own; see `attribute_weights`.
    """
    positions, weights = attribute_weights(index, target)
    total = np.zeros(len(rows))
    for position, weight in zip(positions, weights, strict=True):
        total += weight / 255 * index.scores(int(position))[rows]
    return total


def attribute_weights(
    index: Index, target: Target
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the attributes by which images are compared with a target, and their weights.

    They are those that the target has, by the model's thresholds; the weights are their
    probabilities, brought to a sum of 1.
    """
    positions = target.attributes(index.manifest.model.thresholds)
    weights = target.scores[positions].astype(np.float64)
    if not weights.sum():
        weights = np.ones(len(positions))
    return positions, weights / weights.sum()


def order_by(index: Index, rows: Rows, sort: str) -> NDArray[np.int64]:
    """Order rows by an imported field, numbers before texts; those without it come last.

    Args:
        index: the index.
        rows: int64 (n,); equals keep their order.
        sort: the field's name, as `sort_field` takes it.

    Returns:
        int64 (n,), the places of the rows in their new order.

    Raises:
        UsageError: no image has such a field.
    """
    name, is_descending = sort_field(index, sort)
    sign = -1 if is_descending else 1
    columns = index.columns
    numbers = columns.numbers(name)[rows]
    codes = columns.texts(name).codes[rows]
    is_number, is_text = ~np.isnan(numbers), codes >= 0
    keys = [
        np.where(is_text, sign * codes, 0),
        np.where(is_number, sign * numbers, 0.0),
        np.where(is_number, 0, np.where(is_text, 1, 2)),
    ]
    return np.lexsort(keys)


def sort_field(index: Index, sort: str) -> tuple[str, bool]:
    """Return the field that is meant, as it was imported, and whether the greatest comes first.

    Args:
        index: the index.
        sort: the field's name, after a `-` if the greatest comes first.

    Raises:
        UsageError: no image has such a field.
    """
    names = Names(index.manifest.vocabulary, index.columns)
    is_descending = sort.startswith("-") and names.field(sort) is None
    return names.known_field(sort[1:] if is_descending else sort), is_descending
