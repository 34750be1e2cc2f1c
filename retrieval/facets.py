"""How many of the images that pass a filter have each value: exact counts, whatever is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexer import Index, Selection
from retrieval.where import Names

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


def facets(index: Index, among: Selection | None, names: Sequence[str]) -> tuple[Facet, ...]:
    """Count values among the rows that pass a filter.

    Args:
        index: the index.
        among: the rows; None: all.
        names: groups of attributes and fields; none: all there are.

    Raises:
        UsageError: there is no such group or field.
    """
    vocabulary = index.manifest.vocabulary
    named = names or (*vocabulary.groups, *index.columns.names)
    return tuple(facet for name in named for facet in _facets(index, among, name))


def _facets(index: Index, among: Selection | None, name: str) -> list[Facet]:
    vocabulary = index.manifest.vocabulary
    known, is_group = Names(vocabulary, index.columns).either(name)
    if not is_group:
        return _of_field(index, among, known)
    positions = vocabulary.groups[known]
    masks = [index.mask(each) for each in positions]
    if among is not None:
        masks = [mask & among.mask for mask in masks]
    counts = [Selection(mask).count for mask in masks]
    values = [vocabulary.value(each) for each in positions]
    images = Selection(np.bitwise_or.reduce(masks)).count
    pairs = tuple(zip(values, counts, strict=True))
    return [Facet(known, "attribute", pairs, images, len(values))]


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
        texts, codes = columns.texts(name)
        codes = codes if among is None else codes[among.rows]
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        order = np.argsort(-counts, kind="stable")[: min(MOST_VALUES, np.count_nonzero(counts))]
        values = tuple((texts[at], int(counts[at])) for at in order)
        made.append(Facet(name, "text", values, int(counts.sum()), int(np.count_nonzero(counts))))
    return made
