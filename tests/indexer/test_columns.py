"""Imported fields as columns: they say what the records say, whatever was changed and when."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from finetag_model.errors import CatalogueError
from indexer import Index, build
from indexer.building import update
from indexer.columns import ColumnBuilder, Columns
from indexer.importing import import_fields
from indexer.removing import delete_images
from indexer.repairing import repair
from indexer.verifying import verify
from tests.indexer.rows import check_columns

FILE = "fields.safetensors"


@pytest.fixture
def index_dir(tmp_path: Path, database: str, catalogue: Path, color_embedder: Any) -> Path:
    build(catalogue, tmp_path / "index", color_embedder)
    return tmp_path / "index"


def take(index_dir: Path, *rows: dict[str, Any]) -> None:
    table = index_dir.parent / "table.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_fields(table, index_dir)


def file_of(index_dir: Path) -> Path:
    with Index.open(index_dir) as index:
        return index.folder / FILE


def column(index_dir: Path, name: str) -> dict[str, Any]:
    """Return the numbers and texts of a field by path, of the images that have one."""
    with Index.open(index_dir) as index:
        paths = [each.path for each in index.images(range(index.rows))]
        texts = index.columns.texts(name)
        numbers = zip(paths, index.columns.numbers(name).tolist(), strict=True)
        return {path: number for path, number in numbers if not math.isnan(number)} | {
            path: texts.held[code]
            for path, code in zip(paths, texts.codes, strict=True)
            if code >= 0
        }


def test_numbers_texts_booleans_and_names_of_every_kind(index_dir: Path) -> None:
    take(
        index_dir,
        {"path": "a.png", "price": 12.5, "brand": "lynx", "größe": "XL", "new": True, "upper": []},
        {"path": "c.png", "price": 3, "brand": "Acme", "🦊 name": "Ω", "new": False},
        {"path": "sub/d.png", "price": "on request", "brand": "lynx", "tags": ["x", "y"]},
        {"path": "later.png", "price": 7, "waiting": 1},
    )
    with Index.open(index_dir) as index:
        columns = index.columns
        assert columns.names == ("brand", "größe", "new", "price", "tags", "🦊 name")
        np.testing.assert_array_equal(columns.numbers("price"), [12.5, np.nan, 3, np.nan, np.nan])
        texts = columns.texts("price")
        assert (texts.known, texts.codes.tolist()) == (("on request",), [-1, -1, -1, 0, -1])
        assert columns.has_numbers("price")
        assert columns.has_texts("price")
        np.testing.assert_array_equal(columns.numbers("new"), [1, np.nan, 0, np.nan, np.nan])
        assert not columns.has_texts("new")
        texts = columns.texts("brand")
        assert (texts.known, texts.codes.tolist()) == (("Acme", "lynx"), [1, -1, 0, 1, -1])
        texts = columns.texts("tags")
        assert (texts.known, texts.held) == (("x", "y"), (("x", "y"),))
        assert texts.codes.tolist() == [-1, -1, -1, 0, -1]
        assert not columns.has_numbers("brand")
        assert columns.texts("größe").known == ("XL",)
        assert columns.texts("🦊 name").known == ("Ω",)
        for name in ("upper", "no field"):
            assert not columns.has_numbers(name)
            assert not columns.has_texts(name)
            assert np.isnan(columns.numbers(name)).tolist() == [True] * 5
            assert columns.texts(name).held == ()
            assert columns.texts(name).codes.tolist() == [-1] * 5


def test_columns_follow_moved_deleted_and_added_images(
    index_dir: Path, catalogue: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    take(
        index_dir,
        {"path": "a.png", "price": 1, "brand": "Acme"},
        {"path": "b.png", "price": 2, "brand": "Bolt"},
        {"path": "new.png", "price": 3, "brand": "Nova"},
    )
    assert column(index_dir, "price") == {"a.png": 1, "b.png": 2}
    (catalogue / "a.png").rename(catalogue / "sub" / "renamed.png")
    (catalogue / "new.png").write_bytes((catalogue / "c.png").read_bytes())
    update(index_dir, color_embedder)
    assert column(index_dir, "price") == {"b.png": 2, "new.png": 3, "sub/renamed.png": 1}
    holds(index_dir, catalogue, color_embedder)
    delete_images(index_dir, ["b.png"])
    assert column(index_dir, "brand") == {"new.png": "Nova", "sub/renamed.png": "Acme"}
    assert b"Bolt" not in file_of(index_dir).read_bytes()


def test_a_later_import_changes_and_clears(index_dir: Path) -> None:
    take(index_dir, {"path": "a.png", "price": 1, "brand": "x"}, {"path": "b.png", "price": 2})
    take(index_dir, {"path": "a.png", "price": "sold", "brand": ""})
    assert column(index_dir, "price") == {"a.png": "sold", "b.png": 2}
    with Index.open(index_dir) as index:
        assert index.columns.names == ("price",)
    take(index_dir, {"path": "a.png", "price": ""}, {"path": "b.png", "price": None})
    with Index.open(index_dir) as index:
        assert index.columns.names == ()


def test_the_file_is_the_same_whatever_the_order_of_imports(
    tmp_path: Path, index_dir: Path, catalogue: Path, color_embedder: Any
) -> None:
    rows = [
        {"path": "a.png", "title": "Zebra", "price": 3, "brand": "Acme"},
        {"path": "b.png", "brand": "lynx", "price": 1.5, "title": "ant"},
        {"path": "sub/d.png", "title": "Ärmel", "new": True},
    ]
    take(index_dir, *rows)
    before = file_of(index_dir).read_bytes()
    other = tmp_path / "other"
    build(catalogue, other, color_embedder)
    for name in ("new", "title", "brand", "price"):
        take(other, *({"path": row["path"], name: row.get(name)} for row in reversed(rows)))
    assert file_of(other).read_bytes() == before
    assert verify(index_dir).is_whole


def test_the_mask_of_an_attribute_is_what_matches(
    many: Path, tmp_path: Path, color_embedder: Any
) -> None:
    build(many, tmp_path / "index", color_embedder)
    with Index.open(tmp_path / "index") as index:
        for position in range(len(index.manifest.vocabulary)):
            mask = index.mask(position)
            assert (mask.dtype, mask.shape) == (np.uint8, (7,))
            bits = np.unpackbits(mask, bitorder="little")
            assert bits.nonzero()[0].tolist() == index.matching([position]).tolist()


def test_an_index_of_an_earlier_format_is_brought_up_to_date(
    index_dir: Path, color_embedder: Any
) -> None:
    take(index_dir, {"path": "a.png", "price": 1})
    for mend in (
        lambda: update(index_dir, color_embedder),
        lambda: repair(index_dir, lambda: color_embedder),
    ):
        folder = file_of(index_dir).parent
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["format"] = 2
        del manifest["files"][FILE]
        (folder / "manifest.json").write_text(json.dumps(manifest))
        (folder / FILE).unlink()
        with pytest.raises(CatalogueError, match=r"has format 2.*'finetag-index repair'"):
            Index.open(index_dir)
        mend()
        assert column(index_dir, "price") == {"a.png": 1}
        assert verify(index_dir).is_whole
    assert color_embedder.embedded == 5


names = st.text(max_size=4) | st.sampled_from(["price", "__metadata__", "numbers:x", "group"])
cells = (
    st.text(min_size=1, max_size=3)
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.lists(st.text(max_size=2), max_size=2)
)
tables = st.lists(st.dictionaries(names, cells, max_size=4), min_size=1, max_size=9)


def saved(path: Path, fields: list[dict[str, Any]]) -> Columns:
    builder = ColumnBuilder(len(fields), {"group"})
    for row, each in enumerate(fields):
        builder.add(row, each)
    builder.save(path)
    return Columns(path, len(fields), path.parent)


@settings(deadline=None)
@given(fields=tables)
def test_columns_say_what_was_added(
    tmp_path_factory: pytest.TempPathFactory, fields: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("columns") / FILE
    columns = saved(path, fields)
    check_columns(columns, fields, {"group"})
    parts = load_file(path)  # by the library, which knows nothing of this file
    for name in columns.names:
        if columns.has_numbers(name):
            np.testing.assert_array_equal(parts[f"numbers:{name}"], columns.numbers(name))
        if columns.has_texts(name):
            np.testing.assert_array_equal(parts[f"codes:{name}"], columns.texts(name).codes)
            values = json.loads(parts[f"values:{name}"].tobytes())
            held = [
                list(each) if isinstance(each, tuple) else each for each in columns.texts(name).held
            ]
            assert values == held


def test_a_number_beyond_float64_is_infinite(tmp_path: Path) -> None:
    columns = saved(tmp_path / FILE, [{"n": 10**400}, {"n": -(10**400)}, {"n": 2**53 + 1}])
    assert columns.numbers("n").tolist() == [math.inf, -math.inf, 2**53]


def test_columns_are_read_only_and_texts_are_decoded_once(tmp_path: Path) -> None:
    columns = saved(tmp_path / FILE, [{"n": 1, "t": "x"}, {}])
    assert columns.texts("t") is columns.texts("t")
    arrays = [columns.numbers("n"), columns.numbers("no"), columns.texts("t").codes]
    assert not any(array.flags.writeable for array in arrays)


def test_no_damage_leads_to_anything_but_one_line(tmp_path: Path) -> None:
    rows = [{"n": 1, "t": "x", "größe": "y"}, {"n": 2.5, "t": "z", "s": ["x", "y"]}, {}]
    saved(tmp_path / FILE, rows)
    good = (tmp_path / FILE).read_bytes()
    chance = random.Random(1)
    damaged = [good[:size] for size in range(len(good))]
    for at in range(len(good)):
        changed = bytearray(good)
        changed[at] ^= 1 << chance.randrange(8)
        damaged.append(bytes(changed))
    refusals = []
    for data in damaged:
        (tmp_path / FILE).write_bytes(data)
        try:
            columns = Columns(tmp_path / FILE, 3, tmp_path)
            for name in columns.names:
                assert columns.numbers(name).shape == (3,)
                texts = columns.texts(name)
                assert len([texts.held[code] for code in texts.codes if code >= 0]) <= 3
        except CatalogueError as error:
            refusals.append(str(error))
    assert len(refusals) >= len(good)  # all that are cut short; a changed digit is but a digit
    assert all(f"{FILE} cannot be read; mend it with" in line for line in refusals)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=rf"{FILE}: .*[Nn]o such file.*repair"):
        Columns(tmp_path / FILE, 3, tmp_path)
