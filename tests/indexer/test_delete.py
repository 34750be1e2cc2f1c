"""Deleting is for good: nothing is left in any file, and updates do not bring an image back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetag_model.errors import DataError
from indexer import Index, build
from indexer.building import add, update
from indexer.compacting import compact
from indexer.importing import import_fields
from indexer.removing import delete_images
from indexer.verifying import verify


@pytest.fixture
def index_dir(tmp_path: Path, database: str, catalogue: Path, color_embedder: Any) -> Path:
    build(catalogue, tmp_path / "index", color_embedder)
    return tmp_path / "index"


def paths(index_dir: Path) -> list[str]:
    with Index.open(index_dir) as index:
        return [each.path for each in index.images(range(index.rows))]


def test_images_are_deleted_by_path_folder_and_id(index_dir: Path, catalogue: Path) -> None:
    with Index.open(index_dir) as index:
        (id_,) = [each.id for each in index.images(range(5)) if each.path == "b.png"]
    report = delete_images(index_dir, [f"{catalogue}/a.png", "sub/"], [id_])
    assert report.deleted == ("a.png", "b.png", "sub/d.png", "sub/deeper/e.png")
    assert report.images == 1
    assert paths(index_dir) == ["c.png"]


def test_a_deleted_image_stays_away_until_it_is_added(
    index_dir: Path, catalogue: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    delete_images(index_dir, ["a.png"])
    report = update(index_dir, color_embedder)
    assert (report.images, report.excluded, report.published) == (4, 1, False)
    assert "1 file passed over" in report.as_text()
    report = add([catalogue / "a.png"], index_dir, color_embedder)
    assert (report.new, report.embedded) == (1, 1)
    holds(index_dir, catalogue, color_embedder)
    assert update(index_dir, color_embedder).excluded == 0


def test_nothing_of_a_deleted_image_is_left_in_any_file(
    tmp_path: Path, index_dir: Path, catalogue: Path
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("path,title\na.png,a secret title\n")
    import_fields(table, index_dir)
    with Index.open(index_dir) as index:
        record, vector = index.images([0])[0], index.vectors(0, 1).tobytes()
    secrets = [b"a secret title", record.content_hash.encode(), vector]
    kept = b"".join(path.read_bytes() for path in index_dir.rglob("*") if path.is_file())
    assert all(secret in kept for secret in secrets[:2] if b"SQLite" in kept)
    del index
    delete_images(index_dir, ["a.png"])
    left = b"".join(path.read_bytes() for path in index_dir.rglob("*") if path.is_file())
    assert not any(secret in left for secret in secrets)


@pytest.mark.parametrize("wrong", [["nowhere.png"], ["a.png", "sub/nothing"], [""]])
def test_what_is_not_there_cannot_be_deleted_and_nothing_is(
    index_dir: Path, wrong: list[str]
) -> None:
    with pytest.raises(DataError, match="there is no image"):
        delete_images(index_dir, wrong)
    with pytest.raises(DataError, match="no image with the id 77"):
        delete_images(index_dir, ["a.png"], [77])
    assert len(paths(index_dir)) == 5


def test_the_last_image_cannot_be_deleted(index_dir: Path) -> None:
    with pytest.raises(DataError, match="would leave no image"):
        delete_images(index_dir, ["a.png", "b.png", "c.png", "sub"])
    assert len(paths(index_dir)) == 5


def test_compacting_gives_space_back(
    index_dir: Path, many: Path, tmp_path: Path, color_embedder: Any
) -> None:
    folder = tmp_path / "large"
    build(many, folder, color_embedder)
    delete_images(folder, [f"{number:02}.png" for number in range(1, 50)])
    report = compact(folder)
    assert report.after <= report.before
    assert paths(folder) == ["00.png"]
    assert verify(folder).is_whole


@pytest.mark.parametrize("outside", ["elsewhere/x.png", "catalogue/gone.png", "catalogue/sub"])
def test_only_files_of_the_catalogue_can_be_added(
    tmp_path: Path, index_dir: Path, color_embedder: Any, paint: Any, outside: str
) -> None:
    paint(tmp_path / "elsewhere" / "x.png", "red", "red")
    with pytest.raises(DataError, match=r"not in the catalogue|cannot be read|not a file"):
        add([tmp_path / outside], index_dir, color_embedder)
    assert len(paths(index_dir)) == 5


def test_paths_may_be_as_the_shell_completes_them(
    index_dir: Path, catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(catalogue.parent)
    assert delete_images(index_dir, ["catalogue/a.png"]).deleted == ("a.png",)
    monkeypatch.chdir(catalogue / "sub")
    assert delete_images(index_dir, ["d.png"]).deleted == ("sub/d.png",)
    assert delete_images(index_dir, ["../c.png"]).deleted == ("c.png",)
    for nothing in ("", ".", "..", "./"):  # what an unset variable of a script leaves
        with pytest.raises(DataError, match="there is no image"):
            delete_images(index_dir, [nothing])
    monkeypatch.chdir(catalogue)
    assert delete_images(index_dir, ["b.png"]).images == 1


def test_a_path_below_the_catalogue_comes_before_one_of_the_working_folder(
    index_dir: Path, catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(catalogue / "sub")
    assert delete_images(index_dir, ["sub"]).deleted == ("sub/d.png", "sub/deeper/e.png")
