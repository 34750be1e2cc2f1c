"""Metadata of the merchant: joined by path or id, outranking predictions, never lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finetag_model.errors import DataError
from indexer import Index, build
from indexer.building import update
from indexer.importing import import_fields


@pytest.fixture
def index_dir(tmp_path: Path, database: str, catalogue: Path, color_embedder: Any) -> Path:
    build(catalogue, tmp_path / "index", color_embedder)
    return tmp_path / "index"


def fields(index_dir: Path) -> dict[str, Any]:
    with Index.open(index_dir) as index:
        return {each.path: each.fields for each in index.images(range(index.rows)) if each.fields}


def having(index_dir: Path, name: str) -> list[str]:
    with Index.open(index_dir) as index:
        rows = index.matching([index.manifest.vocabulary.position(name)])
        return [each.path for each in index.images(rows)]


def write(tmp_path: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif name.endswith(".csv"):
        lines = [",".join(rows[0])]
        lines += [
            ",".join(
                "" if v is None else "|".join(v) if isinstance(v, list) else str(v)
                for v in row.values()
            )
            for row in rows
        ]
        path.write_text("\n".join(lines) + "\n")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["table.csv", "table.jsonl", "table.parquet"])
def test_all_kinds_of_tables_say_the_same(tmp_path: Path, index_dir: Path, name: str) -> None:
    rows = [
        {"path": "a.png", "price": 12.5, "brand": "Acme", "upper": ["grey"]},
        {"path": "sub/d.png", "price": 3.0, "brand": None, "upper": ["red", "white"]},
        {"path": "later.png", "price": 1.0, "brand": "Late", "upper": None},
    ]
    report = import_fields(write(tmp_path, name, rows), index_dir)
    assert (report.rows, report.images, report.waiting) == (3, 2, 1)
    assert (report.fields, report.attributes) == (["price", "brand"], ["upper"])
    assert (report.problems, report.published, report.generation) == ([], True, 2)
    assert fields(index_dir) == {
        "a.png": {"price": 12.5, "brand": "Acme", "upper": ["grey"]},
        "sub/d.png": {"price": 3.0, "upper": ["red", "white"]},
    }


def test_what_the_merchant_says_outranks_what_the_network_predicts(
    tmp_path: Path, index_dir: Path
) -> None:
    assert having(index_dir, "upper=red") == ["a.png"]
    table = write(
        tmp_path, "t.jsonl", [{"path": "a.png", "Upper": "grey"}, {"path": "b.png", "upper": []}]
    )
    import_fields(table, index_dir)
    assert having(index_dir, "upper=red") == []
    assert having(index_dir, "upper=green") == []
    assert "a.png" in having(index_dir, "upper=grey")
    assert having(index_dir, "lower=green") == ["a.png"]  # nothing was said of it
    with Index.open(index_dir) as index:
        red = index.manifest.vocabulary.position("upper=red")
        record = index.images([0])[0]
        assert index.scores(red)[0] == 0
        assert record.predicted is not None
        assert bytes.fromhex(record.predicted)[red] > 200
    import_fields(write(tmp_path, "t.csv", [{"path": "a.png", "upper": ""}]), index_dir)
    assert having(index_dir, "upper=red") == ["a.png"]


def test_rows_are_found_by_id_and_by_absolute_path(
    tmp_path: Path, index_dir: Path, catalogue: Path
) -> None:
    with Index.open(index_dir) as index:
        ids = {each.path: each.id for each in index.images(range(index.rows))}
    table = write(tmp_path, "t.csv", [{"id": ids["c.png"], "sku": "007"}, {"id": 99, "sku": "1"}])
    report = import_fields(table, index_dir)
    assert report.problems == [f"{table}, line 3: there is no image with the id 99"]
    import_fields(write(tmp_path, "u.csv", [{"path": catalogue / "b.png", "n": "7"}]), index_dir)
    assert fields(index_dir) == {"b.png": {"n": 7}, "c.png": {"sku": "007"}}


def test_a_later_import_takes_the_place_of_its_columns_alone(
    tmp_path: Path, index_dir: Path
) -> None:
    import_fields(
        write(tmp_path, "t.csv", [{"path": "a.png", "price": 3, "brand": "Acme"}]), index_dir
    )
    import_fields(write(tmp_path, "t.csv", [{"path": "a.png", "price": 4}]), index_dir)
    assert fields(index_dir) == {"a.png": {"price": 4, "brand": "Acme"}}
    again = import_fields(write(tmp_path, "t.csv", [{"path": "a.png", "price": 4}]), index_dir)
    assert (again.published, again.generation) == (False, 3)
    import_fields(
        write(tmp_path, "t.csv", [{"path": "a.png", "price": "", "brand": ""}]), index_dir
    )
    assert fields(index_dir) == {}


def test_metadata_go_with_a_moved_file_and_wait_for_one_that_is_gone(
    tmp_path: Path, index_dir: Path, catalogue: Path, color_embedder: Any
) -> None:
    rows = [
        {"path": "a.png", "price": 1},
        {"path": "b.png", "price": 2},
        {"path": "new.png", "price": 3},
    ]
    import_fields(write(tmp_path, "t.csv", rows), index_dir)
    (catalogue / "a.png").rename(catalogue / "sub" / "renamed.png")
    away = (catalogue / "b.png").rename(tmp_path / "b.png")
    update(index_dir, color_embedder)
    assert fields(index_dir) == {"sub/renamed.png": {"price": 1}}
    away.rename(catalogue / "b.png")
    (catalogue / "new.png").write_bytes((catalogue / "c.png").read_bytes())
    update(index_dir, color_embedder)
    assert fields(index_dir) == {
        "sub/renamed.png": {"price": 1},
        "b.png": {"price": 2},
        "new.png": {"price": 3},
    }


def test_unknown_values_are_left_out_and_named_with_the_nearest(
    tmp_path: Path, index_dir: Path
) -> None:
    table = write(tmp_path, "t.csv", [{"path": "a.png", "upper": "gray|red"}])
    report = import_fields(table, index_dir)
    assert report.problems == [f"{table}, line 2: upper has no value 'gray'; nearest: grey, green"]
    assert fields(index_dir) == {"a.png": {"upper": ["red"]}}
    assert "1 problem:" in report.as_text()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "t.csv",
            "image,price\na.png,1\n",
            "has no column 'path' to say which image a row is about, only 'image', 'price'",
        ),
        ("t.csv", "", "t.csv is empty"),
        ("t.csv", "path,price\na.png\n", "line 2: not 2 cells"),
        ("t.csv", "path,price,price\na.png,1,2\n", "a name of their own"),
        ("t.csv", 'path\n"a.png\n', "cannot read"),
        ("t.csv", b"path\n\xff\xfe.png\n", "save it as UTF-8"),
        ("t.csv", "path,price\n,1\n", "names no image"),
        ("t.jsonl", "{\n", "line 1: not JSON"),
        ("t.jsonl", "[1]\n", "line 1: not an object"),
        ("t.jsonl", '{"path": "a.png", "size": {"w": 1}}\n', "neither text, nor a number"),
        ("t.jsonl", '{"path": "a.png", "brand": "\\ud800"}\n', "half a character"),
        ("t.jsonl", '{"path": "a.png", "\\ud800": 1}\n', "half a character"),
        ("t.jsonl", '{"path": "a.png", "tags": ["x", "\\ud800"]}\n', "half a character"),
        ("t.parquet", b"PAR1", "cannot read"),
        ("t.xlsx", "", "is none of .csv, .tsv, .jsonl, .ndjson, .parquet"),
        (None, "", "no such file"),
    ],
)
def test_a_table_that_cannot_be_read_changes_nothing(
    tmp_path: Path, index_dir: Path, name: str | None, content: str | bytes, message: str
) -> None:
    path = tmp_path / (name or "gone.csv")
    if name is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        import_fields(path, index_dir)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert Index.open(index_dir).manifest.generation == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", 'Path;Brand;Price\na.png;"Lynx; Co";3\n'),
        ("t.csv", '\ufeffBrand;Price;PATH\r\n"Lynx; Co";3;a.png\r\n'),
        ("t.csv", "path\tBrand\tPrice\na.png\tLynx; Co\t3\n"),
        ("t.tsv", "path\tBrand\tPrice\na.png\tLynx; Co\t3\n"),
        ("t.csv", "path,Brand,Price\na.png,Lynx; Co,3\n"),
    ],
)
def test_tables_are_read_as_spreadsheets_write_them(
    tmp_path: Path, index_dir: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    import_fields(tmp_path / name, index_dir)
    assert fields(index_dir) == {"a.png": {"Brand": "Lynx; Co", "Price": 3}}


def test_a_column_of_numbers_that_one_cell_turns_into_text_is_told(
    tmp_path: Path, index_dir: Path
) -> None:
    table = tmp_path / "t.csv"
    table.write_text('path,price,article\na.png,3,B1\nb.png,"1,200",7\nc.png,5,x\n')
    report = import_fields(table, index_dir)
    remark = "price is kept as text, for line 3 has '1,200', which is no number"
    assert report.remarks == [remark]
    assert f"\n  {remark}\n" in f"{report.as_text()}\n"


def test_paths_that_are_not_indexed_yet_are_named(tmp_path: Path, index_dir: Path) -> None:
    names = [f"catalogue/{i:02}.png" for i in range(30)]
    rows: list[dict[str, Any]] = [{"path": name, "price": 1} for name in [*names, "a.png", "a.png"]]
    report = import_fields(write(tmp_path, "t.csv", rows), index_dir)
    assert (report.images, report.waiting, report.waiting_paths) == (2, 30, names[:20])
    assert f"  not indexed yet: {', '.join(names[:3])}, …\n" in report.as_text()


def test_a_field_keeps_its_name_however_a_later_table_spells_it(
    tmp_path: Path, index_dir: Path
) -> None:
    import_fields(write(tmp_path, "t.csv", [{"path": "a.png", "Brand Name": "Lynx"}]), index_dir)
    table = write(tmp_path, "u.csv", [{"path": "a.png", "brand_name": "Ibis", "Price": 3}])
    assert import_fields(table, index_dir).fields == ["Brand Name", "Price"]
    assert fields(index_dir) == {"a.png": {"Brand Name": "Ibis", "Price": 3}}
    import_fields(write(tmp_path, "v.csv", [{"path": "a.png", "BRAND NAME": ""}]), index_dir)
    assert fields(index_dir) == {"a.png": {"Price": 3}}
