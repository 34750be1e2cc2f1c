"""What a filter may name: the model's attributes and the fields that were imported.

Every form of a filter goes through here, so that a wrong name, value or type is told of in the
same words.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from finetag_model.console import printable
from finetag_model.errors import UsageError
from finetag_model.nearest import nearest
from finetag_model.vocabulary import Vocabulary, fold
from indexer import Texts
from retrieval.where.spelling import written, written_value
from retrieval.where.tree import ORDERS, And, Compare, Filter, Has, Not, Or, Value

_LONGEST = 60
"""Characters of a name or value that a message repeats."""


_CLOSE = 0.7
"""So like a known name must another be to be that one, misspelt."""


class Columns(Protocol):
    """The imported fields of an index; `indexer.columns.Columns` is one."""

    names: tuple[str, ...]

    def has_numbers(self, name: str) -> bool:
        """Say whether some row has a number in this field."""

    def has_texts(self, name: str) -> bool:
        """Say whether some row has a text in this field."""

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a field's numbers; float64 (rows,), NaN where there is none."""

    def texts(self, name: str) -> Texts:
        """Return the distinct texts, and which each row has."""


class WhereError(UsageError):
    """Something in a filter is wrong; where, is for the reader of its form to say.

    Attributes:
        what: is wrong, such as `unknown field 'prize'`.
        advice: what to do about it, such as `nearest: price`.
    """

    def __init__(self, what: str, advice: str, place: str = "") -> None:
        self.what = printable(what)
        self.advice = printable(advice)
        super().__init__(f"{self.what}{place}; {self.advice}")


