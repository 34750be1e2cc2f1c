"""Brings the forms in which a filter may be given down to one tree."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from finetag_model.errors import UsageError
from finetag_model.vocabulary import Vocabulary
from retrieval.where.json_form import from_json
from retrieval.where.names import Columns, Names, shown
from retrieval.where.text import parse
from retrieval.where.tokens import PlacedError
from retrieval.where.tree import Filter, all_of

OneWhere: TypeAlias = str | Filter | Mapping[str, Any]
Where: TypeAlias = OneWhere | Sequence[OneWhere]
"""A text, a tree or the JSON form, as a dict or as its text; or several, which must all hold."""


def read_where(where: Where, vocabulary: Vocabulary, columns: Columns) -> Filter | None:
    """Return the tree of a filter, its names spelt as in the index; None if nothing is asked.

    Args:
        where: in any form.
        vocabulary: the attributes that it may name.
        columns: the fields that it may name.

    Raises:
        UsageError: it cannot be read, or names what is not there.
    """
    names = Names(vocabulary, columns)
    if isinstance(where, Sequence) and not isinstance(where, str):
        terms = tuple(_read(each, names) for each in where)
        return all_of(terms) if terms else None
    return _read(where, names)


def _read(where: object, names: Names) -> Filter:
    if isinstance(where, str):
        is_json = where.lstrip().startswith("{")  # which no name does without quotes
        return from_json(_loaded(where), names) if is_json else parse(where, names)
    if isinstance(where, Mapping):
        return from_json(where, names)
    if isinstance(where, Filter):
        return names.resolved(where)
    raise UsageError(
        f"{shown(where)} is no filter; give a text such as {shown(names.example())}, "
        "a comparison of Attr or Field, or the JSON form"
    )


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        advice = "a filter that begins with { is read as JSON"
        raise PlacedError(text, error.pos, f"no JSON: {error.msg}", advice) from error
    except RecursionError as error:
        raise UsageError("the filter is nested too deeply to be read") from error
