"""How long each stage of a search takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Adds up the time of stages.

    Attributes:
        milliseconds: by name of the stage, in the order they first ran.
    """

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        taken = 1000 * (time.perf_counter() - start)
        self.milliseconds[name] = self.milliseconds.get(name, 0.0) + taken
