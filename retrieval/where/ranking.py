"""How well the rows that pass a filter have what it asks for: the order where there is no image.

Only attributes that are asked for count, not those below a NOT, for which there is no more or
less of passing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from finetag_model.vocabulary import Vocabulary
from indexer import Index
from retrieval.where.evaluate import passing
from retrieval.where.tree import And, Compare, Filter, Has, Not, Or

# Log probability of each stored score; half a step stands for "below the smallest".
_LOG_PROBABILITY = np.log(np.maximum(np.arange(256), 0.5) / 255)


def named_positions(tree: Filter | None, vocabulary: Vocabulary) -> tuple[int, ...]:
    """Return the places of the attributes that a filter asks for, in the order they are named."""
    names = () if tree is None else _names(tree)
    return tuple(dict.fromkeys(vocabulary.position(name) for name in names))


def named_fields(tree: Filter | None) -> tuple[str, ...]:
    """Return the fields that a filter compares, denied or not, in the order they are named."""
    return () if tree is None else tuple(dict.fromkeys(_fields(tree)))


def log_probability(tree: Filter, index: Index, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the logarithm of how probable rows have the attributes that a filter asks for.

    Of attributes that must all hold it is that of their joint probability, taken as
    independent; of those of which one is enough, that of the most probable.

    Args:
        tree: the filter.
        index: the index.
        rows: int64 (n,), of rows that pass.

    Returns:
        float64 (n,).
    """
    return _log(tree, index, rows, all_pass=True)


def _names(tree: Filter) -> Iterator[str]:
    match tree:
        case Has(group, values):
            yield from (f"{group}={value}" for value in values)
        case And(terms) | Or(terms):
            for term in terms:
                yield from _names(term)


def _fields(tree: Filter) -> Iterator[str]:
    match tree:
        case Compare(field):
            yield field
        case Not(term):
            yield from _fields(term)
        case And(terms) | Or(terms):
            for term in terms:
                yield from _fields(term)


def _log(
    tree: Filter, index: Index, rows: NDArray[np.int64], *, all_pass: bool
) -> NDArray[np.float64]:
    match tree:
        case Has():
            places = named_positions(tree, index.manifest.vocabulary)
            best = reduce(np.maximum, (index.scores(place)[rows] for place in places))
            logs: NDArray[np.float64] = _LOG_PROBABILITY[best]
            return logs
        case And(terms):
            # What is said twice counts once, and what says nothing not at all.
            said = [each for each in dict.fromkeys(terms) if not (all_pass and _is_certain(each))]
            if not said:
                return np.zeros(len(rows))
            return reduce(np.add, (_log(each, index, rows, all_pass=all_pass) for each in said))
        case Or(terms):
            return reduce(np.maximum, (_log(each, index, rows, all_pass=False) for each in terms))
        case Compare() | Not():
            if all_pass:
                return np.zeros(len(rows))
            bits = np.unpackbits(passing(tree, index), count=index.rows, bitorder="little")
            return np.where(bits[rows], 0.0, -np.inf)


def _is_certain(tree: Filter) -> bool:
    """Say whether rows that pass it do so with probability 1."""
    return isinstance(tree, Compare | Not)
