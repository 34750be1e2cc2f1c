"""The imported fields of a generation as columns, so that searches filter and sort by them.

One safetensors file. Of each field that some rows hold as a number, `numbers:NAME`: float64
(rows,), NaN where there is none; true is 1 and false 0. Of each that some rows hold as a text or a
list of texts, `codes:NAME`: int32 (rows,), -1 where there is none, and `values:NAME`: the distinct
texts and lists that they count in, sorted, as the bytes of a JSON list. A field may be both.

Left out are groups of attributes, which are in scores and masks. A number is rounded to float64,
and infinite beyond it. A list is a set: its texts are sorted, each once; one alone is a text.

The file is laid out here and not by the library, for it must be the same to the last bit
whatever the library's version, and is memory-mapped part by part.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetag_model.errors import CatalogueError
from indexer.layout import damaged
from indexer.manifest import FIELDS
from indexer.texts import Held, Texts

_NUMBERS, _CODES, _VALUES = "numbers", "codes", "values"
_TYPES = {_NUMBERS: ("F64", "<f8"), _CODES: ("I32", "<i4"), _VALUES: ("U8", "|u1")}
"""By kind of part, the data type as safetensors and as NumPy name it; the widest first."""


class ColumnBuilder:
    """Gathers the columns while the rows of a generation are written.

    Memory: 8 bytes a row and field of numbers, 4 of texts, and each distinct text once, which
    costs some 200 bytes beyond its length.
    """

    def __init__(self, rows: int, left_out: Collection[str]) -> None:
        """Begin with no field; those named `left_out` never become columns."""
        self._left_out = left_out
        self._numbers: defaultdict[str, NDArray[np.float64]] = defaultdict(
            lambda: np.full(rows, np.nan, _TYPES[_NUMBERS][1])
        )
        self._codes: defaultdict[str, NDArray[np.int32]] = defaultdict(
            lambda: np.full(rows, -1, _TYPES[_CODES][1])
        )
        self._code_of: defaultdict[str, dict[Held, int]] = defaultdict(dict)

    def add(self, row: int, fields: Mapping[str, Any]) -> None:
        """Take in the fields of a row; rows without any need not be told of."""
        for name, value in fields.items():
            if name in self._left_out:
                continue
            if isinstance(value, int | float):
                self._numbers[name][row] = _float(value)
            elif value != []:
                code_of = self._code_of[name]
                self._codes[name][row] = code_of.setdefault(_held(value), len(code_of))

    def save(self, path: Path) -> None:
        """Write the file, and forget the texts.

        Raises:
            OSError: it cannot be written.
        """
        values = {name: self._sorted(name) for name in sorted(self._codes)}
        kinds: dict[str, Mapping[str, NDArray[Any]]]
        kinds = {_NUMBERS: self._numbers, _CODES: self._codes, _VALUES: values}
        header: dict[str, Any] = {}
        parts: list[NDArray[Any]] = []
        end = 0
        for kind, arrays in kinds.items():
            for name in sorted(arrays):
                part = arrays[name]
                begin, end = end, end + part.nbytes
                parts.append(part)
                header[f"{kind}:{name}"] = {
                    "dtype": _TYPES[kind][0],
                    "shape": list(part.shape),
                    "data_offsets": [begin, end],
                }
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # so that numbers lie where a processor likes them
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for part in parts:
                file.write(part.data)

    def _sorted(self, name: str) -> NDArray[np.uint8]:
        """Let a field's codes count in its sorted texts; return those as they are written."""
        code_of = self._code_of.pop(name)
        held = sorted(code_of, key=lambda each: (each,) if isinstance(each, str) else each)
        place = np.full(len(held) + 1, -1, _TYPES[_CODES][1])  # the last is that of code -1
        place[[code_of[each] for each in held]] = np.arange(len(held))
        self._codes[name] = place[self._codes[name]]
        return np.frombuffer(json.dumps(held, ensure_ascii=False).encode(), np.uint8)


def _held(value: str | list[str]) -> Held:
    if isinstance(value, str):
        return value
    texts = tuple(sorted(set(value)))
    return texts if len(texts) > 1 else texts[0]


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # of an integer that has more than 308 digits
        return math.inf if value > 0 else -math.inf


class Columns:
    """The fields of a generation by row, each read when it is asked for.

    Attributes:
        names: of the fields that have numbers or texts, sorted.
    """

    def __init__(self, path: Path, rows: int, index_dir: Path) -> None:
        """Map the file at `path`; `index_dir` is the index that errors name.

        Raises:
            CatalogueError: the file is damaged or gone.
        """
        self._rows = rows
        self._index_dir = index_dir
        self._texts: dict[str, Texts] = {}
        try:
            parts = _parts(np.asarray(np.memmap(path, np.uint8, mode="r")), rows)
        except OSError as error:
            raise damaged(index_dir, f"{FIELDS}: it cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._damaged() from error
        self._numbers, self._codes, self._values = (parts[kind] for kind in _TYPES)
        self.names = tuple(sorted({*self._numbers, *self._codes}))

    def has_numbers(self, name: str) -> bool:
        """Say whether some row has a number in this field."""
        return name in self._numbers

    def has_texts(self, name: str) -> bool:
        """Say whether some row has a text, or several, in this field."""
        return name in self._codes

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a field's numbers; float64 (rows,), NaN where there is none, memory-mapped."""
        if name not in self._numbers:
            return np.broadcast_to(np.float64(np.nan), self._rows)
        return self._numbers[name]

    def texts(self, name: str) -> Texts:
        """Return a field's texts, and which of them each row has; they are decoded once.

        Raises:
            CatalogueError: the file is damaged.
        """
        if name not in self._codes:
            return Texts((), np.broadcast_to(np.int32(-1), self._rows))
        if name not in self._texts:
            try:
                values = json.loads(self._values[name].tobytes())
                held = tuple(each if isinstance(each, str) else tuple(each) for each in values)
                self._texts[name] = Texts(held, self._codes[name])
            except (ValueError, TypeError) as error:
                raise self._damaged() from error
        return self._texts[name]

    def _damaged(self) -> CatalogueError:
        return damaged(self._index_dir, f"{FIELDS} cannot be read")


def _parts(data: NDArray[np.uint8], rows: int) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the parts of a file, by kind and by field; on damage it raises nearly anything."""
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    parts: dict[str, dict[str, NDArray[Any]]] = {kind: {} for kind in _TYPES}
    for key, about in json.loads(data[8:start].tobytes()).items():
        kind, _, name = key.partition(":")
        of_file, of_numpy = _TYPES[kind]
        begin, end = about["data_offsets"]
        part = data[start + begin : start + end].view(of_numpy)
        length = end - begin if kind == _VALUES else rows
        if (about["dtype"], about["shape"], len(part)) != (of_file, [length], length):
            raise ValueError
        parts[kind][name] = part
    if parts[_CODES].keys() != parts[_VALUES].keys():
        raise ValueError
    return parts
