"""Reads and writes the JSON form of a filter, for programs.

Each condition is an object with exactly these keys, and nothing is guessed:

    {"attr": "underparts_color", "in": ["grey", "white"], "at_least": 0.8}  (at_least if wanted)
    {"field": "brand", "in": ["Lynx", "Ibis"]}
    {"field": "price", "<": 50}                                             (or <=, >, >=)
    {"field": "brand", "like": ["lynx*"]}
    {"and": [...]}, {"or": [...]}, {"not": {...}}
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from finetag_model.errors import UsageError
from retrieval.where.names import Names
from retrieval.where.tree import (
    DEEPEST,
    OPERATORS,
    ORDERS,
    And,
    Compare,
    Filter,
    Has,
    Not,
    Or,
    all_of,
    any_of,
    too_deep,
)

_KEY = {"=": "in", "~": "like"}
_FORMS = (
    'write {"attr": …, "in": […]}, {"field": …, "<": …}, {"and": […]}, {"or": […]} or {"not": …}'
)


def to_json(tree: Filter) -> dict[str, Any]:
    """Return a filter as JSON takes it; `from_json` makes an equal one of it."""
    match tree:
        case Has(group, values, confidence):
            sure = {} if confidence is None else {"at_least": confidence}
            return {"attr": group, "in": list(values), **sure}
        case Compare(field, op, compared):
            return {
                "field": field,
                _KEY.get(op, op): compared[0] if op in ORDERS else list(compared),
            }
        case And(terms):
            return {"and": list(map(to_json, terms))}
        case Or(terms):
            return {"or": list(map(to_json, terms))}
        case Not(term):
            return {"not": to_json(term)}


def from_json(value: object, names: Names) -> Filter:
    """Read the JSON form of a filter.

    Args:
        value: the object, as `json.loads` returns it.
        names: what it may name.

    Raises:
        UsageError: it is none, or names what is not there; the message begins with the place
            of the mistake, such as `where.and[1].field`.
    """
    return _read(value, names, "where", 0)


def _read(value: object, names: Names, place: str, depth: int) -> Filter:
    if depth > DEEPEST:
        raise UsageError(f"where: {too_deep()}")
    if not isinstance(value, Mapping):
        raise UsageError(f"{place}: {reprlib.repr(value)} is no condition; {_FORMS}")
    if value.keys() == {"not"}:
        term = _read(value["not"], names, f"{place}.not", depth + 1)
        with _at("where"):
            return Not(term)
    for key, join in (("and", all_of), ("or", any_of)):
        if value.keys() == {key}:
            inner = f"{place}.{key}"
            parts = enumerate(_list(value[key], inner))
            terms = [_read(part, names, f"{inner}[{i}]", depth + 1) for i, part in parts]
            with _at("where"):
                return join(tuple(terms))
    if value.keys() - {"at_least"} == {"attr", "in"}:
        return _attribute(value, names, place)
    for op in OPERATORS:
        key = _KEY.get(op, op)
        if value.keys() == {"field", key}:
            with _at(f"{place}.field"):
                field = names.known_field(value["field"])
            inner = f"{place}.{key}"
            values = [value[key]] if op in ORDERS else _list(value[key], inner)
            with _at(inner):
                return names.compare(field, op, values)
    keys = ", ".join(reprlib.repr(key) for key in value)
    raise UsageError(f"{place}: {keys or 'nothing'} together are no condition; {_FORMS}")


def _attribute(value: Mapping[str, Any], names: Names, place: str) -> Has:
    with _at(f"{place}.attr"):
        group = names.known_group(value["attr"])
    values = _list(value["in"], f"{place}.in")
    with _at(f"{place}.in"):
        has = names.has(group, values, None)
    with _at(f"{place}.at_least"):
        return has.at_least(value["at_least"]) if "at_least" in value else has


def _list(value: object, place: str) -> list[Any]:
    if isinstance(value, list) and value:
        return value
    raise UsageError(f"{place}: {reprlib.repr(value)} is not a list of at least one")


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Begin the message of what goes wrong with its place."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None
