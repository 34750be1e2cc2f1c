"""The reader of the official CUB-200-2011 layout: images, boxes, classes, split, attributes.

It reads what is recorded and decides nothing: a label without a row is unknown (NaN), and
what to do about unknown labels is the business of `labels` and of the training.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetag_model.errors import DataError
from finetag_model.vocabulary import Vocabulary


@dataclass(frozen=True)
class CubDataset:
    """Photographs and annotations, one row an image, by ascending id.

    Attributes:
        vocabulary: the N = 312 attributes, in the order of their official ids.
        paths: absolute paths of the image files.
        image_ids: int64 (M,), official ids.
        class_ids: int64 (M,), official species ids, from 1.
        boxes: float32 (M, 4), the bird's box as x, y, width, height in pixels.
        is_train: bool (M,), the official split.
        presence: float32 (M, N), 1 present, 0 absent, NaN unknown.
        certainty: uint8 (M, N), 1 not visible, 2 guessing, 3 probably, 4 definitely,
            0 not recorded.
    """

    vocabulary: Vocabulary
    paths: Sequence[Path]
    image_ids: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    boxes: NDArray[np.float32]
    is_train: NDArray[np.bool_]
    presence: NDArray[np.float32]
    certainty: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.paths)

    def validation(self, ids: Path | None) -> NDArray[np.bool_]:
        """Return which images to measure on, bool (M,): those listed, or the official test set.

        Raises:
            DataError: the list cannot be read or names none of the images.
        """
        chosen = ~self.is_train if ids is None else np.isin(self.image_ids, read_ids(ids))
        if not chosen.any():
            raise DataError(f"none of the images is among those of {ids or 'the test split'}")
        return chosen


def read_cub(folder: Path) -> CubDataset:
    """Read `CUB_200_2011/`, given that folder or the one around it.

    `attributes.txt` may lie in either, or in `attributes/`, as the archive's copies differ.
    Rows of images left out of `images.txt` are ignored, so a part of the set can be read.

    Raises:
        DataError: a file is missing or a line of it cannot be understood.
    """
    root = folder / "CUB_200_2011" if (folder / "CUB_200_2011").is_dir() else folder
    names = dict(_lines(root / "images.txt"))
    image_ids = np.array(sorted(map(int, names)), dtype=np.int64)
    if not len(image_ids):
        raise DataError(f"{root / 'images.txt'} lists no image")
    vocabulary = read_vocabulary(_attributes_file(root))
    presence, certainty = read_labels(
        root / "attributes" / "image_attribute_labels.txt", image_ids, len(vocabulary)
    )
    return CubDataset(
        vocabulary=vocabulary,
        paths=[root / "images" / names[str(image)] for image in image_ids],
        image_ids=image_ids,
        class_ids=_column(root / "image_class_labels.txt", image_ids, 1)[:, 0].astype(np.int64),
        boxes=_column(root / "bounding_boxes.txt", image_ids, 4).astype(np.float32),
        is_train=_column(root / "train_test_split.txt", image_ids, 1)[:, 0] == 1,
        presence=presence,
        certainty=certainty,
    )


def read_vocabulary(path: Path) -> Vocabulary:
    """Read `attributes.txt`: lines of an id, counting from 1, and a name.

    Raises:
        DataError: the file is missing, or its ids do not count from 1.
    """
    rows = _lines(path)
    if [number for number, _ in rows] != [str(i + 1) for i in range(len(rows))]:
        raise DataError(f"{path}: attribute ids do not count 1, 2, 3, ...")
    return Vocabulary.from_cub_names(name for _, name in rows)


def read_labels(
    path: Path, image_ids: NDArray[np.int64], attributes: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Read rows of image, attribute, is_present, certainty (and more, which is ignored).

    Args:
        path: a file in the format of `image_attribute_labels.txt`.
        image_ids: ascending ids of the images wanted; rows of others are passed over.
        attributes: N; attribute ids run from 1 to N.

    Returns:
        presence, float32 (M, N), NaN where no row says; certainty, uint8 (M, N).

    Raises:
        DataError: the file is missing or holds something else.
    """
    rows = _table(path, columns=4).astype(np.int64)
    image, attribute, present, certainty = rows.T
    out_of_range = (
        ((attribute < 1) | (attribute > attributes))
        | ((present < 0) | (present > 1))
        | ((certainty < 0) | (certainty > 4))
    )
    if out_of_range.any():
        line = int(out_of_range.argmax())
        raise DataError(f"{path}, line {line + 1}: {rows[line].tolist()} is not a label")
    at = np.searchsorted(image_ids, image).clip(max=len(image_ids) - 1)
    wanted = image_ids[at] == image
    where = at[wanted], attribute[wanted] - 1
    presence_matrix = np.full((len(image_ids), attributes), np.nan, dtype=np.float32)
    certainty_matrix = np.zeros((len(image_ids), attributes), dtype=np.uint8)
    presence_matrix[where] = present[wanted]
    certainty_matrix[where] = certainty[wanted]
    return presence_matrix, certainty_matrix


def read_full_labels(path: Path, attributes: int) -> NDArray[np.float32]:
    """Read the labels of all images in a file of the same format; float32 (K, N), no NaN.

    Raises:
        DataError: as `read_labels`, or a label is missing.
    """
    presence, _ = read_labels(path, read_ids(path), attributes)
    if np.isnan(presence).any():
        raise DataError(f"{path} does not label all {attributes} attributes of each image")
    return presence


def read_ids(path: Path) -> NDArray[np.int64]:
    """Read the ids that begin the lines of a file; int64, ascending, each once.

    Raises:
        DataError: the file is missing or holds something else.
    """
    return np.unique(_table(path, columns=1)[:, 0]).astype(np.int64)


def _attributes_file(root: Path) -> Path:
    candidates = [
        root.parent / "attributes.txt",
        root / "attributes.txt",
        root / "attributes" / "attributes.txt",
    ]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise DataError(f"no attributes.txt in {root}, beside it or in its folder attributes")


def _lines(path: Path) -> list[tuple[str, str]]:
    """Return the two fields of each line: a number and the rest."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        first, _, rest = line.strip().partition(" ")
        if not first.isdigit() or not rest:
            raise DataError(f"{path}, line {number}: {line!r} is not a number and a name")
        rows.append((first, rest))
    return rows


def _column(path: Path, image_ids: NDArray[np.int64], values: int) -> NDArray[np.float64]:
    """Return the values after each image's id, shape (M, values)."""
    table = _table(path, columns=values + 1)
    by_id = {int(row[0]): row[1:] for row in table}
    missing = [int(image) for image in image_ids if int(image) not in by_id]
    if missing:
        raise DataError(f"{path} has no line for image {missing[0]}")
    return np.array([by_id[int(image)] for image in image_ids])


def _table(path: Path, columns: int) -> NDArray[np.float64]:
    """Read the first columns of a file of numbers; some lines of the archive have more."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a file without a line NumPy only warns
            table = np.loadtxt(path, usecols=range(columns), ndmin=2, comments=None)
    except (OSError, ValueError, UserWarning) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"cannot read {path}: {reason}") from None
    finite = np.isfinite(table).all(axis=1)
    if not finite.all():
        raise DataError(f"{path}, line {finite.argmin() + 1}: not a number")
    return table
