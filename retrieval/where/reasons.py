"""Why nothing passes a filter, in one sentence for people."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import combinations

from finetag_model.console import printable
from indexer import Index, Mask
from retrieval.where.evaluate import count, passing
from retrieval.where.names import Columns
from retrieval.where.tree import And, Compare, Filter, Not, Or

_MOST = 5
"""Conditions, up to which a sentence names all of them."""
_LOOKED_THROUGH = 1000
"""Texts of a field, up to which a misspelt one is compared with them; that takes some 30 ms."""
_COMPARED = 30
"""Conditions, up to which each is compared with each."""


def why_empty(tree: Filter | None, index: Index) -> str:
    """Say why no row of an index passes a filter."""
    if not index.rows or tree is None:
        return "the index holds no images"
    terms = tuple(dict.fromkeys(tree.terms)) if isinstance(tree, And) else (tree,)
    denied = [term for term in terms if Not(term) in terms]
    if denied:
        return f"{_text(denied[0])} and {_text(Not(denied[0]))} contradict each other"
    masks = {term: passing(term, index) for term in terms}
    missing = [term for term in terms if not count(masks[term])]
    if missing:
        return _missing(missing) + _nearest_text(missing, index.columns)
    apart = _apart(masks)
    if len(apart) > _MOST:
        return f"each of the {len(apart)} conditions is found, but never all in one image"
    alone = [f"{_text(term)} ({_images(count(masks[term]))})" for term in apart]
    return f"{' and '.join(alone)} are found, but never in one image"


def _missing(terms: list[Filter]) -> str:
    """Say which conditions hold of no image."""
    none = [_text(term) for term in terms if not isinstance(term, Not)]
    every = [_text(term.term) for term in terms if isinstance(term, Not)]
    parts = [f"no image has {' or '.join(none)}"] * bool(none)
    parts += [f"every image has {' and '.join(every)}"] * bool(every)
    return ", and ".join(parts)


def _nearest_text(terms: list[Filter], columns: Columns) -> str:
    """Return what a text that no image has may have been meant as, where there is one such."""
    match terms:
        case [Compare(field, "=", (str(value),))]:
            some = columns.texts(field).known
            texts = {text.casefold(): text for text in some if len(some) <= _LOOKED_THROUGH}
            near = get_close_matches(value.casefold(), texts, n=3)
            return f"; nearest: {', '.join(printable(texts[key]) for key in near)}" * bool(near)
    return ""


def _apart(masks: dict[Filter, Mask]) -> list[Filter]:
    """Return the first two conditions that are never met together, or else all of them."""
    for one, other in combinations(list(masks)[:_COMPARED], 2):
        if not count(masks[one] & masks[other]):
            return [one, other]
    return list(masks)


def _text(term: Filter) -> str:
    return printable(f"({term})" if isinstance(term, And | Or) else str(term))


def _images(number: int) -> str:
    return "1 image" if number == 1 else f"{number:,} images"
