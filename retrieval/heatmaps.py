"""Heat maps of a search as files: of the query and of each hit, of the attribute that says most.

What heat is, belongs to `finetag_model.explain`. Pillow comes with it, so nothing else in
`retrieval` may import this module before heat maps are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from finetag_model.checkpoint import read_checkpoint
from finetag_model.errors import ImageError
from finetag_model.explain import Explainer
from finetag_model.files import plain_write_errors, replacing
from finetag_model.images import load_rgb
from finetag_model.overlay import overlay
from retrieval.answer import Answer
from retrieval.catalog import Catalog, check_model
from retrieval.query import QueryImage, as_source, cropped
from retrieval.request import Crop

LONGEST_SIDE = 1200
"""Of a heat map in pixels; a larger picture is scaled down."""


@dataclass(frozen=True)
class Written:
    """What became of the heat maps.

    Attributes:
        files: those written, of the query first.
        unreadable: how many pictures could not be read any more.
        folder: where they are.
    """

    files: tuple[Path, ...]
    unreadable: int
    folder: Path

    def __str__(self) -> str:
        maps = "1 heat map" if len(self.files) == 1 else f"{len(self.files):,} heat maps"
        pictures = "1 picture" if self.unreadable == 1 else f"{self.unreadable:,} pictures"
        gone = f"; {pictures} could not be read" if self.unreadable else ""
        return f"wrote {maps} to {self.folder}{gone}"


def write_heatmaps(
    folder: Path,
    catalog: Catalog,
    answer: Answer,
    queries: Sequence[QueryImage],
    *,
    crop: Crop | None = None,
    model: Path | None = None,
) -> Written:
    """Write a PNG for each query and hit, each in one step; files of before are replaced.

    They are called by rank, id and attribute: `01-1234-underparts_color-grey.png`.

    Args:
        folder: where to; made if it is not there.
        catalog: what was searched.
        answer: found with `explain`; a hit of which no attribute says anything has no map.
        queries: the images that were searched with; of them the most probable attribute is shown.
        crop: the part of them that was meant.
        model: the checkpoint that the index was built with; None: the one shipped.

    Raises:
        FineTagError: a file cannot be written.
        CheckpointError: the model cannot be loaded or explained.
    """
    checkpoint = read_checkpoint(model)
    check_model(catalog.index, checkpoint.model)
    explainer = Explainer(checkpoint)
    wanted = _wanted(answer, queries)
    files: list[Path] = []
    for name, attribute, image in wanted:
        is_query = name.startswith("query")
        try:
            picture = load_rgb(as_source(image))
        except ImageError:
            continue
        if crop is not None and is_query:
            picture = cropped(picture, crop)
        (heat,) = explainer.explain(picture, [attribute])
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        path = folder / f"{name}-{re.sub(r'[^A-Za-z0-9_]+', '-', attribute)}.png"
        _write(overlay(picture, heat), path)
        files.append(path)
    return Written(tuple(files), len(wanted) - len(files), folder)


def _wanted(answer: Answer, queries: Sequence[QueryImage]) -> list[tuple[str, str, QueryImage]]:
    """Return of each map how it is called, its attribute and its picture."""
    explained = [
        (hit, hit.explanation.attributes)
        for hit in answer.hits
        if hit.explanation and hit.explanation.attributes
    ]
    if not explained:
        return []
    # The parts of all hits are of the same attributes, those of the query.
    attribute = max(explained[0][1], key=lambda part: part.query or 0).name
    wanted: list[tuple[str, str, QueryImage]] = []
    for i, query in enumerate(queries, start=1):
        wanted.append(("query" if len(queries) == 1 else f"query-{i}", attribute, query))
    digits = max(2, len(str(answer.hits[-1].rank)))
    for hit, parts in explained:
        wanted.append((f"{hit.rank:0{digits}}-{hit.id}", parts[0].name, hit.path))
    return wanted


def _write(picture: Image.Image, path: Path) -> None:
    with plain_write_errors(path, "name another folder with --heatmap"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            picture.save(partial, format="PNG")
