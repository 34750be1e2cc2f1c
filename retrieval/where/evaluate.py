"""From a filter to the rows of an index that pass it, as packed bits.

A mask is uint8 ((rows + 7) // 8,): row r is bit r % 8, from the lowest, of byte r // 8; the bits
after the last row are 0. What is said of a field's missing values: they equal nothing and are in
no order, so that no comparison holds, and NOT of it does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer import Index, Mask, Selection, cutoff
from retrieval.where.names import Columns
from retrieval.where.texts import which
from retrieval.where.tree import And, Compare, Filter, Has, Not, Or

_HOLDS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def passing(tree: Filter, index: Index) -> Mask:
    """Return which rows of the index pass a filter that `read_where` has read; a mask."""
    return _combined(tree, lambda leaf: _leaf(leaf, index), lambda: everything(index))


def select(tree: Filter, index: Index) -> Selection:
    """Return the rows that pass a filter, for a search among them."""

    def in_lists() -> Mask:
        return _combined(
            tree, lambda leaf: _listed(leaf, index), lambda: index.in_lists(everything(index))
        )

    return Selection(passing(tree, index), in_lists)


def everything(index: Index) -> Mask:
    """Return the mask of all rows."""
    return Selection.all(index.rows).mask


def count(mask: Mask) -> int:
    """Return how many rows a mask has."""
    return Selection(mask).count


def _combined(
    tree: Filter, leaf: Callable[[Has | Compare], Mask], every: Callable[[], Mask]
) -> Mask:
    match tree:
        case Has() | Compare():
            return leaf(tree)
        case And(terms):
            return reduce(np.bitwise_and, (_combined(term, leaf, every) for term in terms))
        case Or(terms):
            return reduce(np.bitwise_or, (_combined(term, leaf, every) for term in terms))
        case Not(term):
            return every() & ~_combined(term, leaf, every)


def _leaf(leaf: Has | Compare, index: Index) -> Mask:
    if isinstance(leaf, Compare):
        return _packed(_compared(leaf, index.columns))
    places = _places(leaf, index)
    if leaf.confidence is None:
        return reduce(np.bitwise_or, map(index.mask, places))
    level = cutoff(leaf.confidence)
    return _packed(reduce(np.logical_or, (index.scores(at) >= level for at in places)))


def _listed(leaf: Has | Compare, index: Index) -> Mask:
    """Return the mask in the order of the inverted lists, which are kept of attributes."""
    if isinstance(leaf, Has) and leaf.confidence is None:
        return reduce(np.bitwise_or, map(index.listed_mask, _places(leaf, index)))
    return index.in_lists(_leaf(leaf, index))


def _places(leaf: Has, index: Index) -> list[int]:
    vocabulary = index.manifest.vocabulary
    return [vocabulary.position(f"{leaf.group}={value}") for value in leaf.values]


def _packed(bits: NDArray[np.bool_]) -> Mask:
    return np.packbits(bits, bitorder="little")


def _compared(compare: Compare, columns: Columns) -> NDArray[np.bool_]:
    """Return which rows have a number, or else some text, that compares so; bool (rows,)."""
    name, op, values = compare.field, compare.op, compare.values
    found: list[NDArray[np.bool_]] = []
    numbers = [float(value) for value in values if not isinstance(value, str)]
    if numbers:
        there = columns.numbers(name)
        holds = _HOLDS[op]
        found += [holds(there, number) for number in numbers]
    texts = [value for value in values if isinstance(value, str)]
    if texts:
        found.append(columns.texts(name).holding(which(columns, name, op, texts)))
    return reduce(np.logical_or, found)
