"""Which rows pass, in which order, and why none does: against one row at a time."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import Selection
from retrieval import Attr, Field
from retrieval.where import (
    log_probability,
    named_positions,
    passing,
    read_where,
    why_empty,
)
from retrieval.where.tree import And, Compare, Has, Not, Or
from tests.retrieval.where.tables import (
    ATTRIBUTES,
    BOTH,
    NUMBERS,
    TEXTS,
    VOCABULARY,
    index_of,
    trees,
)

some_number = st.sampled_from([-1, 0, 1, 2.5, 10**20, True, False, 1e300])
some_text = st.sampled_from(
    [
        "",
        "a",
        "A",
        "b",
        "ab",
        "aXb",
        "Straße",
        "STRASSE",
        "2026-01-01",
        "[a]",
        "a\nb",
        "\n",
        "a?b\\",
    ]
)
some_texts = st.lists(some_text, min_size=2, max_size=3, unique=True).map(sorted).map(tuple)
some_pattern = st.one_of(
    some_text,
    st.text("ab*?\\", max_size=6),
    st.sampled_from(["*", "?", "[a]", "a*b", "2026-*", ".", "a\n*"]),
)
fields = st.fixed_dictionaries(
    {
        **dict.fromkeys(NUMBERS, st.one_of(st.none(), some_number)),
        **dict.fromkeys(TEXTS, st.one_of(st.none(), some_text, some_texts)),
        **dict.fromkeys(BOTH, st.one_of(st.none(), some_number, some_text, some_texts)),
    }
)


@st.composite
def indexes(draw: Any) -> Any:
    rows = draw(st.lists(fields, max_size=19))
    seed = draw(st.integers(0, 1000))
    levels = np.array([0, 25, 26, 51, 127, 128, 203, 204, 255], dtype=np.uint8)
    scores = np.random.default_rng(seed).choice(levels, (len(ATTRIBUTES), len(rows)))
    return index_of(scores, rows)


def like(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "\\" and pattern[1:2] in ("*", "?", "\\") and pattern[1:]:
        return text[:1] == pattern[1] and like(text[1:], pattern[2:])
    if pattern[0] == "*":
        return any(like(text[i:], pattern[1:]) for i in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and like(text[1:], pattern[1:])


def compares(cell: Any, op: str, value: Any) -> bool:
    if isinstance(cell, tuple):
        return any(compares(each, op, value) for each in cell)
    if cell is None or isinstance(cell, str) != isinstance(value, str):
        return False
    if isinstance(cell, str):
        cell, value = cell.casefold(), value.casefold()
    if op == "~":
        return like(cell, value)
    return {
        "=": cell == value,
        "<": cell < value,
        "<=": cell <= value,
        ">": cell > value,
        ">=": cell >= value,
    }[op]


def holds(tree: Any, index: Any, row: int) -> bool:
    match tree:
        case Has(group, values, confidence):
            level = 128 if confidence is None else math.ceil(255 * Decimal(str(confidence)))
            names = [f"{group}={value}" for value in values]
            return any(index.scores(ATTRIBUTES.index(name))[row] >= level for name in names)
        case Compare(field, op, values):
            cell = index.columns.rows[row][field]
            return any(compares(cell, op, value) for value in values)
        case Not(term):
            return not holds(term, index, row)
        case And(terms):
            return all(holds(term, index, row) for term in terms)
        case Or(terms):
            return any(holds(term, index, row) for term in terms)
    raise AssertionError


def probability(tree: Any, index: Any, row: int) -> float:
    """Return how probable a row has what is asked for, by what the documentation says."""
    match tree:
        case Has(group, values):
            places = [ATTRIBUTES.index(f"{group}={value}") for value in values]
            return math.log(max(0.5, *(int(index.scores(p)[row]) for p in places)) / 255)
        case And(terms):
            return sum(probability(term, index, row) for term in dict.fromkeys(terms))
        case Or(terms):
            return max(probability(term, index, row) for term in terms)
    return 0.0 if holds(tree, index, row) else -math.inf


@settings(max_examples=120, deadline=None)
@given(index=indexes(), tree=trees(some_number, some_pattern))
def test_rows_pass_as_each_by_itself(index: Any, tree: Any) -> None:
    mask = passing(tree, index)
    expected = [row for row in range(index.rows) if holds(tree, index, row)]
    assert (mask.dtype, mask.shape) == (np.uint8, ((index.rows + 7) // 8,))
    assert Selection(mask).rows.tolist() == expected
    assert np.unpackbits(mask, bitorder="little")[index.rows :].sum() == 0
    found = log_probability(tree, index, np.array(expected, dtype=np.int64))
    assert found == pytest.approx([probability(tree, index, row) for row in expected])
    if not expected:
        why = why_empty(tree, index)
        assert why.isprintable()
        assert len(why) > 10


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("size=small", ["size=small"]),
        (
            "wing_color=blue,grey AND size=small",
            ["wing_color=blue", "wing_color=grey", "size=small"],
        ),
        ("size=small OR NOT wing_color=grey OR price<5", ["size=small"]),
        ("size!=small", []),
        ("NOT (size=small OR NOT wing_color=grey)", []),
        (
            "price<5 AND size=small AND (size=small OR wing_color=grey)",
            ["size=small", "wing_color=grey"],
        ),
    ],
)
def test_the_attributes_asked_for_are_named_once_in_order(where: str, names: list[str]) -> None:
    tree = read_where(where, VOCABULARY, index_of(np.zeros((12, 0)), []).columns)
    assert [ATTRIBUTES[p] for p in named_positions(tree, VOCABULARY)] == names


def shop() -> Any:
    """Return three images: a cheap grey Lynx, a dear blue Ibis, a small one of unknown price."""
    scores = np.zeros((len(ATTRIBUTES), 3), dtype=np.uint8)
    for row, name in enumerate(["wing_color=grey", "wing_color=blue", "size=small"]):
        scores[ATTRIBUTES.index(name), row] = 204
    none = dict.fromkeys(NUMBERS + TEXTS + BOTH)
    rows = [{"price": 3.5, "brand": "Lynx"}, {"price": 90, "brand": "Ibis"}, {"mixed": "5"}]
    rows[1]["OR"], rows[2]["OR"] = ("new", "Sale"), "sale"
    return index_of(scores, [{**none, **row} for row in rows])


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("price<50", [0]),
        ("NOT price<50", [1, 2]),
        ("price!=3.5", [1, 2]),
        ("price>=50 OR NOT price>=0", [1, 2]),
        ("brand=lynx", [0]),
        ("brand~*Y*", [0]),
        ("brand~l,?bis", [1]),
        ("brand>ibis", [0]),
        ("brand=a,b,c,d,e,f,g,h,i,IBIS", [1]),
        ("brand!=a,b,c,d,e,f,g,h,i,IBIS", [0, 2]),
        ("mixed=5", []),
        ("'OR'=sale", [1, 2]),
        ("'OR'=NEW", [1]),
        ("'OR'=new AND 'OR'=sale", [1]),
        ("'OR'!=new", [0, 2]),
        ("'OR'~n*", [1]),
        ("'OR'<old", [1]),
        ("mixed='5'", [2]),
        ("wing_color=grey>=0.8", [0]),
        ("wing_color=grey>=0.801", []),
        ("wing_color=grey,blue>=0.8", [0, 1]),
        ("wing_color!=grey", [1, 2]),
        (~(Attr("wing_color") == "grey") & (Field("price") > 5), [1]),
    ],
)
def test_what_passes_in_a_small_shop(where: Any, rows: list[int]) -> None:
    index = shop()
    tree = read_where(where, VOCABULARY, index.columns)
    assert Selection(passing(tree, index)).rows.tolist() == rows


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("size=very_large", "no image has size=very_large"),
        ("brand=Lynks", "no image has brand=Lynks; nearest: Lynx"),
        ("brand=zebra", "no image has brand=zebra"),
        ("brand=Lynks OR brand=Lynqs", "no image has (brand=Lynks OR brand=Lynqs)"),
        ("size=very_large AND price<1 AND price<50", "no image has size=very_large or price<1"),
        ("NOT price!=5", "every image has price!=5"),
        (
            "brand~x* AND NOT (price<5 OR NOT price<5)",
            'no image has brand~"x*", and every image has (price<5 OR NOT price<5)',
        ),
        (
            "size=small AND size!=small AND price<5",
            "size=small and size!=small contradict each other",
        ),
        (
            "size=small AND NOT (price>99 OR price<5 OR price=90) AND wing_color=grey AND price<50",
            "size=small (1 image) and wing_color=grey (1 image) are found, but never in one image",
        ),
        (
            "price!=3.5 AND price!=90 AND wing_color!=blue AND size!=small",
            "price!=3.5 (2 images) and price!=90 (2 images) and wing_color!=blue (2 images) and "
            "size!=small (2 images) are found, but never in one image",
        ),
        (
            "price!=3.5 AND price!=90 AND brand!=z AND size!=small AND brand!=x AND mixed!=y",
            "each of the 6 conditions is found, but never all in one image",
        ),
        (
            "(size=small OR wing_color=grey) AND brand=ibis",
            "(size=small OR wing_color=grey) (2 images) and brand=ibis (1 image) are found, but "
            "never in one image",
        ),
    ],
)
def test_why_nothing_passes(where: str, why: str) -> None:
    index = shop()
    tree = read_where(where, VOCABULARY, index.columns)
    assert Selection(passing(tree, index)).rows.tolist() == []
    assert why_empty(tree, index) == why


def test_an_index_without_images_says_so() -> None:
    index = index_of(np.zeros((len(ATTRIBUTES), 0), dtype=np.uint8), [])
    tree = Attr("size") != "small"
    assert Selection(passing(tree, index)).rows.tolist() == []
    assert why_empty(tree, index) == "the index holds no images"


def test_texts_without_ends_of_lines_are_not_taken_for_one() -> None:
    index = shop()
    for brand in ("Lynx\nIbis", "Ibis\nLynx", "*\nI*"):
        assert not passing(Field("brand").isin(brand) | Field("brand").like(brand), index).any()
    assert Selection(passing(Field("brand").like("?*", "*"), index)).rows.tolist() == [0, 1]


def test_no_pattern_takes_long() -> None:
    index = shop()
    index.columns.rows[0]["brand"] = "a" * 20_000
    tree = Field("brand").like("*a" * 30 + "*b", "*" * 200 + "b")
    assert Selection(passing(tree, index)).rows.tolist() == []
