"""A snapshot is the whole index as one file, and whatever is wrong with it is noticed."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetag_model.errors import CatalogueError, UsageError
from indexer import Index, build
from indexer.building import update
from indexer.importing import import_fields
from indexer.removing import delete_images
from indexer.snapshot import restore, snapshot
from indexer.verifying import verify


@pytest.fixture
def index_dir(tmp_path: Path, database: str, catalogue: Path, color_embedder: Any) -> Path:
    """Return an index with metadata and a deleted image."""
    folder = tmp_path / "index"
    build(catalogue, folder, color_embedder)
    table = tmp_path / "t.csv"
    table.write_text("path,price,upper\na.png,3,blue\nlater.png,4,\n")
    import_fields(table, folder)
    delete_images(folder, ["b.png"])
    return folder


def known(index_dir: Path) -> list[Any]:
    with Index.open(index_dir) as index:
        columns = (index.folder / "fields.safetensors").read_bytes()
        return [index.images(range(index.rows)), index.vectors(0, index.rows).tolist(), columns]


@pytest.mark.parametrize("name", ["index.tar", "index.tar.gz"])
def test_a_restored_index_is_the_same_in_all(
    tmp_path: Path, index_dir: Path, catalogue: Path, color_embedder: Any, name: str
) -> None:
    taken = snapshot(index_dir, tmp_path / name)
    assert (taken.images, taken.generation) == (4, 3)
    restored = restore(tmp_path / name, tmp_path / "new")
    assert (restored.images, restored.generation) == (4, 1)
    assert known(tmp_path / "new") == known(index_dir)
    assert verify(tmp_path / "new").is_whole
    (catalogue / "later.png").write_bytes((catalogue / "c.png").read_bytes())
    report = update(tmp_path / "new", color_embedder)
    assert (report.excluded, report.new, report.embedded) == (1, 1, 0)
    records = {each.path: each for each in known(tmp_path / "new")[0]}
    assert records["later.png"].fields == {"price": 4}
    assert records["later.png"].id > 5  # ids are not given again


def test_restoring_takes_an_index_back_to_what_it_was(
    tmp_path: Path, index_dir: Path, catalogue: Path, color_embedder: Any
) -> None:
    before = known(index_dir)
    snapshot(index_dir, tmp_path / "s.tar")
    (catalogue / "c.png").unlink()
    update(index_dir, color_embedder)
    reader = Index.open(index_dir)
    assert restore(tmp_path / "s.tar", index_dir).generation == 5
    assert reader.rows == 3
    assert known(index_dir) == before
    assert verify(index_dir).is_whole


def test_a_catalogue_may_lie_elsewhere_when_it_is_restored(
    tmp_path: Path, index_dir: Path, catalogue: Path, color_embedder: Any
) -> None:
    snapshot(index_dir, tmp_path / "s.tar")
    moved = catalogue.rename(tmp_path / "moved")
    restore(tmp_path / "s.tar", tmp_path / "new", root=moved)
    report = update(tmp_path / "new", color_embedder)
    assert (report.unchanged, report.published) == (4, False)
    assert known(tmp_path / "new")[0][0].absolute == moved / "a.png"


def foreign(path: Path) -> None:
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("../../evil")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"evil"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.index(b'"path":"a.png"') + 9
    data[at] ^= 1
    path.write_bytes(data)


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


def a_link(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("current")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)


@pytest.mark.parametrize("damage", [foreign, cut, flip, nothing, gone, a_link])
def test_a_file_that_is_no_whole_snapshot_changes_nothing(
    tmp_path: Path, index_dir: Path, damage: Callable[[Path], None]
) -> None:
    snapshot(index_dir, tmp_path / "s.tar")
    damage(tmp_path / "s.tar")
    before = known(index_dir)
    with pytest.raises(CatalogueError) as caught:
        restore(tmp_path / "s.tar", index_dir)
    assert "\n" not in str(caught.value)
    assert known(index_dir) == before
    assert not list(index_dir.glob("*.partial"))
    assert not (tmp_path / "evil").exists()


def test_a_damaged_index_is_not_taken_for_a_snapshot(tmp_path: Path, index_dir: Path) -> None:
    with Index.open(index_dir) as index:
        file = index.folder / "scores.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\xaa")
    with pytest.raises(CatalogueError, match=r"scores\.npy.*repair"):
        snapshot(index_dir, tmp_path / "s.tar")
    assert not (tmp_path / "s.tar").exists()


def test_a_snapshot_that_does_not_fit_on_the_disk_leaves_the_old_one(
    tmp_path: Path, index_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s.tar").write_bytes(b"old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile, "copyfileobj", full)
    with pytest.raises(CatalogueError, match="no space left on device"):
        snapshot(index_dir, tmp_path / "s.tar")
    assert (tmp_path / "s.tar").read_bytes() == b"old"


def test_a_snapshot_is_named_as_what_it_is(tmp_path: Path, index_dir: Path) -> None:
    for name in ("s.zip", "s.gz", "s"):
        with pytest.raises(UsageError, match=r"does not end in \.tar, \.tar\.gz or \.tgz"):
            snapshot(index_dir, tmp_path / name)
        assert not (tmp_path / name).exists()
    assert "s.tgz (" in snapshot(index_dir, tmp_path / "s.tgz").as_text()
    assert (tmp_path / "s.tgz").read_bytes()[:2] == b"\x1f\x8b"  # gzip
