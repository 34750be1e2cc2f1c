"""Filters written in Python: `(Attr("underparts_color") == "grey") & (Field("price") < 50)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retrieval.where.tree import Compare, Has, Not, Value


@dataclass(frozen=True, eq=False)
class Attr:
    """A group of the model's attributes, to be compared.

    >>> Attr("underparts_color") == "grey"
    >>> Attr("underparts_color").isin("grey", "white").at_least(0.8)
    """

    group: str

    __hash__ = None  # type: ignore[assignment]  # == makes a filter

    def __eq__(self, value: str) -> Has:  # type: ignore[override]
        """Return the filter of images that have the value."""
        return Has(self.group, (value,))

    def __ne__(self, value: str) -> Not:  # type: ignore[override]
        """Return the filter of images that do not have the value."""
        return Not(self == value)

    def isin(self, *values: str | Sequence[str]) -> Has:
        """Return the filter of images that have one of the values, given singly or as a list."""
        return Has(self.group, _flat(values))


@dataclass(frozen=True, eq=False)
class Field:
    """A field that was imported, such as a price or a brand, to be compared.

    >>> Field("price") < 50
    >>> Field("brand").like("lynx*")
    """

    name: str

    __hash__ = None  # type: ignore[assignment]  # == makes a filter

    def __eq__(self, value: Value) -> Compare:  # type: ignore[override]
        """Return the filter of images whose field is the value; the case of text is all one."""
        return Compare(self.name, "=", (value,))

    def __ne__(self, value: Value) -> Not:  # type: ignore[override]
        """Return the filter of all other images, those without the field among them."""
        return Not(self == value)

    def __lt__(self, value: str | float) -> Compare:
        """Return the filter of images whose field is less."""
        return Compare(self.name, "<", (value,))

    def __le__(self, value: str | float) -> Compare:
        """Return the filter of images whose field is as much or less."""
        return Compare(self.name, "<=", (value,))

    def __gt__(self, value: str | float) -> Compare:
        """Return the filter of images whose field is more."""
        return Compare(self.name, ">", (value,))

    def __ge__(self, value: str | float) -> Compare:
        """Return the filter of images whose field is as much or more."""
        return Compare(self.name, ">=", (value,))

    def isin(self, *values: Value | Sequence[Value]) -> Compare:
        """Return the filter of images whose field is one of the values, singly or as a list."""
        return Compare(self.name, "=", _flat(values))

    def like(self, *patterns: str | Sequence[str]) -> Compare:
        """Return the filter of images whose text is like a pattern: `*` any, `?` one character."""
        return Compare(self.name, "~", _flat(patterns))


def _flat(values: tuple[Any, ...]) -> tuple[Any, ...]:
    parts = [
        (each,) if isinstance(each, str) or not isinstance(each, Sequence) else each
        for each in values
    ]
    return tuple(value for part in parts for value in part)
