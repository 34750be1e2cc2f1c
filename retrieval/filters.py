"""What `where` means: from its text to a small tree, and from the tree to rows of an index.

A tree is made by `parse` alone, and asked only for its rows and the attributes it names, so
a richer language is a matter of more kinds of node here. How hits are ranked is not decided
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetag_model.vocabulary import Vocabulary
from indexer import Index


@dataclass(frozen=True)
class Has:
    """The image passes one attribute at the model's threshold."""

    position: int
    """The attribute's place in the vocabulary."""


@dataclass(frozen=True)
class And:
    """The image passes every term; without terms, every image does."""

    terms: tuple[Has, ...]

    @property
    def positions(self) -> tuple[int, ...]:
        """The attributes that the filter names, in the order they are named."""
        return tuple(term.position for term in self.terms)

    def rows(self, index: Index) -> NDArray[np.int64]:
        """Return the rows of the index that pass, ascending."""
        return index.matching(self.positions)

    def why_empty(self, index: Index) -> str:
        """Say in one sentence why no row of the index passes."""
        if not index.rows:
            return "the index holds no images"
        names = index.manifest.vocabulary.names
        passing = {names[p]: len(index.matching((p,))) for p in self.positions}
        missing = [name for name, count in passing.items() if not count]
        if missing:
            return f"no image has {' or '.join(missing)}"
        alone = [f"{name} ({count:,} image{'s' * (count > 1)})" for name, count in passing.items()]
        return f"{' and '.join(alone)} are found, but never in one image"


def parse(where: str | Sequence[str], vocabulary: Vocabulary) -> And:
    """Read one or several `group=value`; several must all hold, a repeated one counts once.

    Raises:
        UsageError: there is no such attribute; the message names the nearest ones.
    """
    conditions = [where] if isinstance(where, str) else where
    positions = dict.fromkeys(vocabulary.position(condition) for condition in conditions)
    return And(tuple(Has(position) for position in positions))
