"""A catalogue folder to one index, and that index opened for reading.

Importing this package imports neither FAISS, nor Pillow, nor a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexer.index import Index
from indexer.locate import find_index, index_to_build
from indexer.manifest import Manifest
from indexer.quantise import cutoff
from indexer.records import ImageRecord

if TYPE_CHECKING:
    from indexer.building import build
    from indexer.report import BuildReport
    from indexer.scan import Failure

__all__ = [
    "BuildReport",
    "Failure",
    "ImageRecord",
    "Index",
    "Manifest",
    "build",
    "cutoff",
    "find_index",
    "index_to_build",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module's attribute may be anything)
    # Building brings Pillow; a search by attributes should not wait for it. (And the module is
    # not called `build`, for importing it would put it in the place of the function.)
    if name in {"BuildReport", "Failure", "build"}:
        from indexer import building  # noqa: PLC0415

        return getattr(building, name)
    raise AttributeError(f"module 'indexer' has no attribute {name!r}")
