from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from finetag_model.annotation_rows import COLUMNS, Row, read_rows
from finetag_model.errors import DataError, UsageError

Table = dict[str, "list[object] | pa.Array"]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Table], Path]:
    def to_parquet(columns: Table) -> Path:
        path = tmp_path / "attributes.parquet"
        parquet.write_table(pa.table(columns), path)
        return path

    return to_parquet


def table(**columns: object) -> Table:
    whole = {"image": ["a.jpg", "b.jpg"], "group": ["color", "size"], "value": ["red", ""]}
    return {**whole, **columns}


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as error:
        list(read_rows(path))
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_csv_and_parquet_hold_the_same(tmp_path: Path, write: Callable[[Table], Path]) -> None:
    text = tmp_path / "attributes.csv"
    text.write_text("note,image,group,value\n,a.jpg,color,red\n,b.jpg, size ,\n")
    columns = write(table(note=[1.5, None], group=["color", " size "]))
    for path, place in ((text, "line"), (columns, "row")):
        first = 2 if place == "line" else 1
        assert list(read_rows(path)) == [
            Row("a.jpg", "color", "red", f"{path}, {place} {first}"),
            Row("b.jpg", "size", "", f"{path}, {place} {first + 1}"),
        ]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_every_kind_of_text(write: Callable[[Table], Path], kind: pa.DataType) -> None:
    path = write(table(value=pa.array(["red", "small"]).cast(kind)))
    assert [row.value for row in read_rows(path)] == ["red", "small"]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_of_numbers_is_named(write: Callable[[Table], Path], column: str) -> None:
    assert f"the column '{column}' holds int64, not text" in refusal(
        write(table(**{column: [1, 2]}))
    )


@pytest.mark.parametrize("column", COLUMNS)
def test_a_null_is_pointed_at(write: Callable[[Table], Path], column: str) -> None:
    message = refusal(write(table(**{column: pa.array(["a", None], pa.string())})))
    assert f"row 2: there is no {column}" in message
    assert "leave out the row" in message


def test_a_missing_column_is_named(write: Callable[[Table], Path]) -> None:
    columns = table()
    del columns["group"]
    assert "no column 'group'; needed: image,group,value" in refusal(write(columns))


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "attributes.csv"
    path.write_text("image,group,value,value\na.jpg,color,red,blue\n")
    assert "several columns 'value'" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"image,group,value\n", b"PAR1 nothing PAR1"])
def test_what_is_not_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "attributes.parquet"
    path.write_bytes(content)
    assert "cannot read" in refusal(path)


def test_a_file_cut_short(write: Callable[[Table], Path]) -> None:
    path = write(table())
    whole = path.read_bytes()
    for length in range(0, len(whole), 50):
        path.write_bytes(whole[:length])
        refusal(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("none.parquet", "none.csv"):
        assert "cannot read" in refusal(tmp_path / name)


def test_without_pyarrow_the_message_says_what_to_install(
    write: Callable[[Table], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(table())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'finetag\[parquet\]'") as error:
        list(read_rows(path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a.jpg,color", "there is no value"),
        ("a.jpg", "there is no group"),
        (",color,red", "the image is empty"),
        ("a.jpg, ,red", "the group is empty"),
    ],
)
def test_a_row_that_lacks_something_is_pointed_at(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "attributes.csv"
    path.write_text(f"image,group,value\na.jpg,color,red\n{line}\n")
    message = refusal(path)
    assert "line 3" in message
    assert reason in message


def test_text_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "attributes.csv"
    path.write_bytes("image,group,value\na.jpg,color,mauve grisâtre\n".encode("latin-1"))
    assert "save it as UTF-8" in refusal(path)
    path.write_bytes("image,group,value\na.jpg,color,red\n".encode("utf-16"))
    assert "save it as UTF-8" in refusal(path)
