"""What a long operation is given to tell how far it is, and to learn that it shall stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Told how far an operation is, in the thread that runs it."""

    def __call__(self, done: int, total: int | None, phase: str = "") -> None:
        """Take notice.

        Args:
            done: how much is done of this phase.
            total: how much there is; None if nobody knows.
            phase: what is being done; empty for the operation's own work, as the operation
                counts it.
        """
        ...


ShouldStop = Callable[[], bool]
"""Asked now and then; True asks to stop at the next good moment."""


def no_progress(done: int, total: int | None, phase: str = "") -> None:
    """Report nothing."""


def never() -> bool:
    """Do not stop."""
    return False
