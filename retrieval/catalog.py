"""The catalogue as a user of the library holds it: open it, search it, list its attributes.

Only a query image wakes the network; a search by attributes alone imports neither torch, nor
ONNX Runtime, nor FAISS. What an index is on disk belongs to `indexer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from finetag_model.embedder import Embedder, ModelInfo, Runtime, load_embedder
from finetag_model.errors import CatalogueError, ImageError
from indexer import Index, find_index
from retrieval.answer import Answer
from retrieval.clock import Clock
from retrieval.facets import of_groups
from retrieval.request import Crop, Request, ids, several
from retrieval.search import Search
from retrieval.target import Target, combined, rows_with, stored
from retrieval.where import Where

if TYPE_CHECKING:
    from retrieval.query import QueryImage

PixelReader = Callable[["QueryImage", int, Crop | None], NDArray[np.uint8]]
"""Decodes query images, as `retrieval.query.read_pixels` does."""

Unreadable = Callable[[int, ImageError], None]

_AT_ONCE = 16
"""Images the network takes at a time."""


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
        read_pixels: PixelReader | None = None,
    ) -> None:
        """Search an open index.

        Args:
            index: what is searched.
            embedder: embeds images, or else `model` does, see `open`.
            model: see `open`.
            runtime: see `open`.
            read_pixels: decodes images, for programs that do so elsewhere.
        """
        self.index = index
        self._embedder = embedder
        self._model = model
        self._runtime = runtime
        self._read_pixels = read_pixels

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
        image: QueryImage | Sequence[QueryImage] | None = None,
        where: Where = (),
        limit: int = 20,
        *,
        like: int | Iterable[int] | None = None,
        unlike: int | Iterable[int] | None = None,
        crop: Crop | None = None,
        weight: float = 1.0,
        min_score: float | None = None,
        sort: str | None = None,
        cursor: str | None = None,
        dedup: bool = False,
        group_by: str | None = None,
        facets: Sequence[str] | None = None,
        facets_at_least: float | None = None,
        explain: bool = False,
    ) -> Answer:
        """Find images that look like a picture, pass the filter `where`, or both.

        With a picture, hits are ranked by how alike they look; without one, by the joint
        probability of the attributes that the filter asks for. Equals keep the order of the
        catalogue.

        Args:
            image: path, URL, bytes of a file, or Pillow image; of several, the mean is meant.
            where: the filter, as text such as `wing_color=grey AND price<50`, as comparisons of
                `Attr` and `Field`, or as a dict of the JSON form; several must all hold.
            limit: the greatest number of hits, at least 1.
            like: ids of images of the index, taken as pictures beside `image`, and no hits.
            unlike: ids of images of the index that hits shall not be like, and no hits.
            crop: the part of `image` that is meant; see `Crop`.
            weight: how much looks count, from 0 to 1; the rest is for attribute similarity,
                the share of the picture's attributes that a hit is expected to have.
            min_score: leave out hits with a lower score.
            sort: order by this imported field (after a `-`, greatest first) instead: with a
                picture and no `min_score`, the best `limit`, else all that pass.
            cursor: `Answer.next` of the page before, with all else the same but `limit`.
            dedup: show of near duplicates the best alone; it says how many it stands for.
            group_by: show of each value of this field or group of attributes the best alone.
            facets: count the values of these fields and groups among all that pass the filter;
                none named: of every one.
            facets_at_least: the confidence from which facets count an image as having an attribute,
                from 0 to 1; None: the attribute's threshold.
            explain: have each hit say what its score is made of.

        Raises:
            UsageError: nothing is asked for, or something that does not fit together or is not
                there; the filter cannot be read; the cursor is of another search or generation.
            ImageError: the image cannot be read.
            CatalogueError: the index is damaged, or was built with another model.
            CheckpointError: the model cannot be loaded.
        """
        request = Request(
            images=several(image),
            where=where,
            limit=limit,
            like=ids(like),
            unlike=ids(unlike),
            crop=crop,
            weight=weight,
            min_score=min_score,
            sort=sort,
            cursor=cursor,
            dedup=dedup,
            group_by=group_by,
            facets=None if facets is None else tuple(facets),
            facets_at_least=facets_at_least,
            explain=explain,
        )
        clock = Clock()
        search = Search(self.index, request, clock)
        return search.answer(self._target(request, clock))

    def search_each(
        self,
        images: Sequence[QueryImage],
        where: Where = (),
        limit: int = 20,
        *,
        unreadable: Unreadable | None = None,
    ) -> list[Answer]:
        """Do as `search` for each image on its own, in one go: the vectors are read once.

        Args:
            images: at least one.
            where: as of `search`.
            limit: as of `search`.
            unreadable: told the place of an image that cannot be read, and why; the answers are
                those to the others. None: it is raised.

        Raises:
            UsageError, ImageError, CatalogueError, CheckpointError: as `search`.
        """
        request = Request(images=tuple(images), where=where, limit=limit)
        clock = Clock()
        search = Search(self.index, request, clock)
        targets = self._embed(request.images, None, clock, unreadable)
        return search.answers(targets) if targets else []

    def attributes(self) -> list[tuple[str, list[tuple[str, int]]]]:
        """Return each group with its values, and of each value how many images have it."""
        groups = tuple(self.index.manifest.vocabulary.groups)
        return [(each.name, list(each.values)) for each in of_groups(self.index, None, groups)]

    def paths_of(self, ids: Iterable[int]) -> list[Path]:
        """Return the files of images, absolute.

        Raises:
            UsageError: there is no image with an id.
            CatalogueError: the index is damaged.
        """
        return [record.absolute for record in self.index.images(rows_with(self.index, ids))]

    def _target(self, request: Request, clock: Clock) -> Target | None:
        if not request.has_picture:
            return None
        index = self.index
        # Ids first: a wrong one costs no network.
        like, unlike = (
            [stored(index, row) for row in rows_with(index, named)]
            for named in (request.like, request.unlike)
        )
        images = self._embed(request.images, request.crop, clock) if request.images else []
        return combined([*images, *like], unlike)

    def _embed(
        self,
        images: Sequence[QueryImage],
        crop: Crop | None,
        clock: Clock,
        unreadable: Unreadable | None = None,
    ) -> list[Target]:
        from retrieval.query import read_pixels  # noqa: PLC0415  (brings Pillow)

        read, size = self._read_pixels or read_pixels, self.index.manifest.model.input_size
        made: list[Target] = []
        for start in range(0, len(images), _AT_ONCE):
            pixels = []
            with clock.stage("decode"):
                for place, image in enumerate(images[start : start + _AT_ONCE], start):
                    try:
                        pixels.append(read(image, size, crop))
                    except ImageError as error:
                        if unreadable is None:
                            raise
                        unreadable(place, error)
            if pixels:
                made += self._run(np.stack(pixels), clock)
        return made

    def _run(self, pixels: NDArray[np.uint8], clock: Clock) -> list[Target]:
        if self._embedder is None:
            with clock.stage("load"):
                self._embedder = load_embedder(self._model, self._runtime)
        check_model(self.index, self._embedder.model)
        with clock.stage("embed"):
            result = self._embedder.embed(pixels)
        return [Target(*each) for each in zip(result.visual, result.scores, strict=True)]


def check_model(index: Index, model: ModelInfo) -> None:
    """See that a model is the one an index was built with.

    Raises:
        CatalogueError: it is another.
    """
    made_with = index.manifest.model
    if model.digest != made_with.digest:
        raise CatalogueError(
            f"the index was built with the model {made_with.name} "
            f"({made_with.digest[:12]}), not with {model.name} ({model.digest[:12]}): "
            "name the other checkpoint with --model, or build it again with 'finetag-index update "
            "--reembed'"
        )
