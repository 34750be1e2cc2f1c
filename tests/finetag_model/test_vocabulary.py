from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetag_model.errors import DataError, UsageError
from finetag_model.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    (
        "bill_shape=hooked_seabird",
        "wing_color=grey",
        "wing_color=blue",
        "size=medium",
        "bill_shape=all-purpose",
        "size=very_large",
    )
)


@pytest.mark.parametrize(
    ("official", "name"),
    [
        ("has_bill_shape::curved_(up_or_down)", "bill_shape=curved"),
        ("has_size::medium_(9_-_16_in)", "size=medium"),
        ("has_back_pattern::multi-colored", "back_pattern=multi-colored"),
        ("has_shape::upright-perching_water-like", "shape=upright-perching_water-like"),
        ("has_head_pattern::has_crest", "head_pattern=has_crest"),
    ],
)
def test_names_of_cub_become_ours(official: str, name: str) -> None:
    assert Vocabulary.from_cub_names([official]).names == (name,)


def test_a_name_that_is_not_of_cub() -> None:
    with pytest.raises(DataError, match="'wing_color=grey' is not a CUB attribute name"):
        Vocabulary.from_cub_names(["wing_color=grey"])


@pytest.mark.parametrize("name", ["grey", "color=", "=grey", "wing color=grey", "a=b=c", ""])
def test_a_malformed_name(name: str) -> None:
    with pytest.raises(DataError, match="is not of the form group=value"):
        Vocabulary(("size=small", name))


@pytest.mark.parametrize("twin", ["wing_color=grey", "wing-color=Grey"])
def test_names_must_differ_by_more_than_their_spelling(twin: str) -> None:
    with pytest.raises(DataError, match="same name"):
        Vocabulary(("wing_color=grey", twin))


def test_groups_keep_order_and_need_not_be_contiguous() -> None:
    assert dict(VOCABULARY.groups) == {"bill_shape": (0, 4), "wing_color": (1, 2), "size": (3, 5)}
    assert list(VOCABULARY.groups) == ["bill_shape", "wing_color", "size"]
    assert len(VOCABULARY) == 6
    assert VOCABULARY.value(4) == "all-purpose"


def test_vocabularies_are_equal_if_their_names_are() -> None:
    assert Vocabulary(VOCABULARY.names) == VOCABULARY
    assert Vocabulary(VOCABULARY.names[::-1]) != VOCABULARY


@pytest.mark.parametrize(
    "name",
    [
        "bill_shape=all-purpose",
        "Bill Shape = All Purpose",
        "  bill-shape=all_purpose ",
        "BILL_SHAPE=ALL PURPOSE",
        "bill  shape= all - purpose",
    ],
)
def test_spelling_does_not_matter(name: str) -> None:
    assert VOCABULARY.position(name) == 4


@given(st.integers(0, len(VOCABULARY) - 1))
def test_every_name_finds_its_position(position: int) -> None:
    assert VOCABULARY.position(VOCABULARY.names[position]) == position


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wing_color=gray", "wing_color has no value 'gray'; nearest: grey"),
        ("size=purple", "size has no value 'purple'; nearest: medium, very_large"),
        ("wing_colour=grey", "unknown attribute 'wing_colour'; nearest: wing_color"),
        ("qqq=grey", "unknown attribute 'qqq'; nearest: bill_shape, size, wing_color"),
        ("grey", "'grey' is not of the form group=value, as in 'bill_shape=hooked_seabird'"),
        ("=grey", "'=grey' is not of the form"),
        ("size=", "'size=' is not of the form"),
        ("", "'' is not of the form"),
    ],
)
def test_what_is_unknown_is_answered_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        VOCABULARY.position(name)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@given(st.text())
def test_any_text_is_a_position_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert VOCABULARY.position(text) in range(len(VOCABULARY))


def test_groups_are_found_however_they_are_written() -> None:
    for group, positions in VOCABULARY.groups.items():
        assert VOCABULARY.group(f" {group.upper().replace('_', '-')} ") == positions
    with pytest.raises(UsageError, match="unknown attribute 'wing'; nearest: wing_color"):
        VOCABULARY.group("wing")
