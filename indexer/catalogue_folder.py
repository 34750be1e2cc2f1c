"""The catalogue folder and the files in it, as a user names them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from finetag_model.errors import DataError
from indexer.scan import Candidate, Failure, is_utf8


def candidate_of(path: Path, root: Path) -> Candidate:
    """Return a file of the catalogue folder `root` as `scan` would.

    Raises:
        DataError: it is not a file in that folder, or cannot be read.
    """
    # Only the folder is resolved: a link in the catalogue is named as it lies there.
    absolute = path.parent.resolve() / path.name
    try:
        relative = absolute.relative_to(root).as_posix()
        status = absolute.stat()
    except ValueError:
        raise DataError(
            f"{path} is not in the catalogue folder {root}; copy it there first"
        ) from None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {(error.strerror or str(error)).lower()}"
        ) from None
    if not absolute.is_file() or not is_utf8(relative):
        raise DataError(f"{path!s} is not a file with a name in UTF-8")
    return Candidate(relative, status.st_size, status.st_mtime_ns)


def checked(catalogue: Path, *, indexed: bool = False) -> Path:
    """Return a catalogue folder as an absolute path without links.

    Args:
        catalogue: the folder.
        indexed: whether it is known from an index, and was there before.

    Raises:
        DataError: it is no folder, or its name cannot be kept.
    """
    root = catalogue.resolve()
    if not root.exists():
        advice = "; if it has moved, run 'finetag-index update --moved-to FOLDER'" * indexed
        raise DataError(f"the catalogue folder {catalogue} does not exist{advice}")
    if not root.is_dir():
        raise DataError(f"{catalogue} is a file; name the folder that holds the images")
    if not is_utf8(str(root)):
        raise DataError(f"the name of the catalogue folder {root!a} is not valid UTF-8; rename it")
    return root


def nothing_in(root: Path, failures: Sequence[Failure]) -> DataError:
    """Return the error for a catalogue folder without an image that can be read."""
    if not failures:
        return DataError(f"there is no image in {root} or its subfolders; nothing was indexed")
    first = failures[0]
    if len(failures) == 1:
        return DataError(f"{first.path} cannot be read: {first.reason}; nothing was indexed")
    return DataError(
        f"none of the {len(failures):,} images in {root} can be read (the first: "
        f"{first.path}: {first.reason}); nothing was indexed"
    )
