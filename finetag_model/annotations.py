"""The reader of annotated folders: a CSV of `image,group,value` beside the images it names.

One row a value; several values of a group are several rows. A group without a row for an image
is unknown for it; in a group with one, the values not named are absent.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetag_model.errors import DataError, UsageError
from finetag_model.vocabulary import Vocabulary

COLUMNS = ("image", "group", "value")


@dataclass(frozen=True)
class AnnotatedFolder:
    """Images and labels, one row an image, in the order of first appearance in the file.

    Attributes:
        paths: image files, absolute or relative as the CSV's path was.
        presence: float32 (M, N), 1 present, 0 absent, NaN unknown.
    """

    paths: Sequence[Path]
    presence: NDArray[np.float32]


def read_annotations(path: Path, vocabulary: Vocabulary) -> AnnotatedFolder:
    """Read the labels of a vocabulary from a CSV file.

    Raises:
        DataError: the file is missing, lacks a column, or names an unknown attribute.
    """
    labels: dict[str, list[int]] = {}
    try:
        # Spreadsheets begin a file with a byte order mark, which is no part of the first column.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path} has no column {missing[0]!r}; needed: {','.join(COLUMNS)}")
            for row in reader:
                name = f"{row['group']}={row['value']}"
                labels.setdefault(row["image"], []).append(vocabulary.position(name))
    except UsageError as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    if not labels:
        raise DataError(f"{path} names no image")
    presence = np.full((len(labels), len(vocabulary)), np.nan, dtype=np.float32)
    group_of = {
        position: list(positions)
        for positions in vocabulary.groups.values()
        for position in positions
    }
    for row_number, positions in enumerate(labels.values()):
        for position in positions:
            presence[row_number, group_of[position]] = 0
        presence[row_number, positions] = 1
    return AnnotatedFolder([path.parent / image for image in labels], presence)
