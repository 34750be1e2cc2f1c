"""One network for many requests: what comes while it is busy goes into its next run, together.

No request waits for others to come: a run starts as soon as the one before has ended.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from finetag_model.embedder import Embedder, Embedding, ModelInfo

MOST = 16
"""Images of one run, at most."""

REMEMBERED = 2048
"""Pictures whose embedding is kept, of 2 KB each: pages and filters of one search ask again."""


@dataclass(frozen=True)
class _Asked:
    pixels: NDArray[np.uint8]
    embedding: Future[Embedding]


class BatchingEmbedder:
    """An embedder for several threads at once, in front of one that is for one."""

    def __init__(self, embedder: Embedder) -> None:
        """Start the thread that runs the network; it ends with the process."""
        self._embedder = embedder
        self._asked: SimpleQueue[_Asked] = SimpleQueue()
        self._kept: OrderedDict[bytes, Embedding] = OrderedDict()
        self._lock = threading.Lock()
        self.runs = 0
        self.images = 0
        threading.Thread(target=self._serve, name="embedder", daemon=True).start()

    @property
    def model(self) -> ModelInfo:
        """The model behind the vectors."""
        return self._embedder.model

    def embed(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Embed images as `Embedder.embed`; what it raises comes here."""
        asked = [self._ask(each) for each in pixels]
        made = [each.result() for each in asked]
        return Embedding(
            np.stack([each.scores for each in made]), np.stack([each.visual for each in made])
        )

    def _ask(self, pixels: NDArray[np.uint8]) -> Future[Embedding]:
        key = hashlib.sha256(pixels.tobytes()).digest()
        answer: Future[Embedding] = Future()
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
                answer.set_result(known)
                return answer
        answer.add_done_callback(lambda done: self._keep(key, done))
        self._asked.put(_Asked(pixels, answer))
        return answer

    def _keep(self, key: bytes, answer: Future[Embedding]) -> None:
        if answer.exception() is not None:
            return
        with self._lock:
            self._kept[key] = answer.result()
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)

    def _serve(self) -> None:
        while True:
            asked = [self._asked.get()]
            while len(asked) < MOST:
                try:
                    asked.append(self._asked.get_nowait())
                except Empty:
                    break
            self.runs += 1
            self.images += len(asked)
            try:
                made = self._embedder.embed(np.stack([each.pixels for each in asked]))
            except Exception as error:  # whoever asked shall have it
                for each in asked:
                    each.embedding.set_exception(error)
                continue
            for each, scores, visual in zip(asked, made.scores, made.visual, strict=True):
                each.embedding.set_result(Embedding(scores, visual))
