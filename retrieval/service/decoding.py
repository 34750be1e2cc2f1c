"""Pictures read in processes of their own: one that hangs or crashes costs no request but its own.

What runs there is in `decoding_process`.
"""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from finetag_model.errors import FineTagError, ImageError
from retrieval.query import as_source
from retrieval.service import decoding_process
from retrieval.service.metrics import DECODE_FAILURES
from retrieval.service.turns import away

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from retrieval.query import QueryImage
    from retrieval.request import Crop
    from retrieval.service.settings import Limits

PROCESSES = 2
"""That decode, in each worker process of the service."""

MEMORY = 4 << 30
"""Bytes of address space of such a process; a picture within the limits takes far less."""

T = TypeVar("T")


class Decoder:
    """Reads pictures elsewhere; all methods raise ImageError for a picture that cannot be read."""

    def __init__(self, limits: Limits, memory: int = MEMORY) -> None:
        """Start the processes, which are ready by and by; `close` ends them.

        Args:
            limits: of pixels and of time.
            memory: see `MEMORY`.
        """
        self._limits, self._memory = limits, memory
        self._lock = threading.Lock()
        self._waiting: set[Future[Any]] = set()
        self._closed = False
        self._pool = self._started()

    def close(self) -> None:
        """End the processes; what they are at is lost, and whoever waits for it is told."""
        with self._lock:
            self._closed = True
            _stop(self._pool)
            for each in self._waiting:
                each.cancel()

    def pixels(self, image: QueryImage, size: int, crop: Crop | None) -> NDArray[np.uint8]:
        """Do as `retrieval.query.read_pixels`."""
        return self._run(decoding_process.pixels, as_source(image), self._limits.pixels, size, crop)

    def size(self, image: QueryImage) -> tuple[int, int]:
        """Decode a picture, and return its width and height in pixels, upright."""
        return self._run(decoding_process.size, as_source(image), self._limits.pixels)

    def suffix(self, image: QueryImage) -> str:
        """Decode a picture, and return the file name ending of its format, such as `.jpg`."""
        return self._run(decoding_process.suffix, as_source(image), self._limits.pixels)

    def jpeg(self, image: QueryImage, side: int, crop: Crop | None = None) -> bytes:
        """Return a picture as a JPEG whose longer side has at most `side` pixels."""
        return self._run(decoding_process.jpeg, as_source(image), self._limits.pixels, side, crop)

    def _run(self, function: Callable[..., T], *arguments: object) -> T:
        try:
            try:
                return self._once(function, arguments)
            except BrokenProcessPool:  # a process was killed from outside, and all others with it
                return self._once(function, arguments)
        except ImageError:
            DECODE_FAILURES.labels("unreadable").inc()
            raise
        except TimeoutError:
            DECODE_FAILURES.labels("slow").inc()
            raise ImageError(
                f"reading the image took longer than {self._limits.decode_seconds:g} s"
            ) from None
        except (ProcessExpired, BrokenProcessPool):
            DECODE_FAILURES.labels("crash").inc()
            raise ImageError("the image crashes its decoder") from None
        except MemoryError:
            DECODE_FAILURES.labels("memory").inc()
            raise ImageError("the image takes too much memory") from None
        except CancelledError:
            raise _shut_down() from None

    def _once(self, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        with self._lock:
            if self._closed:
                raise _shut_down()
            if not self._pool.active:
                _stop(self._pool)
                self._pool = self._started()
            future: Future[T] = self._pool.schedule(
                function, args=arguments, timeout=self._limits.decode_seconds
            )
            self._waiting.add(future)
        try:
            with away():
                return future.result()
        finally:
            with self._lock:
                self._waiting.discard(future)

    def _started(self) -> ProcessPool:
        context = get_context("forkserver")
        context.set_forkserver_preload(
            [decoding_process.__name__]
        )  # or each process would import it anew
        pool = ProcessPool(
            PROCESSES,
            initializer=decoding_process.be_careful,
            initargs=(self._memory,),
            context=context,
        )
        pool.schedule(decoding_process.nothing)  # or they would start with the first picture
        return pool


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _shut_down() -> FineTagError:
    return FineTagError("the service is being shut down")
