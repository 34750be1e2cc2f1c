"""Which index a command means when it is not told: the nearest `.finetag`, as git finds `.git`."""

from __future__ import annotations

import os
from pathlib import Path

from finetag_model.errors import CatalogueError
from indexer.layout import INDEX_NAME, is_index


def find_index(named: Path | None = None, *, start: Path | None = None) -> Path:
    """Return the folder of the index to read.

    Args:
        named: taken as it is; None takes FINETAG_INDEX from the environment, or else the
            nearest index upwards.
        start: where to look upwards from, by default the working folder.

    Raises:
        CatalogueError: there is no index upwards.
    """
    found = named or _nearest(start)
    if found is None:
        raise CatalogueError(
            f"there is no index in {(start or Path.cwd()).absolute()} or above; "
            "make one with 'finetag-index build CATALOGUE', or name one with --index"
        )
    return found


def index_to_build(named: Path | None = None, *, start: Path | None = None) -> Path:
    """Return the folder of the index to build: as `find_index`, or else a new one in `start`."""
    return named or _nearest(start) or (start or Path.cwd()) / INDEX_NAME


def _nearest(start: Path | None) -> Path | None:
    if from_environment := os.environ.get("FINETAG_INDEX"):
        return Path(from_environment)
    here = (start or Path.cwd()).absolute()
    upwards = (folder / INDEX_NAME for folder in (here, *here.parents))
    return next((index for index in upwards if is_index(index)), None)
