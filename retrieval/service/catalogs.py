"""The catalogues that are served, each at its newest generation, and for a while at older ones.

A request holds on to the generation it began with. Who pages through the hits of a generation
can go on for some minutes after it was replaced.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from finetag_model.embedder import Embedder
from finetag_model.errors import CatalogueError, FineTagError
from indexer import Index
from retrieval.catalog import Catalog, PixelReader
from retrieval.cursor import Cursor

KEPT_SECONDS = 300.0
"""For which a generation that was replaced is kept open."""

POLL_SECONDS = 0.5

_log = logging.getLogger("finetag.serve")


@dataclass
class _Opened:
    catalog: Catalog
    replaced: float | None = None

    @property
    def generation(self) -> int:
        return self.catalog.index.manifest.generation


class Served:
    """One catalogue.

    Attributes:
        name: by which URLs call it.
        index_dir: its index folder.
    """

    def __init__(
        self, name: str, index_dir: Path, embedder: Embedder, read_pixels: PixelReader
    ) -> None:
        """Nothing is opened before `refresh`."""
        self.name, self.index_dir = name, index_dir
        self._embedder, self._read_pixels = embedder, read_pixels
        self._opened: list[_Opened] = []  # newest first
        self._refreshing = threading.Lock()
        self.problem: str | None = "it is being opened"

    @property
    def is_open(self) -> bool:
        """Whether it can be searched."""
        return bool(self._opened)

    def newest(self) -> Catalog:
        """Return the newest generation.

        Raises:
            CatalogueError: none could be opened.
        """
        opened = self._opened
        if not opened:
            raise CatalogueError(f"the catalogue {self.name} cannot be searched: {self.problem}")
        return opened[0].catalog

    def at(self, cursor: str | None) -> Catalog:
        """Return the generation that a cursor is of, or if there is none any more the newest."""
        generation = None if cursor is None else Cursor.generation_of(cursor)
        if generation is not None and generation > self.newest().index.manifest.generation:
            self.refresh()  # another worker process was first to see it
        for each in self._opened:
            if each.generation == generation:
                return each.catalog
        return self.newest()

    def refresh(self) -> None:
        """Open a newer generation if there is one, and let go of those replaced for long."""
        with self._refreshing:
            now = time.monotonic()
            opened = [
                each
                for each in self._opened
                if each.replaced is None or now - each.replaced < KEPT_SECONDS
            ]
            try:
                if not opened or not opened[0].catalog.index.is_current():
                    index = Index.open(self.index_dir)
                    index.preload()
                    new = Catalog(index, embedder=self._embedder, read_pixels=self._read_pixels)
                    for each in opened[:1]:
                        each.replaced = now
                    opened.insert(0, _Opened(new))
                    _log.info(
                        "catalogue opened",
                        extra={"catalog": self.name, "generation": opened[0].generation},
                    )
                self.problem = None
            except FineTagError as error:
                if str(error) != self.problem:
                    _log.error("catalogue", extra={"catalog": self.name, "problem": str(error)})
                self.problem = str(error)
            self._opened = opened


class Catalogs:
    """All catalogues, looked after by a thread."""

    def __init__(self, served: dict[str, Served]) -> None:
        """Open all that can be opened; `close` ends the thread."""
        self._served = served
        self._closing = threading.Event()
        self._each(Served.refresh)
        self._thread = threading.Thread(target=self._watch, name="catalogues", daemon=True)
        self._thread.start()

    def __getitem__(self, name: str) -> Served:
        return self._served[name]

    def __contains__(self, name: str) -> bool:
        return name in self._served

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    def close(self) -> None:
        """Stop looking for newer generations."""
        self._closing.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closing.wait(POLL_SECONDS):
            self._each(Served.refresh)

    def _each(self, what: Callable[[Served], None]) -> None:
        for served in self._served.values():
            what(served)
