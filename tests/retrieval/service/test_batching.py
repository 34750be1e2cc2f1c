"""Images of many threads embedded together: each gets its own, once, and errors find their way."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from finetag_model.errors import FineTagError
from retrieval.service.batching import MOST, BatchingEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


class Network:
    """The colour model, which can be held up, and fails of a black picture."""

    def __init__(self, color_embedder: Any) -> None:
        self._embedder = color_embedder
        self.model = color_embedder.model
        self.sizes: list[int] = []
        self.at_work = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def embed(self, pixels: NDArray[np.uint8]) -> Any:
        self.sizes.append(len(pixels))
        self.at_work.set()
        assert self.go.wait(30)
        if (pixels == 0).all(axis=(1, 2, 3)).any():
            raise ValueError("a black picture")
        return self._embedder.embed(pixels)


@pytest.fixture
def network(color_embedder: Any) -> Network:
    return Network(color_embedder)


@pytest.fixture
def batching(network: Network) -> Iterator[BatchingEmbedder]:
    made = BatchingEmbedder(network)
    yield made
    network.go.set()
    made.close()


def pictures(number: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(1, 256, (number, 8, 8, 3), dtype=np.uint8)


def wait_until(holds: Any) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


def held_up(network: Network, batching: BatchingEmbedder, pool: ThreadPoolExecutor) -> Any:
    """Have a run begin that goes on until `network.go`."""
    network.go.clear()
    first = pool.submit(batching.embed, pictures(1, seed=99))
    assert network.at_work.wait(30)
    return first


def test_everyone_gets_what_one_run_alone_gives(
    batching: BatchingEmbedder, color_embedder: Any
) -> None:
    every = pictures(300)
    alone = color_embedder.embed(every)
    starts = list(range(0, 300, 3))

    with ThreadPoolExecutor(30) as pool:
        made = list(pool.map(lambda at: batching.embed(every[at : at + 3]), starts))
    for at, embedding in zip(starts, made, strict=True):
        np.testing.assert_array_equal(embedding.scores, alone.scores[at : at + 3])
        np.testing.assert_array_equal(embedding.visual, alone.visual[at : at + 3])


def test_what_comes_while_the_network_is_busy_is_one_run(
    network: Network, batching: BatchingEmbedder
) -> None:
    with ThreadPoolExecutor(40) as pool:
        first = held_up(network, batching, pool)
        others = [pool.submit(batching.embed, each[None]) for each in pictures(MOST + 5)]
        wait_until(lambda: batching._queue.qsize() == MOST + 5)
        network.go.set()
        for each in (first, *others):
            each.result(30)
    assert network.sizes == [1, MOST, 5]
    assert (batching.runs, batching.images) == (3, MOST + 6)


def test_what_is_known_is_not_embedded_again(network: Network, batching: BatchingEmbedder) -> None:
    every = pictures(5)
    first = batching.embed(every)
    again = batching.embed(every[::-1])
    np.testing.assert_array_equal(again.visual, first.visual[::-1])
    assert batching.images == 5


def test_what_is_asked_twice_at_once_is_embedded_once(
    network: Network, batching: BatchingEmbedder
) -> None:
    (one,) = pictures(1)
    with ThreadPoolExecutor(20) as pool:
        first = held_up(network, batching, pool)
        others = [pool.submit(batching.embed, one[None]) for _ in range(15)]
        wait_until(lambda: batching._queue.qsize() == 1)
        network.go.set()
        first.result(30)
        found = [each.result(30).visual for each in others]
    assert batching.images == 2
    assert all((each == found[0]).all() for each in found)


def test_an_error_reaches_those_of_its_run_alone(
    network: Network, batching: BatchingEmbedder
) -> None:
    black = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    with ThreadPoolExecutor(20) as pool:
        first = held_up(network, batching, pool)
        together = [pool.submit(batching.embed, each) for each in (black, pictures(1, seed=1))]
        wait_until(lambda: batching._queue.qsize() == 2)
        network.go.set()
        assert len(first.result(30).visual) == 1
        for each in together:
            with pytest.raises(ValueError, match="a black picture"):
                each.result(30)
    assert len(batching.embed(pictures(1, seed=1)).visual) == 1, "an error is not remembered"


def test_closing_tells_whoever_waits(network: Network, color_embedder: Any) -> None:
    batching = BatchingEmbedder(network)
    with ThreadPoolExecutor(30) as pool:
        first = held_up(network, batching, pool)
        waiting = [pool.submit(batching.embed, each[None]) for each in pictures(MOST + 3)]
        wait_until(lambda: batching._queue.qsize() == MOST + 3)
        closing = pool.submit(batching.close)
        wait_until(lambda: batching._closed)
        network.go.set()
        closing.result(30)
        assert len(first.result(30).visual) == 1
        outcomes = [each.exception(30) for each in waiting]
    assert all(each is None or isinstance(each, FineTagError) for each in outcomes)
    with pytest.raises(FineTagError, match="being shut down"):
        batching.embed(pictures(1))
