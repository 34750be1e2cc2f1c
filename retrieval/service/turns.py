"""How many searches compute at a time: as many as there are cores, in the order that they came.

More at once would only be slower: each would take longer, and the least lucky far longer. Who
waits for something else, such as a picture that is decoded, lets others compute meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from finetag_model.cores import cores

_mine = threading.local()


class Turns:
    """Places to compute at."""

    def __init__(self, number: int | None = None) -> None:
        """Have so many; None: one a core that this process may use."""
        self._free = number or cores()
        self._waiting: deque[threading.Lock] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place while a block runs."""
        self._take()
        _mine.turns = self
        try:
            yield
        finally:
            _mine.turns = None
            self._give()

    def _take(self, *, first: bool = False) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            called = threading.Lock()
            called.acquire()
            (self._waiting.appendleft if first else self._waiting.append)(called)
        called.acquire()  # until it is handed a place

    def _give(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1


@contextmanager
def away() -> Iterator[None]:
    """Let others have this thread's place, if it holds one, while a block waits.

    It is the next to get one afterwards.
    """
    turns: Turns | None = getattr(_mine, "turns", None)
    if turns is None:
        yield
        return
    turns._give()
    try:
        yield
    finally:
        turns._take(first=True)  # it has waited for its turn before
