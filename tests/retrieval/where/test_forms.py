"""The forms of a filter: Python, text and JSON mean the same, and each is read back."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetag_model.errors import UsageError
from retrieval import Attr, Field
from retrieval.where import read_where, to_json
from retrieval.where.text import parse
from retrieval.where.tree import DEEPEST, And, Compare, Has, Not, Or
from tests.retrieval.where.tables import COLUMNS, NAMES, VOCABULARY, trees

GREY, SMALL = Has("wing_color", ("grey",)), Has("size", ("small",))
CHEAP = Compare("price", "<", (50,))

any_number = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
)
any_text = st.one_of(
    st.text(),
    st.text("ab \"'\\,()=<>~!&|*?-._/\n\t\x1b", max_size=6),
    st.sampled_from(["and", "OR", "Not", "true", "False", "5", "-1.5e3", "1.", "+3", "", "007"]),
)


def read(where: Any) -> Any:
    return read_where(where, VOCABULARY, COLUMNS)


@settings(max_examples=200, deadline=None)
@given(tree=trees(any_number, any_text))
def test_every_tree_is_read_back_from_its_text_and_from_its_json(tree: Any) -> None:
    assert read(tree) == tree
    assert read(str(tree)) == tree
    assert str(read(str(tree))) == str(tree)
    assert read(json.loads(json.dumps(to_json(tree)))) == tree
    assert read(f" {json.dumps(to_json(tree))}") == tree
    assert hash(read(str(tree))) == hash(tree)


@pytest.mark.parametrize(
    ("text", "tree", "as_json"),
    [
        ("wing_color=grey", Attr("wing_color") == "grey", {"attr": "wing_color", "in": ["grey"]}),
        (
            "wing_color=grey,blue>=0.8",
            Attr("wing_color").isin("grey", "blue").at_least(0.8),
            {"attr": "wing_color", "in": ["grey", "blue"], "at_least": 0.8},
        ),
        (
            "wing_color!=grey",
            Attr("wing_color") != "grey",
            {"not": {"attr": "wing_color", "in": ["grey"]}},
        ),
        ("price<50", Field("price") < 50, {"field": "price", "<": 50}),
        ("price>=4.5", Field("price") >= 4.5, {"field": "price", ">=": 4.5}),
        ('brand~"lynx*"', Field("brand").like("lynx*"), {"field": "brand", "like": ["lynx*"]}),
        ("brand=Lynx", Field("brand") == "Lynx", {"field": "brand", "in": ["Lynx"]}),
        (
            "mixed=a,5,true",
            Field("mixed").isin(["a", 5, True]),
            {"field": "mixed", "in": ["a", 5, True]},
        ),
        (
            "wing_color=grey AND NOT (size=small OR price<=5) OR price>9",
            (Attr("wing_color") == "grey") & ~((Attr("size") == "small") | (Field("price") <= 5))
            | (Field("price") > 9),
            {
                "or": [
                    {
                        "and": [
                            {"attr": "wing_color", "in": ["grey"]},
                            {
                                "not": {
                                    "or": [
                                        {"attr": "size", "in": ["small"]},
                                        {"field": "price", "<=": 5},
                                    ]
                                }
                            },
                        ]
                    },
                    {"field": "price", ">": 9},
                ]
            },
        ),
    ],
)
def test_the_three_forms_side_by_side(text: str, tree: Any, as_json: dict[str, Any]) -> None:
    assert str(tree) == text
    assert read(text) == read(tree) == read(as_json) == tree
    assert to_json(tree) == as_json


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("  Wing Color = Grey ", GREY),
        ("WING-color='grey'", GREY),
        ("size=very large", Has("size", ("very_large",))),
        ("size=very large>=.5", Has("size", ("very_large",), 0.5)),
        ("shape=medium_(9)", Has("shape", ("medium_(9)",))),
        ("(shape=medium_(9))", Has("shape", ("medium_(9)",))),
        ("true=1.5", Has("true", ("1.5",))),
        ("NOT(size=small)", Not(SMALL)),
        ("not not size=small", Not(Not(SMALL))),
        ("((size=small))and(price<50)", And((SMALL, CHEAP))),
        ("size=small AND price<50 OR wing_color=grey", Or((And((SMALL, CHEAP)), GREY))),
        ("size=small AND (price<50 OR wing_color=grey)", And((SMALL, Or((CHEAP, GREY))))),
        ("NOT size=small AND price<50", And((Not(SMALL), CHEAP))),
        ("size=small\nAND\tprice<50", And((SMALL, CHEAP))),
        ("(size=small AND price<50) AND wing_color=grey", And((SMALL, CHEAP, GREY))),
        ("PRICE < 5e1", CHEAP),
        ("price=-.5", Compare("price", "=", (-0.5,))),
        ("price=true", Compare("price", "=", (True,))),
        ('"5">1', Compare("5", ">", (1,))),
        ("brand=H&M", Compare("brand", "=", ("H&M",))),
        ("brand=Levi's,Yahoo!", Compare("brand", "=", ("Levi's", "Yahoo!"))),
        ("brand='a \\'b\\' \\\\'", Compare("brand", "=", ("a 'b' \\",))),
        ("brand='Black and Tan'", Compare("brand", "=", ("Black and Tan",))),
        ("brand~*.(a)?", Compare("brand", "~", ("*.(a)?",))),
        ("brand~5", Compare("brand", "~", ("5",))),
        # Digits are looked up as they stand in a field without numbers.
        ("article no=007,12", Compare("article no", "=", ("007", "12"))),
        ("mixed=007,'007'", Compare("mixed", "=", (7, "007"))),
        ("brand>2026-01-31", Compare("brand", ">", ("2026-01-31",))),
    ],
)
def test_texts_may_be_written_freely(text: str, tree: Any) -> None:
    assert read(text) == tree


def test_several_must_all_hold_in_any_form() -> None:
    where = ["size=small OR price<50", Attr("Wing Color") == "GREY", {"field": "Price", "<": 50}]
    assert read(where) == And((Or((SMALL, CHEAP)), GREY, CHEAP))
    assert read(["size=small"]) == SMALL
    assert read([]) is read(()) is None


def test_programs_may_say_null_and_join_a_single_condition() -> None:
    condition = {"attr": "size", "in": ["small"], "at_least": None}
    assert read({"and": [{"or": [condition]}]}) == SMALL


def test_trees_are_plain_data() -> None:
    tree = (Attr("size") == "small") & (Field("price") < 50) & GREY
    assert tree.terms == (SMALL, CHEAP, GREY)
    assert {tree: 1}[And((SMALL, And((CHEAP, GREY))))] == 1
    assert (SMALL | (CHEAP | GREY)).terms == (SMALL, CHEAP, GREY)
    with pytest.raises(AttributeError):
        tree.terms = ()


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: SMALL and CHEAP,
        lambda: not SMALL,
        lambda: 0 < Field("price") < 5,
        lambda: bool(~SMALL),
    ],
)
def test_a_filter_has_no_truth(misuse: Any) -> None:
    with pytest.raises(TypeError, match="combine filters with &"):
        misuse()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Attr("size") == 5, "an attribute is compared with text, not with 5"),
        (lambda: Attr("size").isin(), "'size' is compared with no value"),
        (lambda: (Attr("size") == "small").at_least(1.2), "1.2, but must be a number from 0 to 1"),
        (lambda: (Attr("size") == "small").at_least(True), "must be a number from 0 to 1"),
        (lambda: Compare("price", "<", (math.nan,)), "nan is neither text nor a finite number"),
        (lambda: Field("price") == 10**400, "nor a finite number"),
        (lambda: Field("price") == None, "None is neither text nor"),  # noqa: E711
        (lambda: Field("price") < True, "'<' compares with one number or one text"),
        (lambda: Field("brand").like(5), "'~' compares with patterns"),
        (lambda: Compare("brand", "in", ("x",)), "unknown operator 'in'"),
        (lambda: SMALL & "price<5", "'price<5' is not a filter"),
        (lambda: And((SMALL,)), "And needs at least two"),
        (lambda: read(Attr("size")), "is no filter; give a text such as 'wing_color=grey'"),
        (lambda: read(5), "5 is no filter"),
        (lambda: read([["size=small"]]), "is no filter"),
        (lambda: read(Attr("sise") == "small"), "unknown attribute 'sise'; nearest: size"),
        (lambda: read(Attr("size") == "smal"), "size has no value 'smal'; nearest: small"),
        (lambda: read(Attr("price") == "5"), "unknown attribute 'price'; it is a field"),
        (lambda: read(~(Field("size") == "5")), "unknown field 'size'; it is an attribute"),
        (lambda: read(Field("prize") < 5), "unknown field 'prize'; nearest: price"),
        (lambda: read(Field("price") < "5"), "'price' holds numbers, not text such as '5'"),
        (lambda: read(Field("brand") == 5), "'brand' holds text, not numbers such as 5"),
    ],
)
def test_what_is_wrong_in_python(make: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_depth_has_a_limit_in_every_form() -> None:
    tree: Any = SMALL
    for _ in range(DEEPEST):
        tree = ~tree
    assert parse(str(tree), NAMES) == read(to_json(tree)) == tree
    too_deep = to_json(tree)
    for _ in range(100_000):
        too_deep = {"not": too_deep}
    many = "size=small AND (wing_color=grey OR (" * 60 + "price<50" + "))" * 60
    for make in (
        lambda: ~tree,
        lambda: read(too_deep),
        lambda: read("(" * 100_000),
        lambda: read("NOT " * 100_000 + "size=small"),
        lambda: read(many),
    ):
        with pytest.raises(UsageError, match="nested more than 100 levels deep"):
            make()
    wide = " OR ".join(f"price={i}" for i in range(5000))
    assert len(read(wide).terms) == 5000
