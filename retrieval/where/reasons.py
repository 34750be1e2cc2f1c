"""Why nothing passes a filter, in one sentence for people."""

from __future__ import annotations

from itertools import combinations

from finetag_model.console import printable
from indexer import Index, Mask
from retrieval.where.evaluate import count, passing
from retrieval.where.tree import And, Filter, Not, Or

_MOST = 5
"""Conditions, up to which a sentence names all of them."""
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
        return _missing(missing)
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
