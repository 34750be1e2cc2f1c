"""A catalogue folder to one index, and that index opened for reading.

Importing this package imports neither FAISS, nor Pillow, nor a network.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from indexer.approximation import Plan
from indexer.index import Index
from indexer.locate import find_index, index_to_build
from indexer.manifest import Manifest
from indexer.quantise import cutoff
from indexer.records import ImageRecord
from indexer.selection import Mask, Selection
from indexer.texts import Texts

if TYPE_CHECKING:
    from indexer.building import add, build, update
    from indexer.compacting import compact
    from indexer.importing import import_fields
    from indexer.removing import delete_images
    from indexer.repairing import repair
    from indexer.report import BuildReport
    from indexer.scan import Failure
    from indexer.verifying import verify

__all__ = [
    "BuildReport",
    "Failure",
    "ImageRecord",
    "Index",
    "Manifest",
    "Mask",
    "Plan",
    "Selection",
    "Texts",
    "add",
    "build",
    "compact",
    "cutoff",
    "delete_images",
    "find_index",
    "import_fields",
    "index_to_build",
    "repair",
    "update",
    "verify",
]

# Building brings Pillow, and writing SQLAlchemy; a search by attributes should not wait for them.
# (No module is called like what it gives, for importing it would take the place of that.)
_LAZY = {
    **dict.fromkeys(("BuildReport", "Failure", "add", "build", "update"), "building"),
    "compact": "compacting",
    "delete_images": "removing",
    "import_fields": "importing",
    "repair": "repairing",
    "verify": "verifying",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (a module's attribute may be anything)
    if name in _LAZY:
        return getattr(import_module(f"indexer.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'indexer' has no attribute {name!r}")
