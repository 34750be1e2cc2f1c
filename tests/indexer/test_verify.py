"""Every flipped bit and every cut in every file is found by `verify` and mended by `repair`."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetag_model.errors import CatalogueError
from indexer import Index, build
from indexer.importing import import_fields
from indexer.removing import delete_images
from indexer.repairing import repair
from indexer.verifying import verify
from indexer.writer import open_writer
from tests.databases import sqlite_alone

# The seal is gone after a kill too; without settings, the database is SQLite's in the folder.
MAY_BE_GONE = {"catalogue.db.sha256", "index.json"}


@pytest.fixture
def index_dir(tmp_path: Path, database: str, many: Path, color_embedder: Any) -> Path:
    """Return an index with metadata and a deleted image."""
    folder = tmp_path / "index"
    build(many, folder, color_embedder)
    table = tmp_path / "table.csv"
    table.write_text(
        "path,price,brand,upper\n01.png,12.5,Acme,grey\n02.png,3,,\nlater.png,4,,red\n"
    )
    import_fields(table, folder)
    delete_images(folder, ["49.png"])
    return folder


def files(index_dir: Path) -> list[Path]:
    return [each for each in sorted(index_dir.rglob("*")) if each.is_file() and each.name != "lock"]


def flip(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def cut(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def remove(path: Path, _: random.Random) -> None:
    path.unlink()


def known(index_dir: Path) -> list[Any]:
    """Return all that searches can see of an index."""
    with Index.open(index_dir) as index:
        rows = range(index.rows)
        scores = [index.scores(position).tobytes() for position in range(10)]
        columns = [
            (name, index.columns.numbers(name).tobytes(), index.columns.texts(name).held)
            for name in index.columns.names
        ]
        return [index.images(rows), scores, index.vectors(0, index.rows).tobytes(), columns]


def test_a_whole_index_has_nothing_wrong(index_dir: Path, color_embedder: Any) -> None:
    found = verify(index_dir, catalogue_files=True)
    assert (found.is_whole, found.catalogue, found.images) == (True, [], 49)
    assert repair(index_dir, lambda: color_embedder).done == ()


@pytest.mark.parametrize("damage", [flip, cut, remove])
@pytest.mark.parametrize("seed", range(2))
def test_damage_to_any_file_is_found_and_mended(
    index_dir: Path, color_embedder: Any, damage: Callable[..., None], seed: int
) -> None:
    before = known(index_dir)
    chance = random.Random(seed)
    for name in [path.name for path in files(index_dir)]:
        (path,) = [each for each in files(index_dir) if each.name == name]
        damage(path, chance)
        if damage is not remove or name not in MAY_BE_GONE:
            assert not verify(index_dir).is_whole, name
        report = repair(index_dir, lambda: color_embedder)
        assert report.after.is_whole, (name, report)
        assert known(index_dir) == before, name
    assert color_embedder.embedded == 50


@pytest.mark.parametrize("file", ["records.jsonl", "scores.npy", "visual.faiss", "manifest.json"])
def test_where_database_and_generation_are_damaged_the_images_are_embedded_again(
    index_dir: Path, color_embedder: Any, file: str
) -> None:
    before = known(index_dir)
    with open_writer(index_dir) as writer:
        uses_sqlite = writer.settings.database is None
        generation = writer.generation
    if not uses_sqlite:
        pytest.skip("PostgreSQL looks after its own files")
    chance = random.Random(1)
    flip(index_dir / "generations" / str(generation) / file, chance)
    flip(index_dir / "catalogue.db", chance)
    report = repair(index_dir, lambda: color_embedder)
    assert report.after.is_whole
    assert any("embedded again" in each for each in report.done)
    assert known(index_dir) == before


def test_an_index_of_which_nothing_is_left_says_so(index_dir: Path, color_embedder: Any) -> None:
    for path in files(index_dir):
        path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(CatalogueError, match=r"restore a snapshot, or delete.*build"):
        repair(index_dir, lambda: color_embedder)


def test_changed_and_missing_image_files_are_found(index_dir: Path, many: Path) -> None:
    (many / "00.png").unlink()
    (many / "01.png").write_bytes(b"another")
    found = verify(index_dir, catalogue_files=True)
    assert found.is_whole
    assert found.catalogue == ["00.png: no such file or directory", "01.png has changed"]


def test_a_row_changed_behind_its_back_is_found(index_dir: Path, color_embedder: Any) -> None:
    before = known(index_dir)
    with open_writer(index_dir) as writer, writer.changing() as connection:
        connection.exec_driver_sql("UPDATE image SET bytes = bytes + 1 WHERE path = '07.png'")
    found = verify(index_dir)
    assert found.database == ["the database does not give records.jsonl as it is published"]
    assert repair(index_dir, lambda: color_embedder).after.is_whole
    assert known(index_dir) == before


def test_where_there_is_no_index_there_is_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="there is no index in"):
        verify(tmp_path)


@sqlite_alone
def test_a_damaged_database_is_not_written_on(
    index_dir: Path, many: Path, color_embedder: Any
) -> None:
    flip(index_dir / "catalogue.db", random.Random(2))
    (many / "00.png").unlink()
    with pytest.raises(CatalogueError, match=r"damaged.*repair"):
        build(many, index_dir, color_embedder)
    assert not verify(index_dir).is_whole
    assert repair(index_dir, lambda: color_embedder).after.is_whole
    assert build(many, index_dir, color_embedder).gone == 1
