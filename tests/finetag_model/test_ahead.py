from __future__ import annotations

from contextlib import closing
from threading import Event

import pytest

from finetag_model.ahead import LOOK_AHEAD, THREADS, ahead


def test_results_come_in_the_order_of_the_items() -> None:
    first_may_end = Event()

    def function(item: int) -> int:
        if item == 0:
            first_may_end.wait(timeout=10)
        if item == 1:  # done before the first, where there are threads enough
            first_may_end.set()
        return item * item

    items = range(2 * LOOK_AHEAD if THREADS > 1 else 0)
    assert list(ahead(function, items)) == [item * item for item in items]


def test_no_more_is_begun_than_may_wait() -> None:
    taken = []

    def items() -> object:
        for item in range(10 * LOOK_AHEAD):
            taken.append(item)
            yield item

    with closing(ahead(lambda item: item, items())) as results:  # type: ignore[arg-type]
        assert next(results) == 0
        assert len(taken) == LOOK_AHEAD
        assert next(results) == 1
        assert len(taken) == LOOK_AHEAD + 1


def test_an_error_comes_in_its_place() -> None:
    results = ahead(lambda item: 1 // item, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_nothing_comes_of_nothing() -> None:
    assert list(ahead(str, [])) == []
