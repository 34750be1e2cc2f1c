"""How many of the images that pass a filter have each value: exact counts, whatever is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexer import Index, Selection
from retrieval.where import Names, passing
from retrieval.where.tree import Has

MOST_VALUES = 50
"""Of a field of texts, the most frequent values that are told."""


@dataclass(frozen=True)
class Facet:
    """One group of attributes, or one imported field.

    Attributes:
        name: of the group or the field.
        kind: `attribute`, `text` or `number`.
        values: each value and how many images have it: a group's in the order of the
            vocabulary, a field's texts by number, at most `MOST_VALUES`; none of numbers.
        images: how many images have any value.
        different: how many values there are, told or not; 0 of numbers.
        least: the least number; None if there is none.
        greatest: the greatest number; None if there is none.
    """

    name: str
    kind: str
    values: tuple[tuple[str, int], ...]
    images: int
    different: int
    least: float | None = None
    greatest: float | None = None


def facets(
    index: Index, among: Selection | None, names: Sequence[str], at_least: float | None = None
) -> tuple[Facet, ...]:
    """Count values among the rows that pass a filter.

    Args:
        index: the index.
        among: the rows; None: all.
        names: groups of attributes and fields; none: all there are.
        at_least: the confidence from which an image has an attribute, as of a filter; None: the
            attribute's threshold.

    Raises:
        UsageError: there is no such group or field.
    """
    vocabulary = index.manifest.vocabulary
    known = Names(vocabulary, index.columns)
    found = list(map(known.either, names or (*vocabulary.groups, *index.columns.names)))
    names_of_groups = [name for name, is_group in found if is_group]
    groups = iter(of_groups(index, among, names_of_groups, at_least))
    made: list[Facet] = []
    for name, is_group in found:
        made += [next(groups)] if is_group else _of_field(index, among, name)
    return tuple(made)


def of_groups(
    index: Index, among: Selection | None, names: Sequence[str], at_least: float | None = None
) -> list[Facet]:
    """Count the values of groups of attributes, as `facets` does."""
    vocabulary, rows = index.manifest.vocabulary, among or index.all_rows
    groups = [vocabulary.groups[name] for name in names]
    if at_least is None:
        found = [(each.each.tolist(), each.any) for each in index.counts(groups, rows)]
    else:
        found = [_counted(index, rows, name, at_least) for name in names]
    return [
        Facet(
            name,
            "attribute",
            tuple(zip(map(vocabulary.value, positions), counts, strict=True)),
            images,
            len(positions),
        )
        for name, positions, (counts, images) in zip(names, groups, found, strict=True)
    ]


def _counted(index: Index, among: Selection, name: str, at_least: float) -> tuple[list[int], int]:
    """Return how many rows have each value of a group so probably, and how many any."""
    vocabulary = index.manifest.vocabulary
    values = map(vocabulary.value, vocabulary.groups[name])
    masks = [passing(Has(name, (value,), at_least), index) for value in values]
    *counts, images = among.counts([*masks, np.bitwise_or.reduce(masks)])
    return counts, images


def _of_field(index: Index, among: Selection | None, name: str) -> list[Facet]:
    columns, made = index.columns, []
    if columns.has_numbers(name):
        numbers = columns.numbers(name)
        numbers = numbers if among is None else numbers[among.rows]
        numbers = numbers[~np.isnan(numbers)]
        least, greatest = (numbers.min(), numbers.max()) if len(numbers) else (None, None)
        ends = [None if each is None else float(each) for each in (least, greatest)]
        made.append(Facet(name, "number", (), len(numbers), 0, *ends))
    if columns.has_texts(name):
        texts = columns.texts(name)
        rows = None if among is None else among.rows
        counts = texts.counts(rows)
        order = np.argsort(-counts, kind="stable")[: min(MOST_VALUES, np.count_nonzero(counts))]
        values = tuple((texts.known[at], int(counts[at])) for at in order)
        images = np.count_nonzero(texts.codes[slice(None) if rows is None else rows] >= 0)
        made.append(Facet(name, "text", values, int(images), int(np.count_nonzero(counts))))
    return made
