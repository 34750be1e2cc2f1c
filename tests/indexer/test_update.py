"""An index looked after over time: updated, added to, moved, and deleted from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert

from finetag_model.errors import CatalogueError, DataError, UsageError
from indexer import Index, build
from indexer.building import add, update
from indexer.schema import excluded, image
from indexer.writer import open_writer


def ids(index_dir: Path) -> dict[str, int]:
    with closing(Index.open(index_dir)) as index:
        return {record.path: record.id for record in index.images(range(index.rows))}


def exclude(index_dir: Path, path: str) -> None:
    """Enter a file as deleted from the index."""
    with open_writer(index_dir) as writer, writer.changing() as connection:
        connection.execute(insert(excluded).values(path=path))


def test_an_update_finds_what_a_build_of_the_folder_would(
    catalogue: Path, index_dir: Path, color_embedder: Any, paint: Any, holds: Callable[..., Index]
) -> None:
    build(catalogue, index_dir, color_embedder)
    paint(catalogue / "new.png", "red", "white")
    (catalogue / "a.png").unlink()
    report = update(index_dir, color_embedder)
    assert (report.images, report.new, report.gone, report.embedded) == (5, 1, 1, 1)
    holds(index_dir, catalogue, color_embedder)


def test_an_update_needs_an_index_and_its_folder(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    with pytest.raises(CatalogueError, match=r"there is no index.*finetag-index build"):
        update(index_dir, color_embedder)
    assert not index_dir.exists()
    build(catalogue, index_dir, color_embedder)
    catalogue.rename(catalogue.with_name("away"))
    with pytest.raises(DataError, match=r"does not exist; if it has moved, run .*--moved-to"):
        update(index_dir, color_embedder)
    assert Index.open(index_dir).rows == 5


def test_added_files_are_indexed_and_nothing_else_is_looked_at(
    catalogue: Path, index_dir: Path, color_embedder: Any, paint: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    before = ids(index_dir)
    paint(catalogue / "sub" / "wanted.png", "red", "white")
    paint(catalogue / "not asked for.png", "white", "blue")
    (catalogue / "a.png").unlink()
    report = add([catalogue / "sub" / "wanted.png"], index_dir, color_embedder)
    assert (report.images, report.new, report.gone, report.embedded) == (1, 1, 0, 1)
    after = ids(index_dir)
    assert after.pop("sub/wanted.png") not in before.values()
    assert after == before


def test_a_copy_that_is_added_does_not_take_the_id_of_a_file_that_is_gone(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    """Only a look at the whole folder tells that a file has moved."""
    build(catalogue, index_dir, color_embedder)
    before = ids(index_dir)
    (catalogue / "a.png").rename(catalogue / "aa.png")
    report = add([catalogue / "aa.png"], index_dir, color_embedder)
    assert (report.new, report.moved, report.embedded) == (1, 0, 0)
    assert ids(index_dir)["a.png"] == before["a.png"]


@pytest.mark.parametrize("where", ["outside.png", "catalogue/none.png", "catalogue/sub"])
def test_what_is_no_file_of_the_folder_cannot_be_added(
    catalogue: Path, index_dir: Path, color_embedder: Any, paint: Any, where: str
) -> None:
    build(catalogue, index_dir, color_embedder)
    paint(catalogue.parent / "outside.png", "red", "white")
    with pytest.raises(DataError, match=Path(where).name) as caught:
        add([catalogue.parent / where], index_dir, color_embedder)
    assert "\n" not in str(caught.value)
    assert not build(catalogue, index_dir, color_embedder).published


def test_an_added_file_that_is_no_image_is_skipped_beside_those_that_are(
    catalogue: Path, index_dir: Path, color_embedder: Any, paint: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    (catalogue / "bad.png").write_text("?")
    good = paint(catalogue / "good.png", "red", "white")
    report = add([catalogue / "bad.png", good, good], index_dir, color_embedder)
    assert [each.path for each in report.skipped] == ["bad.png"]
    assert (report.images, report.new) == (1, 1)
    assert len(ids(index_dir)) == 6


def test_files_deleted_from_the_index_stay_away_until_they_are_added_again(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    build(catalogue, index_dir, color_embedder)
    before = ids(index_dir)
    exclude(index_dir, "a.png")
    first = build(catalogue, index_dir, color_embedder)
    assert (first.images, first.excluded, first.gone) == (4, 1, 1)
    again = update(index_dir, color_embedder)
    assert (again.published, again.excluded, again.unchanged) == (False, 1, 4)
    assert list(ids(index_dir)) == list(before)[1:]

    back = add([catalogue / "a.png"], index_dir, color_embedder)
    assert (back.images, back.new) == (1, 1)
    assert ids(index_dir)["a.png"] not in before.values()
    assert update(index_dir, color_embedder).excluded == 0
    holds(index_dir, catalogue, color_embedder)


def test_a_copy_of_a_deleted_file_is_another_file(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    with open_writer(index_dir) as writer, writer.changing() as connection:
        connection.execute(insert(excluded).values(path="a.png"))
        connection.execute(delete(image).where(image.c.path == "a.png"))
    shutil.copy(catalogue / "a.png", catalogue / "copy.png")
    report = build(catalogue, index_dir, color_embedder)
    assert (report.new, report.excluded) == (1, 1)
    assert list(ids(index_dir)) == ["b.png", "c.png", "copy.png", "sub/d.png", "sub/deeper/e.png"]


def test_a_catalogue_that_has_moved_keeps_its_ids_and_is_not_embedded_again(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    build(catalogue, index_dir, color_embedder)
    before = ids(index_dir)
    there = catalogue.rename(catalogue.with_name("there"))
    with pytest.raises(CatalogueError, match=f"is the index of {catalogue}.*--moved-to {there}"):
        build(there, index_dir, color_embedder)
    report = build(there, index_dir, color_embedder, moved=True)
    assert (report.unchanged, report.embedded, report.stages.hash.images) == (5, 0, 0)
    holds(index_dir, there, color_embedder)
    assert ids(index_dir) == before


@pytest.mark.parametrize("url", ["sqlite:///mine.db", "no url", "mysql://host/name"])
def test_only_a_postgresql_database_can_be_named(
    catalogue: Path, tmp_path: Path, color_embedder: Any, url: str
) -> None:
    with pytest.raises(UsageError, match="--database is not the URL of a PostgreSQL database"):
        build(catalogue, tmp_path / "index", color_embedder, database=url)
    with pytest.raises(CatalogueError):
        Index.open(tmp_path / "index")


def test_an_index_stays_in_its_database_whatever_the_environment_says(
    catalogue: Path,
    tmp_path: Path,
    color_embedder: Any,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    holds: Callable[..., Index],
) -> None:
    monkeypatch.setenv("FINETAG_DATABASE", postgres_url)
    build(catalogue, tmp_path / "remote", color_embedder)
    monkeypatch.delenv("FINETAG_DATABASE")
    build(catalogue, tmp_path / "local", color_embedder)
    for folder, other in (("remote", "postgresql://elsewhere/x"), ("local", postgres_url)):
        with pytest.raises(CatalogueError, match=r"keeps its database in .*; leave --database out"):
            build(catalogue, tmp_path / folder, color_embedder, database=other)
    (catalogue / "a.png").unlink()
    build(catalogue, tmp_path / "remote", color_embedder)  # found without being told
    holds(tmp_path / "remote", catalogue, color_embedder)
    monkeypatch.setenv("FINETAG_DATABASE", postgres_url)
    build(catalogue, tmp_path / "local", color_embedder)
    holds(tmp_path / "local", catalogue, color_embedder)
    assert not (tmp_path / "remote" / "catalogue.db").exists()
    assert (tmp_path / "local" / "catalogue.db").exists()


@pytest.mark.parametrize("in_front", [True, False])
def test_a_password_is_never_written_down(
    catalogue: Path, tmp_path: Path, color_embedder: Any, postgres_url: str, in_front: bool
) -> None:
    named = postgres_url.replace("user=finetag", "")
    url = (
        named.replace("///", "//finetag:secret@/")
        if in_front
        else f"{postgres_url}&password=secret"
    )
    build(catalogue, tmp_path / "index", color_embedder, database=url)
    assert all(b"secret" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert update(tmp_path / "index", color_embedder, database=url).unchanged == 5
    assert update(tmp_path / "index", color_embedder).unchanged == 5


def test_a_server_that_does_not_answer_is_one_line(
    catalogue: Path, tmp_path: Path, color_embedder: Any
) -> None:
    url = f"postgresql:///name?host={tmp_path}"
    with pytest.raises(CatalogueError, match="cannot use the index") as caught:
        build(catalogue, tmp_path / "index", color_embedder, database=url)
    assert "\n" not in str(caught.value)
