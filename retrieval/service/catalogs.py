"""The catalogues that are served, each at its newest generation, and for a while at older ones.

A request holds on to the generation it began with. Who pages through the hits of a generation
can go on for some minutes after it was replaced.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finetag_model.embedder import Embedder
from finetag_model.errors import CatalogueError, FineTagError
from indexer import Index
from retrieval.catalog import Catalog, PixelReader, check_model
from retrieval.cursor import Cursor
from retrieval.service.metrics import CATALOG_GENERATION, CATALOG_IMAGES, CATALOG_PROBLEM

KEPT_SECONDS = 300.0
"""For which a generation that was replaced is kept open."""

MOST_KEPT = 8
"""Generations open at a time; each takes memory, and its files stay on the disk meanwhile."""

POLL_SECONDS = 0.5

_log = logging.getLogger("finetag.serve")


class NotOpen(CatalogueError):  # noqa: N818  (what clients are told of it, word for word)
    """A catalogue cannot be searched; the message names no file of the server."""


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
            NotOpen: none could be opened.
        """
        opened = self._opened
        if not opened:
            raise NotOpen(f"the catalogue {self.name} cannot be searched: {self.problem}")
        return opened[0].catalog

    def at(self, cursor: str | None) -> Catalog:
        """Return the generation that a cursor is of, or if there is none any more the newest.

        Raises:
            NotOpen: as `newest`.
        """
        generation = None if cursor is None else Cursor.generation_of(cursor)
        if generation is not None and generation > self.newest().index.manifest.generation:
            self.refresh()  # another worker process was first to see it
        for each in self._opened:
            if each.generation == generation:
                return each.catalog
        return self.newest()

    def refresh(self) -> None:
        """Open a newer generation if there is one, and let go of those replaced for long.

        What goes wrong is told by `problem`; what was open stays open.
        """
        with self._refreshing:
            now = time.monotonic()
            opened = [
                each
                for each in self._opened
                if each.replaced is None or now - each.replaced < KEPT_SECONDS
            ]
            try:
                if not opened or not opened[0].catalog.index.is_current():
                    new = _Opened(self._open())
                    for each in opened[:1]:
                        each.replaced = now
                    opened = [new, *opened][:MOST_KEPT]
                    _log.info(
                        "catalogue opened",
                        extra={"catalog": self.name, "generation": new.generation},
                    )
                problem = None
            except FineTagError as error:
                problem = str(error)
            except Exception as error:  # such as too many open files; the next look may go well
                problem = f"the index {self.index_dir} cannot be opened: {error}"
            self._opened = opened
            self._tell(problem)
            self._count()

    def _open(self) -> Catalog:
        index = Index.open(self.index_dir)
        check_model(index, self._embedder.model)
        index.preload()
        return Catalog(index, embedder=self._embedder, read_pixels=self._read_pixels)

    def _tell(self, problem: str | None) -> None:
        """Say what is wrong: the log where the index is, clients its name alone."""
        told = problem and problem.replace(str(self.index_dir), self.name)
        if problem and told != self.problem:
            _log.error("catalogue", extra={"catalog": self.name, "problem": problem})
        self.problem = told

    def _count(self) -> None:
        CATALOG_PROBLEM.labels(self.name).set(self.problem is not None)
        for each in self._opened[:1]:
            CATALOG_IMAGES.labels(self.name).set(each.catalog.index.rows)
            CATALOG_GENERATION.labels(self.name).set(each.generation)


class Catalogs:
    """All catalogues, looked after by a thread."""

    def __init__(self, served: dict[str, Served]) -> None:
        """Open all that can be opened; `close` ends the thread."""
        self._served = served
        self._closing = threading.Event()
        self._refresh()
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
            self._refresh()

    def _refresh(self) -> None:
        for served in self._served.values():
            served.refresh()
