"""Pictures read in processes of their own: one that hangs or crashes costs no request but its own.

What runs there is at the end of the file.
"""

from __future__ import annotations

import io
import resource
import signal
import threading
import warnings
from concurrent.futures import CancelledError, Future, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from finetag_model.errors import FineTagError, ImageError
from finetag_model.images import image_size, load_rgb, suffix_of
from retrieval.query import as_source, cropped, read_pixels
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

_QUALITY = 85  # of a JPEG that is shown

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
        return self._run(_pixels, as_source(image), self._limits.pixels, size, crop)

    def size(self, image: QueryImage) -> tuple[int, int]:
        """Decode a picture, and return its width and height in pixels, upright."""
        return self._run(_size, as_source(image), self._limits.pixels)

    def suffix(self, image: QueryImage) -> str:
        """Decode a picture, and return the file name ending of its format, such as `.jpg`."""
        return self._run(_suffix, as_source(image), self._limits.pixels)

    def jpeg(self, image: QueryImage, side: int, crop: Crop | None = None) -> bytes:
        """Return a picture as a JPEG whose longer side has at most `side` pixels."""
        return self._run(_jpeg, as_source(image), self._limits.pixels, side, crop)

    def _run(self, function: Callable[..., T], *arguments: object) -> T:
        try:
            try:
                return self._once(function, arguments)
            except BrokenProcessPool:  # a process was killed from outside, and all others with it
                return self._once(function, arguments)
        except TimeoutError:
            raise ImageError(
                f"reading the image took longer than {self._limits.decode_seconds:g} s"
            ) from None
        except (ProcessExpired, BrokenProcessPool):
            raise ImageError("the image crashes its decoder") from None
        except MemoryError:
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
        context.set_forkserver_preload([__name__])  # or each process would import it anew
        pool = ProcessPool(
            PROCESSES, initializer=_be_careful, initargs=(self._memory,), context=context
        )
        pool.schedule(_nothing)  # or they would start with the first picture
        return pool


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _shut_down() -> FineTagError:
    return FineTagError("the service is being shut down")


# What follows runs in the processes.


def _be_careful(memory: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends these
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")  # Pillow's, of odd metadata


def _nothing() -> None:
    pass


def _check(source: Path | bytes, most: int) -> None:
    width, height = image_size(source)
    if width * height > most:
        raise ImageError(
            f"the image has {width * height:,} pixels; the most that is taken is {most:,}"
        )


def _pixels(source: Path | bytes, most: int, size: int, crop: Crop | None) -> NDArray[np.uint8]:
    _check(source, most)
    return read_pixels(source, size, crop)


def _size(source: Path | bytes, most: int) -> tuple[int, int]:
    _check(source, most)
    return load_rgb(source).size


def _suffix(source: Path | bytes, most: int) -> str:
    _check(source, most)
    load_rgb(source, at_least=1)  # to the end of the file, but at no size to speak of
    return suffix_of(source)


def _jpeg(source: Path | bytes, most: int, side: int, crop: Crop | None) -> bytes:
    _check(source, most)
    whole = load_rgb(source, at_least=side if crop is None else None)
    picture = whole if crop is None else cropped(whole, crop)
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
