"""No more compute at a time than there are places, first come, first served."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from retrieval.service.turns import Turns, away


def test_no_more_at_a_time_than_places() -> None:
    turns = Turns(3)
    lock = threading.Lock()
    at_once, most = 0, 0

    def compute() -> None:
        nonlocal at_once, most
        with turns.one():
            with lock:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.002)
            with lock:
                at_once -= 1

    with ThreadPoolExecutor(20) as pool:
        for each in [pool.submit(compute) for _ in range(100)]:
            each.result(30)
    assert most == 3


def test_first_come_first_served() -> None:
    turns = Turns(1)
    order: list[int] = []

    def compute(number: int) -> None:
        with turns.one():
            order.append(number)

    with ThreadPoolExecutor(10) as pool:
        with turns.one():
            waiting = []
            for number in range(10):
                waiting.append(pool.submit(compute, number))
                while len(turns._waiting) <= number:
                    time.sleep(0.001)
        for each in waiting:
            each.result(30)
    assert order == list(range(10))


def test_who_waits_elsewhere_lets_others_compute() -> None:
    turns = Turns(1)
    computed = threading.Event()

    def other() -> None:
        with turns.one():
            computed.set()

    with ThreadPoolExecutor(1) as pool, turns.one():
        done = pool.submit(other)
        assert not computed.wait(0.05)
        with away():
            assert computed.wait(30)
        done.result(30)
    with away():  # holds no place
        pass


def test_who_comes_back_is_the_next() -> None:
    turns = Turns(1)
    order: list[str] = []
    came_back = threading.Event()

    def away_and_back() -> None:
        with turns.one():
            with away():
                came_back.wait(30)
            order.append("back")

    def other() -> None:
        with turns.one():
            order.append("other")

    with ThreadPoolExecutor(4) as pool:
        every = [pool.submit(away_and_back)]
        while not (turns._free and every[0].running()):
            time.sleep(0.001)
        time.sleep(0.05)
        with turns.one():
            every += [pool.submit(other) for _ in range(2)]
            while len(turns._waiting) < 2:
                time.sleep(0.001)
            came_back.set()
            while len(turns._waiting) < 3:
                time.sleep(0.001)
        for each in every:
            each.result(30)
    assert order == ["back", "other", "other"]


def test_an_error_gives_the_place_back() -> None:
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"), turns.one(), away():
            raise ValueError("x")
    with turns.one():
        pass
