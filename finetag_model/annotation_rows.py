"""The rows of an annotation file, CSV or Parquet, as they stand: what they mean is `annotations`.

Parquet needs the extra `parquet`, which is pyarrow; it is imported when such a file is read.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetag_model.errors import DataError
from finetag_model.parquet import require_pyarrow

COLUMNS = ("image", "group", "value")


@dataclass(frozen=True)
class Row:
    """One row; `value` is empty where it says that the image has none of the group's values.

    Attributes:
        image: never empty.
        group: never empty.
        value: without blanks around it, like the other two.
        where: the file and the row's place in it, for messages.
    """

    image: str
    group: str
    value: str
    where: str


def read_rows(path: Path) -> Iterator[Row]:
    """Read a file row by row: Parquet if it is named so, else CSV.

    Raises:
        DataError: the file cannot be read, lacks a column, or a row lacks a cell.
        UsageError: it is a Parquet file, and pyarrow is not installed.
    """
    cells = _parquet_cells if path.suffix.lower() == ".parquet" else _csv_cells
    for place, row in cells(path):
        where = f"{path}, {place}"
        for column, cell in zip(COLUMNS, row, strict=True):
            if cell is None:
                raise DataError(
                    f"{where}: there is no {column}; leave out the row of an unknown group, and "
                    "give the empty text as the value where an image has none of a group's values"
                )
        image, group, value = (str(cell).strip() for cell in row)
        if not image or not group:
            raise DataError(f"{where}: the {'group' if image else 'image'} is empty")
        yield Row(image, group, value, where)


def _csv_cells(path: Path) -> Iterator[tuple[str, Sequence[str | None]]]:
    try:
        # Spreadsheets begin a file with a byte order mark, which is no part of the first column.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _check_columns(path, reader.fieldnames or ())
            for row in reader:
                yield f"line {reader.line_num}", [row[column] for column in COLUMNS]
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read {path}: {error}; save it as UTF-8") from None
    except (OSError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}") from None


def _parquet_cells(path: Path) -> Iterator[tuple[str, Sequence[str | None]]]:
    require_pyarrow(path)
    from pyarrow import ArrowException  # noqa: PLC0415
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    number = 0
    try:
        with ParquetFile(path) as file:
            schema = file.schema_arrow
            _check_columns(path, schema.names)
            for column in COLUMNS:
                if not _holds_text(schema.field(column).type):
                    raise DataError(
                        f"{path}: the column {column!r} holds {schema.field(column).type}, "
                        "not text; write it as strings"
                    )
            for batch in file.iter_batches(columns=list(COLUMNS)):
                for row in zip(*(batch.column(name).to_pylist() for name in COLUMNS), strict=True):
                    number += 1
                    yield f"row {number}", row
    except (OSError, ArrowException, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"cannot read {path}: {reason}") from None


def _check_columns(path: Path, names: Sequence[str]) -> None:
    for column in COLUMNS:
        if column not in names:
            raise DataError(f"{path} has no column {column!r}; needed: {','.join(COLUMNS)}")
        if list(names).count(column) > 1:
            raise DataError(f"{path} has several columns {column!r}")


def _holds_text(kind: Any) -> bool:  # noqa: ANN401 - pyarrow has no types of its own
    from pyarrow import types  # noqa: PLC0415

    if types.is_dictionary(kind):  # what pandas calls categories
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
