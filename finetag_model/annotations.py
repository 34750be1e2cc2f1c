"""The reader of annotated folders: a table of `image, group, value` beside the images it names.

One row a value; several values of a group are several rows. A group without a row for an image
is unknown for it; in a group with one, the values not named are absent. A row with an empty
value names none: all of the group is absent. How the table is stored is `annotation_rows`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetag_model.annotation_rows import read_rows
from finetag_model.errors import DataError, UsageError
from finetag_model.vocabulary import Vocabulary, fold


@dataclass(frozen=True)
class AnnotatedFolder:
    """Images and labels, one row an image, in the order of first appearance in the file.

    Attributes:
        paths: image files, absolute or relative as the file's own path was.
        presence: float32 (M, N), 1 present, 0 absent, NaN unknown.
    """

    paths: Sequence[Path]
    presence: NDArray[np.float32]


def read_vocabulary(paths: Sequence[Path]) -> Vocabulary:
    """Read which attributes files name: groups and their values in order of first appearance.

    Names are written in lower case, with `_` for blanks. Spellings that `Vocabulary.position`
    takes for the same are one attribute, named as it is first.

    Raises:
        DataError: a file cannot be read, a name has a `=`, or a group has no value.
    """
    groups: dict[str, dict[str, str]] = {}  # of values by what they fold to, by group
    first: dict[str, str] = {}
    for row in (row for path in paths for row in read_rows(path)):
        for name in (row.group, row.value):
            if "=" in name:
                raise DataError(f"{row.where}: {name!r} has a '=', which stands between the two")
        group = fold(row.group)
        first.setdefault(group, _as_name(row.group))
        values = groups.setdefault(group, {})
        if row.value:
            values.setdefault(fold(row.value), _as_name(row.value))
    for group, values in groups.items():
        if not values:
            raise DataError(f"no image of {_listed(paths)} has a value of {first[group]}")
    if not groups:
        raise DataError(f"{_listed(paths)} names no image")
    return Vocabulary(
        tuple(f"{first[group]}={value}" for group in groups for value in groups[group].values())
    )


def read_annotations(path: Path, vocabulary: Vocabulary) -> AnnotatedFolder:
    """Read the labels of a vocabulary, and check that the images are there.

    Raises:
        DataError: the file cannot be read, names an unknown attribute or an image that does not
            exist, or says of an image that it has a value of a group and none.
    """
    images: dict[str, int] = {}
    where: list[str] = []  # each image was first named
    present: list[tuple[int, int]] = []
    known: dict[tuple[int, tuple[int, ...]], bool] = {}  # whether there is a value, by group
    for row in read_rows(path):
        image = images.setdefault(row.image, len(images))
        if image == len(where):
            where.append(row.where)
        try:
            group = vocabulary.group(row.group)
            if row.value:
                present.append((image, vocabulary.position(f"{row.group}={row.value}")))
        except UsageError as error:
            raise DataError(f"{row.where}: {error}") from None
        if known.setdefault((image, group), bool(row.value)) != bool(row.value):
            raise DataError(
                f"{row.where}: {row.image} has both a value and no value of {row.group}"
            )
    if not images:
        raise DataError(f"{path} names no image")
    paths = [path.parent / image for image in images]
    missing = [number for number, image in enumerate(paths) if not _is_file(image)]
    if missing:
        others = f" (the first of {len(missing):,} missing images)" if len(missing) > 1 else ""
        raise DataError(f"{where[missing[0]]}: {paths[missing[0]]} does not exist{others}")
    presence = np.full((len(images), len(vocabulary)), np.nan, dtype=np.float32)
    for image, positions in known:
        presence[image, list(positions)] = 0
    presence[tuple(np.array(present, dtype=np.int64).reshape(-1, 2).T)] = 1
    return AnnotatedFolder(paths, presence)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its name is too long, or a folder may not be looked into
        return False


def _as_name(text: str) -> str:
    return re.sub(r"\s+", "_", text.lower())


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
