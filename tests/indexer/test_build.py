"""What a build makes of the files it finds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from finetag_model.embedder import Embedding
from finetag_model.errors import CatalogueError, CheckpointError, DataError
from indexer import Index, build
from indexer.lock import writer_lock

OTHER_MODEL = "d1" * 32


def touch(path: Path) -> None:
    """Make a file's time of change another, as an edit does."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


def test_a_rotated_photograph_gets_the_embedding_of_the_upright_one(
    tmp_path: Path, index_dir: Path, color_embedder: Any, paint: Any
) -> None:
    catalogue = tmp_path / "catalogue"
    upright = Image.open(paint(tmp_path / "upright.png", "red", "blue", size=(640, 480)))
    sideways = upright.transpose(Image.Transpose.ROTATE_90)
    catalogue.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    for suffix in ("jpg", "tif", "png", "webp"):
        sideways.save(catalogue / f"rotated.{suffix}", exif=exif, lossless=True, quality=95)
        upright.save(catalogue / f"upright.{suffix}", lossless=True, quality=95)
    build(catalogue, index_dir, color_embedder)
    index = Index.open(index_dir)
    position = index.manifest.vocabulary.position("upper=red")
    assert index.scores(position).min() > 240
    records = index.images(range(index.rows))
    assert {(record.width, record.height) for record in records} == {(640, 480)}
    half = index.rows // 2
    for position in range(len(index.manifest.vocabulary)):
        scores = index.scores(position).astype(int)
        assert np.abs(scores[:half] - scores[half:]).max() <= 8  # as JPEG loses colours


