"""A full disk and damaged files: one line that says what to do, and never a wrong answer."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetag_model.errors import CatalogueError
from indexer import Index, build, generation, vectors
from indexer.columns import ColumnBuilder
from indexer.manifest import FILES
from indexer.seal import is_intact
from tests.databases import sqlite_alone
from tests.indexer.full_disk import no_file_larger_than

QUERY = np.eye(1, 7, dtype=np.float32)


def use(index_dir: Path) -> None:
    with closing(Index.open(index_dir)) as index:
        index.search(np.eye(1, index.manifest.model.visual_dim, dtype=np.float32), 3)
        index.images(range(index.rows))
        for name in index.columns.names:
            index.columns.texts(name)


def refusal(index_dir: Path) -> str:
    """Open and use an index that must be refused; return the line that says why."""
    with pytest.raises(CatalogueError) as caught:
        use(index_dir)
    assert "\n" not in str(caught.value)
    assert str(index_dir) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("size", [0, 100, 500, 1_000, 2_000, 40_000])
def test_a_file_that_cannot_grow_leaves_the_old_generation_serving(
    many: Path,
    index_dir: Path,
    database: str,
    color_embedder: Any,
    holds: Callable[..., Index],
    size: int,
) -> None:
    if size == 40_000 and database == "postgresql":
        pytest.skip("the database is what would grow beyond that, and is not in the folder")
    late = [path.rename(many / f".{path.name}") for path in sorted(many.iterdir())[:45]]
    build(many, index_dir, color_embedder)
    for path in late:
        path.rename(many / path.name[1:])
    with no_file_larger_than(size), pytest.raises(CatalogueError, match="unharmed") as caught:
        build(many, index_dir, color_embedder)
    assert "\n" not in str(caught.value)
    old = Index.open(index_dir)
    assert (old.manifest.generation, len(old.images(range(5)))) == (1, 5)
    assert old.search(QUERY, 9)[0].shape == (1, 5)
    old.close()
    build(many, index_dir, color_embedder)
    holds(index_dir, many, color_embedder)


@pytest.mark.parametrize(
    "where",
    [
        "vectors.write_flat",
        "generation._save",
        "generation._Columns.write",
        "columns.ColumnBuilder.save",
        "generation.fsync",
        "manifest.Manifest.save",
    ],
)
def test_a_full_disk_while_publishing_leaves_the_old_generation_serving(
    catalogue: Path,
    index_dir: Path,
    color_embedder: Any,
    holds: Callable[..., Index],
    where: str,
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    build(catalogue, index_dir, color_embedder)
    (catalogue / "a.png").rename(catalogue / "renamed.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"indexer.{where}", full)
        with pytest.raises(CatalogueError, match="no space left on device") as caught:
            build(catalogue, index_dir, color_embedder)
    assert str(index_dir) in str(caught.value)
    with closing(Index.open(index_dir)) as old:
        assert old.images([0])[0].path == "a.png"
    assert [path.name for path in (index_dir / "generations").iterdir()] == ["1"]
    build(catalogue, index_dir, color_embedder)
    holds(index_dir, catalogue, color_embedder)


@pytest.mark.parametrize("size", [0, 10, 46, -1])
@pytest.mark.parametrize("name", ["visual.faiss", "scores.npy", "fields.safetensors"])
def test_a_file_cut_short_by_a_full_disk_is_an_error_to_the_last_byte(
    tmp_path: Path, name: str, size: int
) -> None:
    def save() -> None:
        if name == "visual.faiss":
            vectors.write_flat(tmp_path / name, 7, 50, [np.ones((50, 7), dtype=np.float32)])
        elif name == "fields.safetensors":
            columns = ColumnBuilder(50, ())
            columns.add(7, {"price": 1, "brand": "Acme"})
            columns.save(tmp_path / name)
        else:
            generation._save(tmp_path / name, np.ones((10, 145), dtype=np.uint8))

    save()
    limit = size if size >= 0 else (tmp_path / name).stat().st_size + size
    with no_file_larger_than(limit), pytest.raises(OSError, match="too large"):
        save()


def test_an_index_that_may_not_be_written_to_can_be_read(
    catalogue: Path, index_dir: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(catalogue, index_dir, color_embedder)
    before = sorted(index_dir.iterdir())
    monkeypatch.setattr(os, "access", lambda *_: False)  # permissions do not keep root out
    index = Index.open(index_dir)
    assert len(index.images(range(5))) == 5
    assert sorted(index_dir.iterdir()) == before


def test_a_file_that_may_not_be_read_is_not_called_damaged(
    catalogue: Path, index_dir: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    build(catalogue, index_dir, color_embedder)
    monkeypatch.setattr(np, "load", refuse)
    line = refusal(index_dir)
    assert "permission denied" in line
    assert "damaged" not in line


def remove(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def garble_start(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(bytes(byte ^ 0x55 for byte in data[:40]) + data[40:])


@pytest.mark.parametrize("damage", [remove, shorten, garble_start])
@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_damaged_generation_is_refused_and_mended_by_a_build(
    catalogue: Path,
    index_dir: Path,
    color_embedder: Any,
    holds: Callable[..., Index],
    name: str,
    damage: Callable[[Path], None],
) -> None:
    build(catalogue, index_dir, color_embedder)
    file = index_dir / "generations" / "1" / name
    if (name, damage) == ("manifest.json", shorten):
        file.write_bytes(file.read_bytes()[:-9])  # the last byte is only the end of the line
    else:
        damage(file)
    if (name, damage) != ("state.json", garble_start):  # nobody reads that one before it is needed
        line = refusal(index_dir)
        assert "is damaged" in line
        assert name in line
        assert "mend it with 'finetag-index repair'" in line
    report = build(catalogue, index_dir, color_embedder)
    assert (report.published, report.embedded, report.generation) == (True, 0, 2)
    holds(index_dir, catalogue, color_embedder)


@pytest.mark.parametrize("name", FILES)
def test_a_build_notices_and_mends_a_single_flipped_bit(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index], name: str
) -> None:
    build(catalogue, index_dir, color_embedder)
    file = index_dir / "generations" / "1" / name
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert build(catalogue, index_dir, color_embedder).published
    holds(index_dir, catalogue, color_embedder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 1),
        ("created", "2020-02-02T02:02:02+00:00"),
        ("metric", "l2"),
        ("generation", 7),
        ("rows", 4),
        ("rows", "5"),
        ("rows", True),
        ("files", {}),
        ("files.visual.faiss", {"bytes": None, "sha256": ""}),
        ("model", {}),
        ("model.visual_dim", 8),
        ("model.thresholds", [0.5]),
        ("model.vocabulary", ["no equals sign"]),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    catalogue: Path, index_dir: Path, color_embedder: Any, key: str, value: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    file = index_dir / "generations" / "1" / "manifest.json"
    fields = json.loads(file.read_text())
    outer, _, inner = key.partition(".")
    if inner:
        fields[outer][inner] = value
    else:
        fields[outer] = value
    file.write_text(json.dumps(fields))
    assert re.search(r"manifest\.json .*; mend it with 'finetag-index repair'", refusal(index_dir))
    assert build(catalogue, index_dir, color_embedder).published


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "another"),
        ("digest", "d1" * 32),
        ("input_size", 9),
        ("thresholds", [0.25] * 10),
        ("vocabulary", [f"upper={i}" for i in range(10)]),
    ],
)
def test_a_build_mends_a_manifest_that_tells_another_model(
    catalogue: Path,
    index_dir: Path,
    color_embedder: Any,
    holds: Callable[..., Index],
    key: str,
    value: Any,
) -> None:
    build(catalogue, index_dir, color_embedder)
    file = index_dir / "generations" / "1" / "manifest.json"
    fields = json.loads(file.read_text())
    fields["model"][key] = value
    file.write_text(json.dumps(fields))
    report = build(catalogue, index_dir, color_embedder)
    assert (report.published, report.embedded) == (True, 0)
    model = holds(index_dir, catalogue, color_embedder).manifest.model
    assert (model.name, model.input_size, model.vocabulary) == (
        color_embedder.model.name,
        color_embedder.model.input_size,
        color_embedder.model.vocabulary,
    )
    assert model.thresholds.tolist() == color_embedder.model.thresholds.tolist()


def test_generations_swapped_between_indexes_are_not_taken_for_each_other(
    catalogue: Path, many: Path, tmp_path: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    build(many, tmp_path / "other", color_embedder)
    mine = index_dir / "generations" / "1"
    shutil.rmtree(mine)
    shutil.copytree(tmp_path / "other" / "generations" / "1", mine)
    assert "is damaged" in refusal(index_dir)
    assert build(catalogue, index_dir, color_embedder).published


@sqlite_alone
def test_a_damaged_database_keeps_serving_and_is_not_built_upon(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    (index_dir / "catalogue.db").write_bytes(b"not a database " * 1000)
    use(index_dir)
    with pytest.raises(CatalogueError, match=r"is damaged.*'finetag-index repair'") as caught:
        build(catalogue, index_dir, color_embedder)
    assert "\n" not in str(caught.value)
    use(index_dir)


@sqlite_alone
def test_the_database_is_sealed_while_nobody_writes(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    assert is_intact(index_dir)
    (catalogue / "a.png").unlink()
    build(catalogue, index_dir, color_embedder)
    assert is_intact(index_dir)
    data = bytearray((index_dir / "catalogue.db").read_bytes())
    data[data.index(b"b.png")] ^= 1
    (index_dir / "catalogue.db").write_bytes(data)
    assert is_intact(index_dir) is False
    (index_dir / "catalogue.db").unlink()
    assert is_intact(index_dir) is False


@sqlite_alone
def test_the_database_is_not_sealed_while_somebody_else_has_it_open(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    """What is in its log by then moves into the file later."""
    build(catalogue, index_dir, color_embedder)
    with closing(sqlite3.connect(index_dir / "catalogue.db")) as database:
        database.execute("SELECT count(*) FROM image").fetchone()
        (catalogue / "a.png").unlink()
        build(catalogue, index_dir, color_embedder)
        assert is_intact(index_dir) is None
    assert is_intact(index_dir) is None
    build(catalogue, index_dir, color_embedder)
    assert is_intact(index_dir)


def test_where_there_is_no_index_the_line_says_how_to_make_one(tmp_path: Path) -> None:
    assert "finetag-index build" in refusal(tmp_path / "nothing")
