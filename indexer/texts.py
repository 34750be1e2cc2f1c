"""The texts that the rows of a generation hold in one imported field: one each, or several."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Held = str | tuple[str, ...]
"""What a row holds: a text, or two and more, sorted, each once."""


class Texts:
    """What there is in a field, and which of it each row has.

    Attributes:
        held: all that some row holds, each once, sorted by code point.
        codes: int32 (rows,): the place in `held` of what a row holds, -1 where that is nothing.
        known: the distinct texts, sorted by code point; `held` itself if no row holds several.
    """

    known: tuple[str, ...]

    def __init__(self, held: tuple[Held, ...], codes: NDArray[np.int32]) -> None:
        """Take what `columns` has read.

        Raises:
            ValueError: a code is of nothing.
            TypeError: something that is held is no text.
        """
        if len(codes) and (codes.min() < -1 or codes.max() >= len(held)):
            raise ValueError("a row holds what is not there")
        self.held, self.codes = held, codes
        texts = tuple(each for each in held if isinstance(each, str))
        self._sets: list[tuple[str, ...]] | None = None
        self.known = texts
        if len(texts) < len(held):  # there may be a million that are held, seldom as sets
            self._sets = [(each,) if isinstance(each, str) else each for each in held]
            every = {text for some in self._sets for text in some}
            if not all(isinstance(text, str) for text in every):
                raise TypeError("something that is held is no text")
            self.known = tuple(sorted(every))

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places in `held`, and the place in `known` of a text that is held there, for each."""
        sets = self._sets or []
        place = {text: at for at, text in enumerate(self.known)}
        holders = np.repeat(np.arange(len(sets)), [len(texts) for texts in sets])
        return holders, np.array([place[text] for texts in sets for text in texts], np.int64)

    def holding(self, which: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the rows that hold at least one of some texts; bool (rows,).

        Args:
            which: bool (number of texts,), in the order of `known`.
        """
        # Rows without a text have code -1, which takes the last: that holds nothing.
        passes = np.zeros(len(self.held) + 1, dtype=np.bool_)
        if self._sets is None:
            passes[:-1] = which
        else:
            holders, texts = self._pairs
            passes[holders[which[texts]]] = True
        return passes[self.codes]

    def counts(self, rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Return how many of some rows hold each text; None: of all rows.

        Returns:
            int64 (number of texts,), in the order of `known`.
        """
        codes = self.codes if rows is None else self.codes[rows]
        counts = np.bincount(codes[codes >= 0], minlength=len(self.held))
        if self._sets is None:
            return counts
        holders, texts = self._pairs
        spread = np.zeros(len(self.known), dtype=np.int64)
        np.add.at(spread, texts, counts[holders])
        return spread
