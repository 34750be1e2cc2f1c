"""Rows of a table of metadata: CSV, JSON lines or Parquet, as plain Python values.

What the columns mean is the business of `importing`. Rows are read one by one, however many.
"""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from finetag_model.errors import DataError
from finetag_model.parquet import require_pyarrow
from indexer.scan import is_utf8

Cell = str | int | float | bool | list[str] | None
"""None and the empty text both say that nothing is known."""

# Written so, a number is read back the same: `007` and `1e5` are names, not numbers.
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,12})?")


KEYS = ("path", "id")
"""Columns that say which image a row is about, in any case; a table has one of them."""

_SEPARATORS = ",;\t"
"""Between the cells of a CSV file; spreadsheets write `;` where the comma is in numbers."""


def read_table(path: Path, remarks: list[str]) -> Iterator[tuple[str, Mapping[str, Cell]]]:
    """Yield the place of each row, for messages, and its cells by column.

    The file's ending tells its kind: `.csv` (or `.tsv`), `.jsonl` (or `.ndjson`), `.parquet`. A
    column of a CSV file holds numbers if all its cells do.

    Args:
        path: the file.
        remarks: gets a sentence on each column that was hardly meant as what it is read as.

    Raises:
        DataError: the file cannot be read, or a cell is nothing that can be kept.
        UsageError: it is Parquet, and pyarrow is not installed.
    """
    csv_file = partial(_csv, remarks=remarks)
    kinds: dict[str, Callable[[Path], Iterator[tuple[str, dict[str, Any]]]]] = {
        ".csv": csv_file,
        ".tsv": csv_file,
        ".jsonl": _json_lines,
        ".ndjson": _json_lines,
        ".parquet": _parquet,
    }
    read = kinds.get(path.suffix.lower())
    if read is None:
        raise DataError(f"{path} is none of {', '.join(kinds)}; name a file with one of these ends")
    with _plain_errors(path):
        for place, row in read(path):
            where = f"{path}, {place}"
            yield where, {name: _cell(value, where, name) for name, value in row.items()}


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except UnicodeDecodeError:
        raise DataError(f"cannot read {path}: it is not in UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    except (csv.Error, ValueError) as error:  # pyarrow's errors are ValueErrors too
        raise DataError(f"cannot read {path}: {' '.join(str(error).split())}") from None


def _csv(path: Path, remarks: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    columns: dict[str, _Column] = {}
    for place, row in _csv_text(path):
        for name, text in row.items():
            columns.setdefault(name, _Column()).see(text, place)
    remarks += [
        f"{name} is kept as text, for {column.place} has {column.text!r}, which is no number"
        for name, column in columns.items()
        if column.numbers > column.texts > 0
    ]
    numeric = [name for name, column in columns.items() if not column.texts]
    for place, row in _csv_text(path):
        yield place, {**row, **{name: _number(row[name]) for name in numeric}}


@dataclass
class _Column:
    """How many cells of a column are numbers, and how many other text; the first of these."""

    numbers: int = 0
    texts: int = 0
    text: str = ""
    place: str = ""

    def see(self, text: str, place: str) -> None:
        if _NUMBER.fullmatch(text):
            self.numbers += 1
        elif text:
            if not self.texts:
                self.text, self.place = text, place
            self.texts += 1


def _csv_text(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    # Spreadsheets begin a file with a byte order mark, which is no part of the first column.
    with path.open(newline="", encoding="utf-8-sig") as file:
        separator = _separator(file.readline())
        file.seek(0)
        reader = csv.DictReader(file, strict=True, delimiter=separator)
        names = [name.strip() for name in reader.fieldnames or ()]
        if not names:
            raise DataError(f"{path} is empty; a table begins with a line of the columns' names")
        if len(set(names)) < len(names) or not all(names):
            raise DataError(f"{path}: its columns must each have a name of their own")
        reader.fieldnames = names
        for row in reader:
            place = f"line {reader.line_num}"
            if None in row or None in row.values():
                raise DataError(f"{path}, {place}: not {len(names)} cells, as in the first line")
            yield place, {name: cell.strip() for name, cell in row.items()}


def _separator(header: str) -> str:
    """Return what separates the cells of a first line: what makes one of them a key."""
    for separator in _SEPARATORS:
        cells = next(csv.reader([header], delimiter=separator), [])
        if any(cell.strip().lower() in KEYS for cell in cells):
            return separator
    return _SEPARATORS[0]


def _number(text: str) -> int | float | None:
    if not text:
        return None
    return float(text) if "." in text else int(text)


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}, line {number}: not JSON ({error})") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number}: not an object such as {{'path': ...}}")
            yield f"line {number}", row


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    require_pyarrow(path)
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    number = 0
    with ParquetFile(path) as file:
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row


def _cell(value: Any, where: str, column: str) -> Cell:  # noqa: ANN401  (it comes from a file)
    if isinstance(value, decimal.Decimal):
        value = float(value)
    if isinstance(value, datetime.date | datetime.time):
        value = value.isoformat()
    texts = value if isinstance(value, list) else [value]
    if any(isinstance(each, str) and not is_utf8(each) for each in (column, *texts)):
        raise DataError(f"{where}: {column!a} holds half a character, which is no text")
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, float):
        return None
    raise DataError(f"{where}: {column!r} is neither text, nor a number, nor a list of texts")
