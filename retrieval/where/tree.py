"""What a filter is: a small tree of plain frozen data, the same whatever form it was written in.

`str` of a tree is its text form. Whether its names exist is not known here (`names`), nor what
passes it (`evaluate`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeAlias

from finetag_model.errors import UsageError
from retrieval.where.spelling import written, written_value

Value: TypeAlias = str | float | bool
"""Of a field: a text, a number (int or float), or true or false."""

ORDERS = ("<", "<=", ">", ">=")
OPERATORS = ("=", *ORDERS, "~")
"""How a field is compared: equal, in order, and like a pattern of `*` and `?`."""

DEEPEST = 100
"""Levels of AND, OR and NOT below one another; enough for people, and safe for the stack."""


class _Operators:
    """What all nodes of a tree share: `&`, `|` and `~`, and no truth of their own."""

    def __and__(self, other: Filter) -> And:
        return And(_filters(self, other))

    def __or__(self, other: Filter) -> Or:
        return Or(_filters(self, other))

    def __invert__(self) -> Not:
        return Not(*_filters(self))

    def __bool__(self) -> bool:
        raise TypeError(
            "a filter is neither true nor false; combine filters with &, | and ~ (and each in "
            "parentheses), not with and, or, not, or a chain such as 0 < Field('price') < 5"
        )


@dataclass(frozen=True)
class Has(_Operators):
    """The image has at least one of these values of a group of attributes.

    Attributes:
        group: as `underparts_color`.
        values: at least one.
        confidence: the calibrated probability in [0, 1] that one of them must reach; None for
            the model's own threshold of each.

    Raises:
        UsageError: there is no value, or `confidence` is not in [0, 1].
    """

    group: str
    values: tuple[str, ...]
    confidence: float | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise UsageError(f"{self.group!r} is compared with no value; name at least one")
        wrong = [text for text in (self.group, *self.values) if not isinstance(text, str)]
        if wrong:
            raise UsageError(f"an attribute is compared with text, not with {wrong[0]!r}")
        sure = self.confidence
        if sure is not None and (
            isinstance(sure, bool) or not (_is_number(sure) and 0 <= sure <= 1)
        ):
            raise UsageError(f"the confidence is {sure!r}, but must be a number from 0 to 1")

    def at_least(self, confidence: float) -> Has:
        """Return the same, but asking for a probability, in [0, 1]."""
        return Has(self.group, self.values, confidence)

    def __str__(self) -> str:
        return _compared(self, "=")


@dataclass(frozen=True)
class Compare(_Operators):
    """The image's field compares so with at least one of these values.

    Attributes:
        field: as `price`.
        op: one of OPERATORS.
        values: at least one; exactly one, and no truth, if `op` is of ORDERS; texts if it is `~`.

    Raises:
        UsageError: the values do not fit the operator.
    """

    field: str
    op: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        name, op, values = self.field, self.op, self.values
        if not isinstance(name, str):
            raise UsageError(f"a field has a name, which {name!r} is not")
        if op not in OPERATORS:
            raise UsageError(f"unknown operator {op!r}; the operators are {' '.join(OPERATORS)}")
        if not values:
            raise UsageError(f"{name!r} is compared with no value; name at least one")
        for value in values:
            if not (isinstance(value, str) or _is_number(value)):
                raise UsageError(f"{value!r} is neither text nor a finite number")
        if op in ORDERS and (len(values) > 1 or isinstance(values[0], bool)):
            raise UsageError(f"{op!r} compares with one number or one text")
        if op == "~" and not all(isinstance(value, str) for value in values):
            raise UsageError("'~' compares with patterns such as \"lynx*\", which are text")

    def __str__(self) -> str:
        return _compared(self, self.op)


@dataclass(frozen=True)
class And(_Operators):
    """The image passes every term. Terms that are And themselves are taken in.

    Raises:
        UsageError: there are fewer than two terms, or they are nested too deep.
    """

    terms: tuple[Filter, ...]
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        parts = [term.terms if isinstance(term, And) else (term,) for term in self.terms]
        _settle(self, tuple(term for part in parts for term in part))

    def __str__(self) -> str:
        return " AND ".join(
            f"({term})" if isinstance(term, Or) else str(term) for term in self.terms
        )


@dataclass(frozen=True)
class Or(_Operators):
    """The image passes at least one term. Terms that are Or themselves are taken in.

    Raises:
        UsageError: there are fewer than two terms, or they are nested too deep.
    """

    terms: tuple[Filter, ...]
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        parts = [term.terms if isinstance(term, Or) else (term,) for term in self.terms]
        _settle(self, tuple(term for part in parts for term in part))

    def __str__(self) -> str:
        return " OR ".join(map(str, self.terms))


@dataclass(frozen=True)
class Not(_Operators):
    """The image does not pass the term; one of which nothing is known does not pass it either.

    Raises:
        UsageError: it is nested too deep.
    """

    term: Filter
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        _set_depth(self, (self.term,))

    def __str__(self) -> str:
        if isinstance(self.term, Has) and self.term.confidence is None:
            return _compared(self.term, "!=")
        if isinstance(self.term, Compare) and self.term.op == "=":
            return _compared(self.term, "!=")
        return f"NOT ({self.term})" if isinstance(self.term, And | Or) else f"NOT {self.term}"


Filter: TypeAlias = Has | Compare | And | Or | Not


def all_of(terms: tuple[Filter, ...]) -> Filter:
    """Return the filter that is passed with every one of the terms, of which there is one."""
    return terms[0] if len(terms) == 1 else And(terms)


def any_of(terms: tuple[Filter, ...]) -> Filter:
    """Return the filter that is passed with any of the terms, of which there is one."""
    return terms[0] if len(terms) == 1 else Or(terms)


def too_deep() -> UsageError:
    """Return what is wrong with a filter of more than DEEPEST levels."""
    return UsageError(f"the filter is nested more than {DEEPEST} levels deep; write it flatter")


def _compared(node: Has | Compare, op: str) -> str:
    if isinstance(node, Compare):
        return f"{written(node.field)}{op}{','.join(map(written_value, node.values))}"
    sure = "" if node.confidence is None else f">={written_value(node.confidence)}"
    return f"{written(node.group)}{op}{','.join(map(written, node.values))}{sure}"


def _settle(node: And | Or, terms: tuple[Filter, ...]) -> None:
    if len(terms) < 2:
        raise UsageError(f"{type(node).__name__} needs at least two filters")
    object.__setattr__(node, "terms", terms)
    _set_depth(node, terms)


def _set_depth(node: And | Or | Not, terms: tuple[Filter, ...]) -> None:
    depth = 1 + max(getattr(term, "depth", 0) for term in _filters(*terms))
    if depth > DEEPEST:
        raise too_deep()
    object.__setattr__(node, "depth", depth)


def _filters(*nodes: object) -> tuple[Filter, ...]:
    """Return the nodes, seen to be filters."""
    for node in nodes:
        if not isinstance(node, Filter):
            raise UsageError(f"{node!r} is not a filter such as Attr('size') == 'small'")
    return nodes  # type: ignore[return-value]


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # of an integer beyond float64
        return False