class Names:
    """The attributes and fields of one index, found by what a user writes."""

    def __init__(self, vocabulary: Vocabulary, columns: Columns) -> None:
        self._vocabulary = vocabulary
        self._columns = columns
        self._groups = vocabulary.groups_by_key
        self._fields = {fold(name): name for name in columns.names}

    def group(self, name: str) -> str | None:
        """Return the group of attributes that is meant, as the model spells it; None if none is."""
        return name if name in self._vocabulary.groups else self._groups.get(fold(name))

    def field(self, name: str) -> str | None:
        """Return the field that is meant, as it was imported; None if none is."""
        return name if name in self._columns.names else self._fields.get(fold(name))

    def is_name(self, name: str) -> bool:
        """Say whether there is an attribute or field of this name."""
        return self.group(name) is not None or self.field(name) is not None

    def known_group(self, name: object) -> str:
        """Return the group that is meant.

        Raises:
            WhereError: there is none.
        """
        known = self.group(name) if isinstance(name, str) else None
        if known is None:
            raise self.unknown(name, "attribute")
        return known

    def known_field(self, name: object) -> str:
        """Return the field that is meant.

        Raises:
            WhereError: there is none.
        """
        known = self.field(name) if isinstance(name, str) else None
        if known is None:
            raise self.unknown(name, "field")
        return known

    def either(self, name: str) -> tuple[str, bool]:
        """Return the group or else the field that is meant, and whether it is a group.

        Raises:
            WhereError: there is neither.
        """
        group, field = self.group(name), self.field(name)
        if group is not None:
            return group, True
        if field is None:
            raise self.unknown(name)
        return field, False

    def unknown(self, name: object, kind: str = "attribute or field") -> WhereError:
        """Return what to say of a name that is neither, or not of the kind that is needed."""
        what = f"unknown {kind} {shown(name)}"
        if not isinstance(name, str):
            return WhereError(what, "a name is a text")
        if kind == "attribute" and self.field(name) is not None:
            return WhereError(what, "it is a field")
        if kind == "field" and self.group(name) is not None:
            return WhereError(what, "it is an attribute")
        known = {
            **(self._fields if "field" in kind else {}),
            **(self._groups if "attribute" in kind else {}),
        }
        none_yet = "'finetag-index import' brings fields, and there are none yet"
        if not known:
            return WhereError(what, none_yet)
        if "attribute" in kind and (meant := self._having(name)):
            return WhereError(what, f"it is a value: write {' or '.join(meant)}")
        key = fold(name[:_LONGEST])
        is_misspelt = get_close_matches(key, known, n=1, cutoff=_CLOSE)
        may_be_a_field = "field" in kind and not self._fields and not is_misspelt
        return WhereError(what, _nearest(key, known) + f"; {none_yet}" * may_be_a_field)

    def _having(self, value: str) -> list[str]:
        """Return conditions that ask for a value, if some group has it; two are enough."""
        names = [f"{g}={value}" for g in self._vocabulary.groups if self.is_value(g, value)]
        return names[:2]

    def value(self, group: str, value: str) -> str:
        """Return a value of a group as the model spells it.

        Raises:
            WhereError: the group has no such value.
        """
        values = [self._vocabulary.value(place) for place in self._vocabulary.groups[group]]
        if value in values:
            return value
        folded = {fold(known): known for known in values}
        if fold(value) not in folded:
            what = f"{group} has no value {shown(value)}"
            raise WhereError(what, _nearest(fold(value), folded))
        return folded[fold(value)]

    def is_value(self, group: str, value: str) -> bool:
        """Say whether a group has a value, however it is spelt."""
        known = [self._vocabulary.value(place) for place in self._vocabulary.groups[group]]
        return value in known or fold(value) in map(fold, known)

    def example(self) -> str:
        """Return a condition for a message to teach with."""
        return self._vocabulary.names[0]

    def examples(self, group: str) -> str:
        """Return some values of a group for a message to teach with."""
        places = self._vocabulary.groups[group]
        more = ", …" if len(places) > 3 else ""
        return ", ".join(written(self._vocabulary.value(place)) for place in places[:3]) + more

    def holds_numbers(self, field: str) -> bool:
        """Say whether some image has a number in a field."""
        return self._columns.has_numbers(field)

    def check(self, field: str, op: str, value: Value) -> None:
        """See that a value can be compared with what a field holds.

        Raises:
            WhereError: no image could ever be found, for the field holds no values of this type.
        """
        if isinstance(value, str) and not self._columns.has_texts(field):
            what = f"{shown(field)} holds numbers, not text such as {shown(value)}"
            raise WhereError(what, "compare it with a number, which has no quotes")
        if not isinstance(value, str) and not self._columns.has_numbers(field):
            what = f"{shown(field)} holds text, not numbers such as {written_value(value)}"
            order = "; texts are ordered letter by letter" * (op in ORDERS)
            raise WhereError(what, f"compare it with text, which has quotes{order}")

    def has(self, group: str, values: Iterable[str], confidence: float | None) -> Has:
        """Return the condition on a group, with all names as the model spells them.

        Raises:
            WhereError: there is no such group or value.
            UsageError: see `Has`.
        """
        meant = Has(group, tuple(values), confidence)  # which sees to the types
        known = self.known_group(group)
        return Has(known, tuple(self.value(known, value) for value in meant.values), confidence)

    def compare(self, field: str, op: str, values: Iterable[Value]) -> Compare:
        """Return the condition on a field, with its name as it was imported.

        Raises:
            WhereError: there is no such field, or it holds no values of this type.
            UsageError: see `Compare`.
        """
        meant = Compare(field, op, tuple(values))
        known = self.known_field(field)
        for value in meant.values:
            self.check(known, op, value)
        return Compare(known, op, meant.values)

    def resolved(self, tree: Filter) -> Filter:
        """Return a tree with all its names found, and spelt as in the index.

        Raises:
            WhereError: a name, value or type is wrong.
        """
        match tree:
            case Has(group, values, confidence):
                return self.has(group, values, confidence)
            case Compare(field, op, compared):
                return self.compare(field, op, compared)
            case Not(term):
                return Not(self.resolved(term))
            case And(terms):
                return And(tuple(map(self.resolved, terms)))
            case Or(terms):
                return Or(tuple(map(self.resolved, terms)))


def shown(value: object) -> str:
    """Return a name or value as Python writes it, shortened to fit a message."""
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…")
    return reprlib.repr(value)


def _nearest(key: str, known: dict[str, str]) -> str:
    return f"nearest: {', '.join(known[match] for match in nearest(key[:_LONGEST], known))}"
