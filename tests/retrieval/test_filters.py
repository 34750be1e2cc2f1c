"""What the text of a filter means, and what is wrong with it."""

from __future__ import annotations

import pytest

from finetag_model.errors import UsageError
from finetag_model.vocabulary import Vocabulary
from retrieval.filters import And, Has, parse

BIRDS = Vocabulary(("wing_color=grey", "wing_color=blue", "size=small", "size=very_large"))


@pytest.mark.parametrize(
    ("where", "positions"),
    [
        ((), ()),
        ([], ()),
        ("wing_color=blue", (1,)),
        (["size=small", "wing_color=grey"], (2, 0)),
        (("Wing Color = Grey", "size=VERY-large"), (0, 3)),
        (["size=small", "Size=Small", "wing_color=blue"], (2, 1)),
    ],
)
def test_conditions_become_terms_in_their_order(where: object, positions: tuple) -> None:
    condition = parse(where, BIRDS)
    assert condition == And(tuple(Has(position) for position in positions))
    assert condition.positions == positions


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("wing_colour=grey", "unknown attribute 'wing_colour'; nearest: wing_color"),
        ("wing_color=gray", "wing_color has no value 'gray'; nearest: grey"),
        ("", "not of the form group=value"),
        ("wing_color", "not of the form group=value"),
        (["size=small", "size="], "not of the form group=value"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_near(where: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(where, BIRDS)
    assert caught.value.exit_code == 2
