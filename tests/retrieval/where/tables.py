"""A small index in memory, with names that are hard to write, and any filter on it."""

from __future__ import annotations

from types import NoneType, SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from finetag_model.vocabulary import Vocabulary
from indexer import Texts
from retrieval.where.names import Names
from retrieval.where.tree import And, Compare, Has, Not, Or

ATTRIBUTES = (
    "wing_color=grey",
    "wing_color=blue",
    "size=small",
    "size=very_large",
    "shape=medium_(9)",
    "o'dd\"=a,b",
    "paren(=)x(",
    "not=or",
    "true=1.5",
    "größe=ß~!",
    "back\\slash=\\",
    "&=|",
)
VOCABULARY = Vocabulary(ATTRIBUTES)
NUMBERS, TEXTS = ("price", "5"), ("brand", "article no", "OR", "q'uo\"te\\", "line\nbreak")
BOTH = ("mixed", "写真", "a=b")


class Table:
    """The columns of some rows of fields, as `indexer.columns.Columns` gives them."""

    def __init__(self, rows: list[dict[str, Any]], names: tuple[str, ...]) -> None:
        self.rows, self.names = rows, names

    def has_numbers(self, name: str) -> bool:
        return name not in TEXTS

    def has_texts(self, name: str) -> bool:
        return name not in NUMBERS

    def numbers(self, name: str) -> np.ndarray:
        values = [row.get(name) for row in self.rows]
        none = (str, tuple, NoneType)
        return np.array([np.nan if isinstance(v, none) else float(v) for v in values])

    def texts(self, name: str) -> Texts:
        values = [row.get(name) for row in self.rows]
        held = sorted({v for v in values if isinstance(v, str | tuple)}, key=repr)
        codes = [held.index(v) if isinstance(v, str | tuple) else -1 for v in values]
        return Texts(tuple(held), np.array(codes, dtype=np.int32))


COLUMNS = Table([], (*NUMBERS, *TEXTS, *BOTH))
NAMES = Names(VOCABULARY, COLUMNS)


def index_of(scores: np.ndarray, fields: list[dict[str, Any]]) -> Any:
    """Return what filters need of an `Index`; scores are uint8 (attributes, rows)."""
    masks = np.packbits(scores >= 128, axis=1, bitorder="little")
    return SimpleNamespace(
        manifest=SimpleNamespace(vocabulary=VOCABULARY),
        rows=len(fields),
        mask=lambda position: masks[position],
        scores=lambda position: scores[position],
        columns=Table(fields, COLUMNS.names),
    )


def conditions(numbers: st.SearchStrategy[Any], texts: st.SearchStrategy[str]) -> Any:
    """Return any single condition that the index can be asked, with these values."""
    groups = [(group, [VOCABULARY.value(p) for p in ps]) for group, ps in VOCABULARY.groups.items()]
    sure = st.sampled_from([None, None, 0, 0.1, 0.2, 0.5, 0.8, 0.999, 1, 1.0])
    has = st.sampled_from(groups).flatmap(
        lambda group: st.builds(Has, st.just(group[0]), several(st.sampled_from(group[1])), sure)
    )
    some_texts = st.tuples(st.sampled_from(TEXTS + BOTH), texts)
    some_numbers = st.tuples(st.sampled_from(NUMBERS + BOTH), numbers)
    orders = st.sampled_from(["<", "<=", ">", ">="])
    ordered = st.one_of(some_texts, some_numbers.filter(lambda pair: not isinstance(pair[1], bool)))
    return st.one_of(
        has,
        st.builds(Compare, st.sampled_from(TEXTS + BOTH), st.just("="), several(texts)),
        st.builds(Compare, st.sampled_from(NUMBERS + BOTH), st.just("="), several(numbers)),
        st.builds(Compare, st.sampled_from(BOTH), st.just("="), several(st.one_of(texts, numbers))),
        st.builds(Compare, st.sampled_from(TEXTS + BOTH), st.just("~"), several(texts)),
        st.builds(lambda op, pair: Compare(pair[0], op, (pair[1],)), orders, ordered),
    )


def several(values: st.SearchStrategy[Any]) -> Any:
    return st.lists(values, min_size=1, max_size=3).map(tuple)


def trees(numbers: st.SearchStrategy[Any], texts: st.SearchStrategy[str]) -> Any:
    """Return any filter that the index can be asked, with these values."""

    def grown(terms: Any) -> Any:
        lists = st.lists(terms, min_size=2, max_size=3).map(tuple)
        return st.one_of(st.builds(And, lists), st.builds(Or, lists), st.builds(Not, terms))

    return st.recursive(conditions(numbers, texts), grown, max_leaves=8)