def test_the_same_bytes_twice_are_embedded_once_and_both_indexed(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    shutil.copy(catalogue / "a.png", catalogue / "sub" / "again.png")
    report = build(catalogue, index_dir, color_embedder)
    assert (report.images, report.embedded, report.duplicates) == (6, 5, 1)
    assert color_embedder.embedded == 5
    holds(index_dir, catalogue, color_embedder)


def test_a_second_build_without_changes_embeds_and_publishes_nothing(
    catalogue: Path, index_dir: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(catalogue, index_dir, color_embedder)
    before = (index_dir / "generations" / "1" / "manifest.json").read_bytes()
    # Not even opened: size and time of change are enough.
    monkeypatch.setattr("indexer.building.read_all", None)
    report = build(catalogue, index_dir, color_embedder)
    assert (color_embedder.embedded, report.stages.hash.images) == (5, 0)
    assert (report.generation, report.published, report.unchanged) == (1, False, 5)
    assert (index_dir / "generations" / "1" / "manifest.json").read_bytes() == before


def test_a_file_with_a_new_time_of_change_alone_is_read_once_more_and_not_embedded(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    build(catalogue, index_dir, color_embedder)
    touch(catalogue / "a.png")
    report = build(catalogue, index_dir, color_embedder)
    assert (report.unchanged, report.embedded, report.stages.hash.images) == (5, 0, 1)
    holds(index_dir, catalogue, color_embedder)  # the new time too
    assert build(catalogue, index_dir, color_embedder).stages.hash.images == 0


def test_changed_moved_and_deleted_files(
    catalogue: Path,
    index_dir: Path,
    color_embedder: Any,
    paint: Any,
    holds: Callable[..., Index],
) -> None:
    build(catalogue, index_dir, color_embedder)
    with closing(Index.open(index_dir)) as index:
        before = {each.path: each.id for each in index.images(range(5))}
    touch(paint(catalogue / "a.png", "white", "white"))
    (catalogue / "b.png").rename(catalogue / "sub" / "moved.png")
    (catalogue / "c.png").unlink()
    report = build(catalogue, index_dir, color_embedder)
    after = {
        each.path: each.id for each in holds(index_dir, catalogue, color_embedder).images(range(4))
    }
    assert (report.new, report.changed, report.moved, report.unchanged) == (0, 1, 1, 2)
    assert (report.gone, report.embedded) == (1, 1)  # a moved file is not embedded again
    assert after["a.png"] == before["a.png"]
    assert after["sub/moved.png"] == before["b.png"]


def test_files_that_move_keep_their_ids_though_they_are_alike(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    """Three of one content: one stays, two move, and a fourth is new."""
    for name in ("k.png", "l.png"):
        shutil.copy(catalogue / "a.png", catalogue / name)
    build(catalogue, index_dir, color_embedder)
    with closing(Index.open(index_dir)) as index:
        before = {each.path: each.id for each in index.images(range(7))}
    (catalogue / "k.png").rename(catalogue / "sub" / "x.png")
    (catalogue / "l.png").rename(catalogue / "sub" / "y.png")
    shutil.copy(catalogue / "a.png", catalogue / "z.png")
    report = build(catalogue, index_dir, color_embedder)
    index = holds(index_dir, catalogue, color_embedder)
    after = {each.path: each.id for each in index.images(range(8))}
    assert (report.images, report.moved, report.new, report.gone) == (8, 2, 1, 0)
    assert (report.embedded, report.duplicates) == (0, 3)
    moved = {after["sub/x.png"], after["sub/y.png"]}
    assert moved == {before["k.png"], before["l.png"]}
    assert after["z.png"] not in before.values()


def test_files_that_swap_their_names_keep_their_ids_with_the_names(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    build(catalogue, index_dir, color_embedder)
    with closing(Index.open(index_dir)) as index:
        before = {each.path: each.id for each in index.images(range(5))}
    (catalogue / "a.png").rename(catalogue / "aside")
    (catalogue / "b.png").rename(catalogue / "a.png")
    (catalogue / "aside").rename(catalogue / "b.png")
    report = build(catalogue, index_dir, color_embedder)
    index = holds(index_dir, catalogue, color_embedder)
    assert {each.path: each.id for each in index.images(range(5))} == before
    assert (report.changed, report.embedded) == (2, 0)


def test_an_id_is_never_given_again(
    catalogue: Path, index_dir: Path, color_embedder: Any, paint: Any
) -> None:
    used: set[int] = set()
    for color in ("red", "green", "blue"):
        paint(catalogue / "a.png", "white", color, size=(10 + len(used), 9))
        build(catalogue, index_dir, color_embedder)
        with closing(Index.open(index_dir)) as index:
            id_ = index.images([0])[0].id
        assert id_ not in used
        used.add(id_)
        (catalogue / "a.png").unlink()
        build(catalogue, index_dir, color_embedder)


def test_another_model_is_refused_unless_it_is_asked_for(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    build(catalogue, index_dir, color_embedder)
    other = type(color_embedder)(digest=OTHER_MODEL)
    (catalogue / "a.png").unlink()
    with pytest.raises(CatalogueError, match=r"c0c0c0.*d1d1d1.*--model.*--reembed") as caught:
        build(catalogue, index_dir, other)
    assert "\n" not in str(caught.value)
    assert other.embedded == 0
    build(catalogue, index_dir, color_embedder)
    holds(index_dir, catalogue, color_embedder)


def test_another_model_embeds_everything_and_the_old_one_serves_until_then(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    build(catalogue, index_dir, color_embedder)
    successor = type(color_embedder)(digest=OTHER_MODEL)
    seen = []

    def progress(_done: int, _total: int | None, _phase: str = "") -> None:
        with closing(Index.open(index_dir)) as index:
            index.images(range(index.rows))
            seen.append((index.manifest.generation, index.manifest.model.digest))

    report = build(catalogue, index_dir, successor, reembed=True, progress=progress)
    assert set(seen) == {(1, color_embedder.model.digest)}
    assert (report.generation, report.unchanged) == (2, 5)
    assert successor.embedded == 5
    holds(index_dir, catalogue, successor)  # also: no row of the old model is left


def test_numbers_that_cannot_be_indexed_are_refused(
    catalogue: Path, index_dir: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = color_embedder.embed

    def not_finite(pixels: Any) -> Embedding:
        made = embed(pixels)
        made.visual[1] = np.nan
        return Embedding(made.scores, made.visual)

    monkeypatch.setattr(color_embedder, "embed", not_finite)
    with pytest.raises(CheckpointError, match="color-halves"):
        build(catalogue, index_dir, color_embedder)
    monkeypatch.setattr(color_embedder, "embed", lambda pixels: embed(pixels[:-1]))
    with pytest.raises(CheckpointError, match="color-halves"):
        build(catalogue, index_dir, color_embedder)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b""), "is a file"),
        (lambda path: path.mkdir(), "no image"),
        (
            lambda path: (path.mkdir(), (path / "a.jpg").write_text("?")),
            "a.jpg cannot be read: .*; nothing was indexed",
        ),
    ],
    ids=["missing", "file", "empty", "no readable image"],
)
def test_a_catalogue_without_images_is_refused_and_publishes_nothing(
    tmp_path: Path, index_dir: Path, color_embedder: Any, make: Callable[..., Any], message: str
) -> None:
    make(tmp_path / "catalogue")
    with pytest.raises(DataError, match=message) as caught:
        build(tmp_path / "catalogue", index_dir, color_embedder)
    assert "\n" not in str(caught.value)
    with pytest.raises(CatalogueError):
        Index.open(index_dir)


def test_a_catalogue_that_lost_all_its_images_leaves_the_old_index_serving(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    shutil.rmtree(catalogue)
    catalogue.mkdir()
    with pytest.raises(DataError, match="no image"):
        build(catalogue, index_dir, color_embedder)
    assert len(Index.open(index_dir).images(range(5))) == 5


def test_an_index_is_of_one_catalogue(
    catalogue: Path, many: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    with pytest.raises(CatalogueError, match=f"is the index of {catalogue}, .*--index"):
        build(many, index_dir, color_embedder)


def test_a_folder_with_other_things_in_it_is_not_taken_for_an_index(
    catalogue: Path, tmp_path: Path, color_embedder: Any
) -> None:
    mine = tmp_path / "mine"
    (mine / "generations" / "7").mkdir(parents=True)
    (mine / "diary.txt").write_text("dear")
    with pytest.raises(CatalogueError, match=r"not an index.*diary\.txt.*--index"):
        build(catalogue, mine, color_embedder)
    assert (mine / "generations" / "7").is_dir()
    with pytest.raises(CatalogueError, match="is a file"):
        build(catalogue, mine / "diary.txt", color_embedder)


def test_two_builds_at_a_time_are_refused(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    with writer_lock(index_dir), pytest.raises(CatalogueError, match="another command"):
        build(catalogue, index_dir, color_embedder)
    assert build(catalogue, index_dir, color_embedder).unchanged == 5
