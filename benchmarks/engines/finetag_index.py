"""FineTag itself: a real index, written as a build writes it, searched as `Catalog` does."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from search_data import Data

from finetag_model.embedder import ModelInfo
from finetag_model.errors import UsageError
from indexer import Index
from indexer.quantise import cutoff
from retrieval.where import select
from retrieval.where.tree import Has, all_of

_BLOCK = 5_000


class FineTag:
    """Tags are attributes of the model: a score of 255 is one that a row has, 0 one it lacks."""

    version = metadata.version("finetag")
    how = "as retrieval.Catalog: bit masks, then exact or IVF, whichever is expected to be faster"
    efforts = (0,)

    def build(self, folder: Path, data: Data) -> None:
        """Fill the database and publish a generation."""
        # What a build alone needs, torch among it, is not to be in the memory of a search.
        from growth import table_rows  # noqa: PLC0415

        from finetag_model.checkpoint import read_checkpoint  # noqa: PLC0415
        from indexer.publish import publication  # noqa: PLC0415
        from indexer.schema import embedding, image  # noqa: PLC0415
        from indexer.writer import open_writer  # noqa: PLC0415

        model = read_checkpoint().model
        positions = _positions(model)[: len(data.tags)]
        if model.visual_dim != data.dim or len(positions) < len(data.tags):
            raise UsageError(
                f"the shipped model has {len(model.vocabulary)} attributes and vectors of "
                f"{model.visual_dim}, but the data have {len(data.tags)} tags and {data.dim}"
            )
        (folder / "catalogue").mkdir()
        with open_writer(folder / "index", root=folder / "catalogue") as writer:
            for start in range(0, data.rows, _BLOCK):
                scores = np.array(data.scores[start : start + _BLOCK])
                scores[:, positions] = 255 * data.tags[:, start : start + _BLOCK].T
                visual = data.vectors[start : start + _BLOCK].astype("<f4")
                images, embeddings = table_rows(start, visual, scores, model)
                with writer.changing() as connection:
                    connection.execute(embedding.insert(), embeddings)
                    connection.execute(image.insert(), images)
            with publication(writer, model):
                pass

    def open(self, folder: Path, data: Data) -> None:
        """Open the index, and bring it into memory as the engines that do not map files do."""
        self._index = Index.open(folder / "index")
        self._index.preload()
        self._positions = _positions(self._index.manifest.model)[: len(data.tags)]

    def search(
        self, query: NDArray[np.float32], tags: tuple[int, ...], k: int, effort: int
    ) -> NDArray[np.int64]:
        """Filter by attributes, then search what passed."""
        del effort
        return search(self._index, query, [self._positions[tag] for tag in tags], k)

    def close(self) -> None:
        """Let the generation go."""
        self._index.close()


def search(
    index: Index, query: NDArray[np.float32], positions: list[int], k: int
) -> NDArray[np.int64]:
    """Do what `Catalog.search` does, with a vector in place of an image."""
    names = [index.manifest.vocabulary.names[each].partition("=") for each in positions]
    among = select(all_of(tuple(Has(group, (value,)) for group, _, value in names)), index)
    plan = index.plan(among.count, k)
    return index.search(query[np.newaxis], k, among, plan)[0][0]


def _positions(model: ModelInfo) -> list[int]:
    """Return the attributes of which a score of 255 passes the threshold, and 0 does not."""
    return [i for i, each in enumerate(model.thresholds) if 0 < cutoff(float(each)) <= 255]
