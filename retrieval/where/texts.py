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
from functools import cached_property, reduce
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from retrieval.where.names import Columns

_ORDER: dict[str, Callable[[str, str], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_END = "\n"
_SPECIAL = re.compile(r"\\([*?\\])|[*?]")

_FEW = 8
"""Values, up to which each is searched for; among more, each text is looked up."""

_ready: WeakKeyDictionary[Columns, dict[str, _Texts]] = WeakKeyDictionary()
"""What was made of the fields that were asked for, as long as their index is open."""


def which(columns: Columns, field: str, op: str, values: list[str]) -> NDArray[np.bool_]:
    """Return which of a field's texts compare so with at least one value.

    Args:
        columns: the fields of an index.
        field: the field.
        op: one of `retrieval.where.tree.OPERATORS`.
        values: texts, or for `~` patterns; one if `op` is of an order.

    Returns:
        bool (number of texts,), in the order of `indexer.Texts.known`.
    """
    folded = [value.casefold() for value in values]
    ready = _ready.setdefault(columns, {})
    if field not in ready:
        ready[field] = _Texts(columns.texts(field).known)
    texts = ready[field]
    if op in _ORDER:
        return texts.each(lambda text: _ORDER[op](text, folded[0]))
    if op == "=" and len(folded) > _FEW:
        return texts.each(set(folded).__contains__)
    tests = [_Test.of(value, is_pattern=op == "~") for value in folded]
    if not texts.is_searchable or not all(test.piece.strip(_END) for test in tests):
        return texts.each(lambda text: any(test.passes(text) for test in tests))
    return reduce(np.logical_or, map(texts.searched, tests))


class _Texts:
    """The distinct texts of a field, and all of them as one, made when it is first asked for."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    @cached_property
    def _joined(self) -> tuple[bytes, NDArray[np.int64]]:
        """Return the texts, an end of line around each, and where those ends are."""
        # Case is folded character by character, so that it may be done to all at once.
        joined = _encoded(f"{_END}{_END.join(self._known)}{_END}".casefold())
        return joined, np.flatnonzero(np.frombuffer(joined, np.uint8) == ord(_END))

    @property
    def is_searchable(self) -> bool:
        """Say whether no text has an end of line itself."""
        return len(self._joined[1]) == len(self._known) + 1

    def each(self, passes: Callable[[str], bool]) -> NDArray[np.bool_]:
        """Ask of each text, its case folded, whether it passes."""
        return np.fromiter(map(passes, map(str.casefold, self._known)), np.bool_, len(self._known))

    def searched(self, test: _Test) -> NDArray[np.bool_]:
        """Find the texts that pass a test; those that have its piece are asked alone."""
        passes = np.zeros(len(self._known), dtype=np.bool_)
        if test.has_end:
            return passes
        joined, ends = self._joined
        found = _found(joined, _encoded(test.piece))
        places = np.unique(np.searchsorted(ends, found, side="right") - 1)
        if not test.is_whole:
            places = places[[test.passes(self._known[place].casefold()) for place in places]]
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
        parts = _parts(value) if is_pattern else [[value]]
        pieces = [piece for part in parts for piece in part]
        has_end = any(_END in piece for piece in pieces)
        pieces[0] = _END + pieces[0]
        pieces[-1] += _END
        piece = max(pieces, key=lambda each: len(each.strip(_END)))
        one = sum(each.strip(_END) != "" for each in pieces) == 1
        is_whole = not is_pattern or (one and all(len(part) == 1 for part in parts))
        return cls(re.compile(_expression(parts), re.DOTALL), piece, is_whole, has_end)

    def passes(self, text: str) -> bool:
        """Say whether a text, its case folded, is so."""
        return self.expression.fullmatch(text) is not None


def _parts(pattern: str) -> list[list[str]]:
    """Cut a pattern at each `*`, and each part at each `?`; after a backslash they are text."""
    parts = [[""]]
    at = 0
    for special in _SPECIAL.finditer(pattern):
        parts[-1][-1] += pattern[at : special.start()] + (special[1] or "")
        at = special.end()
        if special[0] == "*":
            parts.append([""])
        elif special[0] == "?":
            parts[-1].append("")
    parts[-1][-1] += pattern[at:]
    return parts


def _expression(parts: list[list[str]]) -> str:
    """Return the regular expression of a pattern.

    What follows a `*` is looked for once, from the left (an atomic group), so that no pattern
    makes a search take long; only the last part must reach the end.
    """
    first, *others = [".".join(map(re.escape, part)) for part in parts]
    if not others:
        return first
    *middle, last = others
    return first + "".join(f"(?>.*?{part})" for part in middle) + f".*{last}"


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
