"""The catalogue as a user of the library holds it: open it, search it, list its attributes.

Only a query image wakes the network; a search by attributes alone imports neither torch, nor
ONNX Runtime, nor FAISS. What an index is on disk belongs to `indexer`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from finetag_model.embedder import Embedder, Runtime, load_embedder
from finetag_model.errors import CatalogueError, UsageError
from indexer import Index, Manifest, find_index
from retrieval.answer import Answer, Hit
from retrieval.dedup import Ranking, fold
from retrieval.where import (
    Filter,
    Where,
    log_probability,
    named_positions,
    passing,
    read_where,
    rows_of,
    why_empty,
)

if TYPE_CHECKING:
    from retrieval.query import QueryImage
_NO_ROWS = np.empty(0, dtype=np.int64)


class Catalog:
    """An index opened for searching.

    >>> catalog = Catalog.open()
    >>> answer = catalog.search("query.jpg", where="wing_color=grey", limit=5)
    >>> [hit.path for hit in answer.hits]
    """

    def __init__(
        self,
        index: Index,
        *,
        embedder: Embedder | None = None,
        model: Path | None = None,
        runtime: Runtime = "auto",
    ) -> None:
        """Search an open index; images are embedded by `embedder`, or else by `model`."""
        self.index = index
        self._embedder = embedder
        self._model = model
        self._runtime = runtime

    @classmethod
    def open(
        cls,
        index_dir: str | Path | None = None,
        *,
        model: Path | None = None,
        runtime: Runtime = "auto",
    ) -> Catalog:
        """Open an index folder.

        Args:
            index_dir: None takes FINETAG_INDEX from the environment, or else the nearest
                `.finetag` upwards from the working folder.
            model: the checkpoint that query images are embedded with, by default the one
                shipped; it must be the one the index was built with.
            runtime: see `load_embedder`.

        Raises:
            CatalogueError: there is no index, or it is damaged.
        """
        folder = find_index(None if index_dir is None else Path(index_dir))
        return cls(Index.open(folder), model=model, runtime=runtime)

    def search(
        self,
        image: QueryImage | None = None,
        where: Where = (),
        limit: int = 20,
        *,
        dedup: bool = False,
    ) -> Answer:
        """Find images that look like `image`, pass the filter `where`, or both.

        With an image, hits are ranked by how alike they look; without one, by the joint
        probability of the attributes that the filter asks for (`log_probability`). Equals keep
        the order of the catalogue.

        Args:
            image: path, bytes of a file, or Pillow image.
            where: the filter, as text such as `wing_color=grey AND price<50`, as comparisons of
                `Attr` and `Field`, or as a dict of the JSON form; several must all hold.
            limit: the greatest number of hits, at least 1.
            dedup: show of near duplicates the best alone; it says how many it stands for.

        Raises:
            UsageError: neither image nor where is given, the filter cannot be read or names
                what is not there, or limit is below 1.
            ImageError: the image cannot be read.
            CatalogueError: the index was built with another model.
            CheckpointError: the model cannot be loaded.
        """
        if limit < 1:
            raise UsageError(f"the limit is {limit}, but must be at least 1")
        index = self.index
        vocabulary = index.manifest.vocabulary
        tree = read_where(where, vocabulary, index.columns)
        positions = named_positions(tree, vocabulary)
        if image is None and tree is None:
            raise UsageError("nothing to search for: give an image, an attribute, or both")

        clock = _Clock()
        vector = None if image is None else self._embed(image, clock)
        with clock.stage("filter"):
            among = None if tree is None else rows_of(passing(tree, index), index.rows)
        total = index.rows if among is None else len(among)
        is_approximate = vector is not None and _is_faster(index.manifest, total)
        with clock.stage("search"):
            way = index.search_approximately if is_approximate else index.search
            likely = _NO_ROWS
            if vector is None and tree is not None and among is not None:
                likely = self._most_probable_first(tree, among)

            def rank(number: int) -> Ranking:
                if vector is None:
                    return Ranking(likely[:number], None)
                found, alike = way(vector, number, among)
                return Ranking(found[0], alike[0])

            if dedup:
                ranking, folded = fold(index, rank, limit, total)
            else:
                ranking = rank(limit)
                folded = [0] * len(ranking.rows)
            hits = self._hits(ranking, folded, positions)
        scope = f"all {index.rows:,}" if tree is None else f"{total:,} of {index.rows:,}"
        return Answer(
            hits=hits,
            total=total,
            where=tuple(vocabulary.names[p] for p in positions),
            plan=_plan(index.manifest, is_approximate, scope),
            exact=not is_approximate,
            reason=None if hits else why_empty(tree, index),
            generation=index.manifest.generation,
            milliseconds=clock.milliseconds,
            filter="" if tree is None else str(tree),
        )

    def attributes(self) -> list[tuple[str, list[tuple[str, int]]]]:
        """Return each group with its values, and of each value how many images have it."""
        vocabulary = self.index.manifest.vocabulary
        return [
            (group, [(vocabulary.value(p), len(self.index.matching((p,)))) for p in positions])
            for group, positions in vocabulary.groups.items()
        ]

    def _embed(self, image: QueryImage, clock: _Clock) -> NDArray[np.float32]:
        from retrieval.query import read_pixels  # noqa: PLC0415  (brings Pillow)

        made_with = self.index.manifest.model
        with clock.stage("decode"):
            pixels = read_pixels(image, made_with.input_size)
        if self._embedder is None:
            with clock.stage("load"):
                self._embedder = load_embedder(self._model, self._runtime)
        model = self._embedder.model
        if model.digest != made_with.digest:
            raise CatalogueError(
                f"the index was built with the model {made_with.name} "
                f"({made_with.digest[:12]}), not with {model.name} ({model.digest[:12]}): "
                "build it again, or name the other checkpoint with --model"
            )
        with clock.stage("embed"):
            return self._embedder.embed(pixels[np.newaxis]).visual

    def _most_probable_first(self, tree: Filter, among: NDArray[np.int64]) -> NDArray[np.int64]:
        return among[np.argsort(-log_probability(tree, self.index, among), kind="stable")]

    def _hits(
        self,
        ranking: Ranking,
        folded: Sequence[int],
        positions: Sequence[int],
    ) -> tuple[Hit, ...]:
        rows, similarities = ranking.rows, ranking.similarities
        names = self.index.manifest.vocabulary.names
        scores = {names[p]: self.index.scores(p)[rows] / 255 for p in positions}
        return tuple(
            Hit(
                rank=i + 1,
                id=record.id,
                path=record.absolute,
                name=record.path,
                similarity=None if similarities is None else float(similarities[i]),
                attributes={name: float(values[i]) for name, values in scores.items()},
                width=record.width,
                height=record.height,
                fields=record.fields,
                near_duplicates=folded[i],
            )
            for i, record in enumerate(self.index.images(rows))
        )


def _is_faster(manifest: Manifest, passing: int) -> bool:
    """Say whether the approximate index is expected to answer before an exact search would.

    By the times that were measured when it was written; an exact one grows with what passes.
    """
    measured = manifest.approximation
    if measured is None:
        return False
    return measured.exact_milliseconds * passing / manifest.rows > measured.milliseconds


def _plan(manifest: Manifest, is_approximate: bool, scope: str) -> str:
    if not is_approximate or manifest.approximation is None:
        return f"exact over {scope} images"
    measured = manifest.approximation
    return f"{measured.kind} over {scope} images (recall@10 {measured.recall:.3f} when written)"


class _Clock:
    """Times the stages of one search."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.milliseconds[name] = 1000 * (time.perf_counter() - start)
