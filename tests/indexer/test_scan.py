"""Which files of a catalogue folder are found."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from finetag_model.errors import DataError
from indexer import Index, build
from indexer.scan import Scan
from tests.indexer.system import cannot_list

OTHER_MODEL = "d1" * 32


def test_nested_folders_are_indexed_and_other_files_are_not(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    (catalogue / "notes.md").write_text("no image")
    hidden = catalogue / ".cache" / "thumbnail.png"
    hidden.parent.mkdir()
    shutil.copy(catalogue / "a.png", hidden)
    shutil.copy(catalogue / "a.png", catalogue / ".a.png")
    done: list[tuple[int, int]] = []
    report = build(catalogue, index_dir, color_embedder, progress=lambda *each: done.append(each))
    hidden.unlink()
    (catalogue / ".a.png").unlink()
    index = holds(index_dir, catalogue, color_embedder)
    assert (report.images, report.new, report.embedded, report.ignored) == (5, 5, 5, 1)
    assert (report.skipped, report.published, report.generation) == ((), True, 1)
    assert [each for each in done if len(each) == 2] == [(i, 5) for i in range(6)]
    assert done[-1][:2] == (5, 5)  # and of publishing
    assert index.manifest.created.endswith("+00:00")
    assert index.root == catalogue


@pytest.mark.usefixtures("database")
def test_an_index_inside_the_catalogue_is_not_indexed(catalogue: Path, color_embedder: Any) -> None:
    index_dir = catalogue / "index"
    build(catalogue, index_dir, color_embedder)
    shutil.copy(catalogue / "a.png", index_dir / "generations" / "a.png")
    assert build(catalogue, index_dir, color_embedder).images == 5


def test_links_to_folders_are_followed_but_never_in_a_circle(
    catalogue: Path, tmp_path: Path, index_dir: Path, color_embedder: Any, paint: Any
) -> None:
    paint(tmp_path / "elsewhere" / "f.png", "red", "red")
    (catalogue / "linked").symlink_to(tmp_path / "elsewhere")
    (catalogue / "sub" / "up").symlink_to(catalogue)
    (catalogue / "broken.png").symlink_to(tmp_path / "nowhere.png")
    report = build(catalogue, index_dir, color_embedder)
    assert report.images == 6
    assert [(each.path, each.reason) for each in report.skipped] == [
        ("broken.png", "cannot be read: no such file or directory")
    ]


def test_a_catalogue_folder_that_cannot_be_listed_is_named(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    line = f"{catalogue} cannot be read: permission denied"
    with cannot_list(catalogue, errno.EACCES), pytest.raises(DataError, match=line):
        build(catalogue, index_dir, color_embedder)
    assert Index.open(index_dir).rows == 5


def test_images_in_a_folder_that_cannot_be_listed_for_the_moment_are_kept(
    catalogue: Path,
    index_dir: Path,
    color_embedder: Any,
    holds: Callable[..., Index],
) -> None:
    build(catalogue, index_dir, color_embedder)
    with closing(holds(index_dir, catalogue, color_embedder)) as before:
        ids = {record.path: record.id for record in before.images(range(5))}
    (catalogue / "a.png").unlink()
    with cannot_list(catalogue / "sub", errno.EIO):
        report = build(catalogue, index_dir, color_embedder)
    assert (report.images, report.unreachable, report.gone, report.embedded) == (4, 2, 1, 0)
    assert [(each.path, each.reason) for each in report.skipped] == [
        ("sub", "cannot be read: input/output error")
    ]
    del ids["a.png"]
    with closing(holds(index_dir, catalogue, color_embedder)) as kept:
        assert {record.path: record.id for record in kept.images(range(4))} == ids
    again = build(catalogue, index_dir, color_embedder)
    assert (again.published, again.unchanged, again.skipped) == (False, 4, ())


def test_a_folder_linked_to_many_times_is_indexed_once_by_its_own_path(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    links = [catalogue / f"{number}-link" for number in range(50)]
    for link in links:
        link.symlink_to(catalogue / "sub")
    assert build(catalogue, index_dir, color_embedder).images == 5
    for link in links:
        link.unlink()
    holds(index_dir, catalogue, color_embedder)


def test_folders_that_all_link_to_each_other_are_indexed_once_each(
    tmp_path: Path, paint: Any
) -> None:
    """Followed blindly, the links of thirty folders make more paths than there are atoms."""
    folders = [tmp_path / "maze" / f"{number:02}" for number in range(30)]
    for folder in folders:
        paint(folder / "image.png", "red", "red")
    for folder in folders:
        for other in folders:
            (folder / f"to-{other.name}").symlink_to(other)
    found = [each.path for each in Scan(tmp_path / "maze", tmp_path)]
    assert sorted(found) == [f"{folder.name}/image.png" for folder in folders]


def test_a_catalogue_folder_with_an_undecodable_name_is_refused(
    tmp_path: Path, index_dir: Path, color_embedder: Any
) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    with pytest.raises(DataError, match=r"caf.*is not valid UTF-8; rename it"):
        build(folder, index_dir, color_embedder)
    assert not index_dir.exists()


def test_odd_names_are_kept_and_undecodable_ones_are_skipped(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    odd = ["-rf.png", "näive 🐦.png", "50% 'of\" it.png", "two\nlines.png", "UPPER.PNG", "x..png"]
    for name in odd:
        shutil.copy(catalogue / "a.png", catalogue / name)
    undecodable = os.fsencode(catalogue) + b"/caf\xe9.png"
    shutil.copy(os.fsencode(catalogue / "a.png"), undecodable)
    report = build(catalogue, index_dir, color_embedder)
    assert [each.path for each in report.skipped] == ["caf\\xe9.png"]
    assert "UTF-8" in report.skipped[0].reason
    Path(os.fsdecode(undecodable)).unlink()
    holds(index_dir, catalogue, color_embedder)


def test_a_fifo_named_like_an_image_does_not_hang_the_build(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    os.mkfifo(catalogue / "pipe.png")
    assert build(catalogue, index_dir, color_embedder).ignored == 1


def test_names_that_are_shown_alike_are_both_skipped(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    (catalogue / "caf\\xe9.png").write_text("?")
    Path(os.fsdecode(os.fsencode(catalogue) + b"/caf\xe9.png")).write_text("?")
    report = build(catalogue, index_dir, color_embedder)
    assert [each.path for each in report.skipped] == ["caf\\xe9.png"] * 2
    assert report.images == 5
