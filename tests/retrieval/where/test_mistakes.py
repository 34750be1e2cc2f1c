"""What is wrong with a filter is said in one line, and shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetag_model.errors import UsageError
from retrieval.where import read_where, to_json
from tests.retrieval.where.tables import COLUMNS, VOCABULARY, Table


def message_of(where: Any) -> str:
    with pytest.raises(UsageError) as caught:
        read_where(where, VOCABULARY, COLUMNS)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("caret", "text", "message"),
    [
        (0, "", "a condition is missing before the end; write one such as wing_color=grey"),
        (2, "  ", "a condition is missing before the end"),
        (0, "AND", "a condition is missing before 'AND'"),
        (12, "price<5 AND ", "a condition is missing before the end"),
        (11, "price<5 OR )", "a condition is missing before ')'"),
        (4, "NOT underpart=grey", "unknown attribute or field 'underpart'; nearest: "),
        (
            4,
            "NOT wing_colour=grey",
            "unknown attribute or field 'wing_colour'; nearest: wing_color",
        ),
        (0, "prise<5", "unknown attribute or field 'prise'; nearest: price"),
        (0, "wing_colour", "unknown attribute or field 'wing_colour'"),
        (0, "grey", "unknown attribute or field 'grey'; it is a value: write wing_color=grey"),
        (4, "NOT very small", "unknown attribute or field 'very small'; nearest: "),
        (
            4,
            "NOT Very Large",
            "unknown attribute or field 'Very Large'; it is a value: write size=Very",
        ),
        (4, "size:small", "unknown operator ':'; write ="),
        (10, "wing_color", "'wing_color' is compared with nothing; write wing_color=…"),
        (11, "wing_color=gray", "wing_color has no value 'gray'; nearest: grey"),
        (16, "wing_color=grey,bleu", "wing_color has no value 'bleu'; nearest: blue"),
        (11, "wing_color=", "a value is missing before the end; wing_color has grey, blue"),
        (12, "wing_color= AND price<5", "a value is missing before 'AND'"),
        (16, "wing_color=grey,,", "a value is missing before ','"),
        (10, "wing_color<grey", "'wing_color' is an attribute, which '<' does not compare"),
        (10, "wing_color==grey", "unknown operator '=='; write ="),
        (5, "price=>5", "unknown operator '=>'; write >="),
        (5, "price<>5", "unknown operator '<>'; write !="),
        (5, "price<=>5", "unknown operator '<=>'; there are = != < <= > >= ~"),
        (0, "!price=5", "unknown operator '!'; write NOT"),
        (8, "price<5 & size=small", "unknown operator '&'; write AND, or put it in quotes"),
        (8, "price<5 || size=small", "unknown operator '||'; write OR, or put it in quotes"),
        (16, "wing_color=grey size=small", "AND or OR is missing before 'size'"),
        (16, "wing_color=grey Article No=5", "AND or OR is missing before 'Article'"),
        (16, "wing_color=grey price>=5", "AND or OR is missing before 'price'"),
        (8, "price<5 size=small", "AND or OR is missing before 'size'"),
        (8, "'5' < 5 'brand'=5", "AND or OR is missing before 'brand'"),
        (8, "price<5 (size=small)", "AND or OR is missing before '('"),
        (8, "price<5 NOT size=small", "AND or OR is missing before 'NOT'"),
        (0, "(price<5", "a parenthesis that is not closed; end it with )"),
        (4, "NOT (price<5 AND (size=small)", "a parenthesis that is not closed"),
        (7, "price<5)", "a ) that closes nothing"),
        (6, "brand='x", "a quote that is not closed; end it with '"),
        (6, 'brand="x\\"', 'a quote that is not closed; end it with "'),
        (0, "0<price<5", "'0' on the left; write the field first"),
        (7, "price>0<5", "a second comparison '<'"),
        (15, "wing_color=grey=blue", "a second comparison '='"),
        (17, "wing_color=grey>=1.5", "'1.5' is no confidence; write a number from 0 to 1"),
        (17, "wing_color=grey>=high", "'high' is no confidence"),
        (17, "wing_color=grey>=", "the end is no confidence"),
        (16, "wing_color!=grey>=0.5", "'>=' after '!='; write NOT wing_color=grey>=… for"),
        (6, "price<cheap", "'price' holds numbers, not text such as 'cheap'"),
        (6, "price='5'", "'price' holds numbers, not text such as '5'"),
        (6, "price~5*", "'price' holds numbers, not text such as '5*'"),
        (6, "brand<5", "'brand' holds text, not numbers such as 5"),
        (8, "price<5,6", "'<' compares with one value; write a comparison for each"),
        (6, "price<true", "'<' compares with one number or one text"),
        (15, '{"attr": "size"', "no JSON: Expecting ',' delimiter"),
        (1, "{size=small}", "no JSON: Expecting property name enclosed in double quotes"),
        (6, "price=1e999", "inf is neither text nor a finite number"),
    ],
)
def test_a_mistake_in_a_text_is_pointed_at(caret: int, text: str, message: str) -> None:
    line, shown, pointer = message_of(text).split("\n")
    what, _, advice = message.partition("; ")
    assert line.startswith(f"{what} at character {caret + 1}; {advice}" if advice else what)
    assert f" at character {caret + 1}; " in line
    assert shown == f"  {text}"
    assert pointer == f"  {' ' * caret}^"


def test_a_long_text_is_shown_around_the_mistake() -> None:
    text = " OR ".join(["price<5"] * 500 + ["size=smal"] + ["price<5"] * 500)
    line, shown, pointer = message_of(text).split("\n")
    assert f" at character {text.index('smal') + 1};" in line
    assert len(shown) < 80
    assert shown[pointer.index("^") :].startswith("smal OR")


def test_a_mistake_cannot_command_the_terminal() -> None:
    message = message_of("brand\x1b[2J\n\u202e='x' OR size=smal")
    assert all(line.isprintable() for line in message.split("\n"))
    assert message.count("\n") == 2
    wide = message_of("写真=写 AND size=smal")
    shown, pointer = wide.split("\n")[1:]
    assert shown.index("smal") + 3 == pointer.index("^")  # of characters two columns wide
    assert len(message_of("x" * 100_000 + "=5").split("\n")[0]) < 300


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({}, "where: nothing together"),
        ({"and": [{"field": "price", "<": 5}, 7]}, "where.and[1]: 7 is no condition; write"),
        ({"and": []}, "where.and: [] is not a list of at least one"),
        ({"or": {"attr": "size"}}, "where.or: {'attr': 'size'} is not a list"),
        ({"not": [1]}, "where.not: [1] is no condition"),
        ({"attr": "size"}, "where: 'attr' together are no condition"),
        ({"attr": "size", "in": "small"}, "where.in: 'small' is not a list"),
        ({"attr": "size", "in": ["smal"]}, "where.in: size has no value 'smal'; nearest: small"),
        ({"attr": "size", "in": [5]}, "where.in: an attribute is compared with text, not with 5"),
        ({"attr": "sise", "in": ["small"]}, "where.attr: unknown attribute 'sise'; nearest: size"),
        ({"attr": 5, "in": ["small"]}, "where.attr: unknown attribute 5; a name is a text"),
        ({"attr": "size", "in": ["small"], "at_least": 2}, "where.at_least: the confidence is 2"),
        ({"attr": "size", "in": ["small"], "sure": 1}, "where: 'attr', 'in', 'sure' together"),
        (
            {"or": [{"not": {"field": "prize", "<": 5}}]},
            "where.or[0].not.field: unknown field 'prize'; nearest: price",
        ),
        ({"field": "price", "<": "5"}, "where.<: 'price' holds numbers, not text such as '5'"),
        ({"field": "price", "<": [5]}, "where.<: [5] is neither text nor a finite number"),
        ({"field": "price", "in": [{}]}, "where.in: {} is neither text nor a finite number"),
        ({"field": "price", "<": 5, ">": 3}, "where: 'field', '<', '>' together"),
        ({"field": ["price"], "<": 5}, "where.field: unknown field ['price']"),
        ({1: 2}, "where: 1 together are no condition"),
    ],
)
def test_a_mistake_in_json_has_its_place(where: Any, message: str) -> None:
    said = message_of(where)
    assert said.startswith(message)
    assert "\n" not in said


words = ["size", "=", "small", "price", "<", ">=", "5", "AND", "or", "NOT", "(", ")", ",", "~"]
words += ["'", '"', "\\", " ", "brand", "x*", "!=", "wing color", "grey", "0.8", "a(b)", "&", "\0"]


@settings(max_examples=400, deadline=None)
@given(text=st.one_of(st.text(), st.lists(st.sampled_from(words), max_size=14).map("".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    read, refused = attempt(text)
    if refused:
        assert refused.count("\n") == 2
        assert all(line.isprintable() for line in refused.split("\n"))
    else:
        assert attempt(str(read)) == (read, "")


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["and", "or", "not", "attr", "field", "in", "like", "<", "at_least"]),
            st.one_of(inner, st.sampled_from(["size", "price", "brand", ["small"], 5])),
            max_size=3,
        ),
    ),
)


@settings(max_examples=150, deadline=None)
@given(value=st.dictionaries(st.sampled_from(["and", "or", "not", "attr", "in"]), json_values))
def test_any_json_is_read_or_refused(value: dict[str, Any]) -> None:
    read, refused = attempt(value)
    if refused:
        assert refused.startswith("where")
    else:
        assert attempt(to_json(read)) == (read, "")


@pytest.mark.parametrize("piece", ['{"not":', '{"and": [1, '])
def test_json_that_never_ends_is_refused(piece: str) -> None:
    _, refused = attempt(piece * 100_000)
    assert "nested" in refused or "no JSON" in refused


def attempt(where: Any) -> tuple[Any, str]:
    """Return what a filter is read as, or else why it is not."""
    try:
        return read_where(where, VOCABULARY, COLUMNS), ""
    except UsageError as error:
        return None, str(error)


def test_a_field_that_cannot_be_known_yet_says_how_fields_come() -> None:
    with pytest.raises(UsageError, match=r"nearest: .*; 'finetag-index import' brings fields"):
        read_where("price<5", VOCABULARY, Table([], ()))
