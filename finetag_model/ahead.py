"""Work done in threads ahead of whoever takes it: pictures are read while a network runs."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = min(8, os.cpu_count() or 1)
LOOK_AHEAD = 64
"""Results that wait to be taken, at most."""


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
    """Yield the function's results in the order of the items, computed ahead in threads.

    What the function raises is raised where its result would have been. Closing the generator
    cancels what has not begun.
    """
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= LOOK_AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
