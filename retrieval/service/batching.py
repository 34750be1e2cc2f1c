"""One network for many requests: what comes while it is busy goes into its next run, together.

No request waits for others to come: a run starts as soon as the one before has ended.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from finetag_model.embedder import Embedder, Embedding, ModelInfo
from finetag_model.errors import FineTagError
from retrieval.service.metrics import EMBEDDER_IMAGES
from retrieval.service.turns import away

MOST = 16
"""Images of one run, at most."""

REMEMBERED = 2048
"""Pictures whose embedding is kept, of 2 KB each: pages and filters of one search ask again."""


@dataclass(frozen=True)
class _Asked:
    pixels: NDArray[np.uint8]
    embedding: Future[Embedding] = field(default_factory=Future)


class BatchingEmbedder:
    """An embedder for several threads at once, in front of one that is for one.

    Attributes:
        runs: of the network, so far.
        images: that it embedded in them.
    """

    def __init__(self, embedder: Embedder) -> None:
        """Start the thread that runs the network; `close` ends it."""
        self._embedder = embedder
        self._queue: SimpleQueue[_Asked | None] = SimpleQueue()
        self._known: OrderedDict[bytes, Future[Embedding]] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False
        self.runs = 0
        self.images = 0
        self._thread = threading.Thread(target=self._serve, name="embedder", daemon=True)
        self._thread.start()

    @property
    def model(self) -> ModelInfo:
        """The model behind the vectors."""
        return self._embedder.model

    def embed(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Embed images as `Embedder.embed`; what it raises comes here.

        Raises:
            FineTagError: it was closed.
        """
        asked = [self._ask(each) for each in pixels]
        with away():
            made = [each.result() for each in asked]
        return Embedding(
            np.stack([each.scores for each in made]), np.stack([each.visual for each in made])
        )

    def close(self) -> None:
        """End the thread after the run that it is at; who still waits is told."""
        with self._lock:
            self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._refuse()

    def _ask(self, pixels: NDArray[np.uint8]) -> Future[Embedding]:
        key = hashlib.sha256(pixels.tobytes()).digest()
        with self._lock:
            if self._closed:
                raise FineTagError("the service is being shut down")
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
            asked = _Asked(pixels)
            self._known[key] = asked.embedding
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            self._queue.put(asked)
        asked.embedding.add_done_callback(lambda done: self._forget_failed(key, done))
        return asked.embedding

    def _forget_failed(self, key: bytes, done: Future[Embedding]) -> None:
        if done.exception() is not None:
            with self._lock:
                if self._known.get(key) is done:
                    del self._known[key]

    def _serve(self) -> None:
        while asked := self._next():
            self.runs += 1
            self.images += len(asked)
            EMBEDDER_IMAGES.observe(len(asked))
            try:
                made = self._embedder.embed(np.stack([each.pixels for each in asked]))
                several = [Embedding(*each) for each in zip(made.scores, made.visual, strict=True)]
                found = list(zip(asked, several, strict=True))
            except Exception as error:  # whoever asked shall have it
                for each in asked:
                    each.embedding.set_exception(error)
                continue
            for each, embedding in found:
                each.embedding.set_result(embedding)

    def _next(self) -> list[_Asked]:
        """Wait for an image, and take what else there is; nothing after the last run."""
        first = self._queue.get()
        asked = [] if first is None else [first]
        while asked and len(asked) < MOST:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if more is None:
                self._queue.put(None)  # for the next look
                break
            asked.append(more)
        return asked

    def _refuse(self) -> None:
        while not self._queue.empty():
            waiting = self._queue.get()
            if waiting is not None:
                waiting.embedding.set_exception(FineTagError("the service is being shut down"))
