"""An index as one Parquet file, for other programs: a row an image, in row order.

Columns: `id` int64, `path` string (relative to the catalogue folder), `content_hash` string
(SHA-256, hexadecimal), `width` and `height` int32 (pixels, upright), `bytes` int64, `mtime`
timestamp (ns, UTC), `scores` list of N uint8 (255 is probability 1; 255 or 0 where the merchant
gave values), `visual` list of D float32 (of length 1), `fields` string (a JSON object). The key
`finetag` of the file's metadata holds a JSON object: the generation, the catalogue folder, and
the model with its vocabulary and thresholds, in the order of `scores`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetag_model.console import printable
from finetag_model.errors import FineTagError, UsageError
from finetag_model.files import replacing
from finetag_model.parquet import require_pyarrow
from indexer.control import Progress, no_progress
from indexer.index import Index
from indexer.manifest import Manifest, model_fields
from indexer.report import count, size_of

_ROWS = 4096
"""Rows in a row group, all that is in memory at a time."""

Arrow = Any
"""An object of pyarrow, which has no types of its own."""


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        path: the file.
        generation: the number of the generation it holds.
        images: its rows.
        bytes: its size.
        seconds: wall-clock time.
    """

    path: Path
    generation: int
    images: int
    bytes: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it; the keys are the names of the attributes."""
        return {**vars(self), "path": str(self.path), "seconds": round(self.seconds, 3)}

    def as_text(self) -> str:
        """Return the report as a line for people."""
        return (
            f"generation {self.generation} written to {printable(str(self.path))}: "
            f"{count(self.images, 'image')}, {size_of(self.bytes)}, {self.seconds:.1f} s"
        )


def export(index: Index, path: Path, *, progress: Progress = no_progress) -> ExportReport:
    """Write an index to a Parquet file, which is complete or as it was before.

    Args:
        index: the generation to write.
        path: the file; one that is there is replaced.
        progress: called with how many images are written and how many there are.

    Raises:
        UsageError: the name does not end in `.parquet`, or pyarrow is not installed.
        CatalogueError: the index is damaged.
        FineTagError: the file cannot be written.
    """
    start = perf_counter()
    if path.suffix.lower() != ".parquet":
        raise UsageError(f"{path} does not end in .parquet; only Parquet is written")
    require_pyarrow(path)
    try:
        with replacing(path) as partial:
            _write(index, partial, progress)
        size = path.stat().st_size
    except OSError as error:
        # pyarrow's own message spells out its calls.
        reason = os.strerror(error.errno).lower() if error.errno else " ".join(str(error).split())
        raise FineTagError(
            f"cannot write {path}: {reason}; mend that, or name another file"
        ) from error
    return ExportReport(path, index.manifest.generation, index.rows, size, perf_counter() - start)


def _write(index: Index, path: Path, progress: Progress) -> None:
    from pyarrow.parquet import ParquetWriter  # noqa: PLC0415

    schema = _schema(index.manifest)
    with ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, index.rows, _ROWS):
            stop = min(start + _ROWS, index.rows)
            writer.write_batch(_batch(index, schema, start, stop), row_group_size=_ROWS)
            progress(stop, index.rows)


def _schema(manifest: Manifest) -> Arrow:
    import pyarrow as pa  # noqa: PLC0415

    about = {
        "generation": manifest.generation,
        "created": manifest.created,
        "catalogue": str(manifest.root),
        "model": model_fields(manifest.model),
    }
    columns = {
        "id": pa.int64(),
        "path": pa.string(),
        "content_hash": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "bytes": pa.int64(),
        "mtime": pa.timestamp("ns", tz="UTC"),
        "scores": pa.list_(pa.field("element", pa.uint8(), False), len(manifest.vocabulary)),
        "visual": pa.list_(pa.field("element", pa.float32(), False), manifest.model.visual_dim),
        "fields": pa.string(),
    }
    fields = [pa.field(name, kind, nullable=False) for name, kind in columns.items()]
    return pa.schema(fields, metadata={"finetag": json.dumps(about)})


def _batch(index: Index, schema: Arrow, start: int, stop: int) -> Arrow:
    import pyarrow as pa  # noqa: PLC0415

    records = index.images(range(start, stop))
    attributes = range(len(index.manifest.vocabulary))
    scores = np.stack([index.scores(position)[start:stop] for position in attributes], axis=1)
    columns = {
        "id": [record.id for record in records],
        "path": [record.path for record in records],
        "content_hash": [record.content_hash for record in records],
        "width": [record.width for record in records],
        "height": [record.height for record in records],
        "bytes": [record.bytes for record in records],
        "mtime": [record.mtime_ns for record in records],
        "fields": [json.dumps(record.fields, ensure_ascii=False) for record in records],
    }
    lists: dict[str, NDArray[Any]] = {"scores": scores, "visual": index.vectors(start, stop)}
    arrays = [
        pa.FixedSizeListArray.from_arrays(pa.array(lists[field.name].ravel()), type=field.type)
        if field.name in lists
        else pa.array(columns[field.name], field.type)
        for field in schema
    ]
    return pa.record_batch(arrays, schema=schema)
