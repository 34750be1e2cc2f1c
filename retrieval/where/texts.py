"""Which of the distinct texts of a field compare so with a value; upper and lower case are one.

A field may have as many texts as there are images, such as titles. So that none of them is
looked at by itself, they are searched as one long text, for a piece of what is looked for; only
those that have the piece are then compared.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ORDER: dict[str, Callable[[str, str], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_END = "\n"


def which(known: tuple[str, ...], op: str, values: list[str]) -> NDArray[np.bool_]:
    """Return which texts compare so with at least one value; bool (number of texts,).

    Args:
        known: the texts.
        op: one of `retrieval.where.tree.OPERATORS`.
        values: texts, or for `~` patterns; one if `op` is of an order.
    """
    folded = [value.casefold() for value in values]
    if op in _ORDER:
        return _each(known, lambda text: _ORDER[op](text, folded[0]))
    tests = [_Test.of(value, is_pattern=op == "~") for value in folded]
    # Case is folded character by character, so that it may be done to all at once.
    joined = _encoded(f"{_END}{_END.join(known)}{_END}".casefold())
    ends = np.flatnonzero(np.frombuffer(joined, np.uint8) == ord(_END))
    if len(ends) > len(known) + 1:  # some texts have ends of lines themselves
        return _each(known, lambda text: any(test.passes(text) for test in tests))
    passes = np.zeros(len(known), dtype=np.bool_)
    for test in tests:
        if test.has_end:
            continue  # which none of the texts has
        if not test.piece.strip(_END):  # a pattern of `*` and `?` alone
            return passes | _each(known, lambda text: any(each.passes(text) for each in tests))
        found = _found(joined, _encoded(test.piece))
        places = np.unique(np.searchsorted(ends, found, side="right") - 1)
        if not test.is_whole:
            places = places[[test.passes(known[place].casefold()) for place in places]]
        passes[places] = True
    return passes


@dataclass(frozen=True)
class _Test:
    """What a text must be like.

    Attributes:
        expression: the regular expression of it.
        piece: the longest stretch without `*` and `?`, with the end before it or after it where
            it begins or ends the text.
        is_whole: whether every text with the piece passes.
        has_end: whether it must have the end of a line within.
    """

    expression: re.Pattern[str]
    piece: str
    is_whole: bool
    has_end: bool

    @classmethod
    def of(cls, value: str, *, is_pattern: bool) -> _Test:
        expression = re.compile(_expression(value) if is_pattern else re.escape(value), re.DOTALL)
        pieces = (
            re.split(r"[*?]", f"{_END}{value}{_END}") if is_pattern else [f"{_END}{value}{_END}"]
        )
        piece = max(pieces, key=lambda each: len(each.strip(_END)))
        is_whole = "?" not in value and sum(each.strip(_END) != "" for each in pieces) == 1
        return cls(expression, piece, is_whole or not is_pattern, _END in value)

    def passes(self, text: str) -> bool:
        """Say whether a text, its case folded, is so."""
        return self.expression.fullmatch(text) is not None


def _expression(pattern: str) -> str:
    """Return the regular expression of a pattern of `*` and `?`.

    What follows a `*` is looked for once, from the left (an atomic group), so that no pattern
    makes a search take long; only the last piece must reach the end.
    """
    first, *others = [re.escape(piece).replace(r"\?", ".") for piece in pattern.split("*")]
    if not others:
        return first
    *middle, last = others
    return first + "".join(f"(?>.*?{piece})" for piece in middle) + f".*{last}"


def _each(known: tuple[str, ...], passes: Callable[[str], bool]) -> NDArray[np.bool_]:
    return np.fromiter(map(passes, map(str.casefold, known)), np.bool_, len(known))


def _found(joined: bytes, piece: bytes) -> NDArray[np.int64]:
    """Return where a piece begins."""
    places: list[int] = []
    place = joined.find(piece)
    while place >= 0:
        places.append(place)
        place = joined.find(piece, place + 1)
    return np.array(places, dtype=np.int64)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
