"""What a build takes in, and what it leaves out."""

from __future__ import annotations

import os
import shutil
import sqlite3
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
from indexer.lock import build_lock

OTHER_MODEL = "d1" * 32


def touch(path: Path) -> None:
    """Make a file's time of change another, as an edit does."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


def test_nested_folders_are_indexed_and_other_files_are_not(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    (catalogue / "notes.md").write_text("no image")
    hidden = catalogue / ".cache" / "thumbnail.png"
    hidden.parent.mkdir()
    shutil.copy(catalogue / "a.png", hidden)
    shutil.copy(catalogue / "a.png", catalogue / ".a.png")
    done: list[tuple[int, int]] = []
    report = build(
        catalogue, index_dir, color_embedder, progress=lambda *numbers: done.append(numbers)
    )
    hidden.unlink()
    (catalogue / ".a.png").unlink()
    index = holds(index_dir, catalogue, color_embedder)
    assert (report.images, report.new, report.embedded, report.ignored) == (5, 5, 5, 1)
    assert (report.skipped, report.published, report.generation) == ((), True, 1)
    assert done == [(i, 5) for i in range(6)]
    assert index.manifest.created.endswith("+00:00")
    assert index.root == catalogue


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


def test_bad_images_are_named_skipped_and_misalign_nothing(
    catalogue: Path,
    index_dir: Path,
    color_embedder: Any,
    paint: Any,
    holds: Callable[..., Index],
) -> None:
    whole = paint(catalogue / "z.jpg", "red", "red", size=(200, 200)).read_bytes()
    (catalogue / "aa-empty.png").write_bytes(b"")
    (catalogue / "bb-text.jpg").write_text("I am not an image")
    (catalogue / "cc-truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (catalogue / "folder.jpg").mkdir()
    report = build(catalogue, index_dir, color_embedder)
    holds(index_dir, catalogue, color_embedder)
    reasons = {failure.path: failure.reason for failure in report.skipped}
    assert list(reasons) == ["aa-empty.png", "bb-text.jpg", "cc-truncated.jpg"]
    assert "empty" in reasons["aa-empty.png"]
    assert "not an image in a known format" in reasons["bb-text.jpg"]
    assert "damaged" in reasons["cc-truncated.jpg"]
    assert report.images == 6

    (catalogue / "cc-truncated.jpg").write_bytes(whole)
    repaired = build(catalogue, index_dir, color_embedder)
    assert [failure.path for failure in repaired.skipped] == ["aa-empty.png", "bb-text.jpg"]
    assert (repaired.new, repaired.embedded, repaired.duplicates) == (1, 0, 1)
    holds(index_dir, catalogue, color_embedder)


def test_the_database_lists_what_the_last_build_skipped(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    def listed() -> list[tuple[str, str]]:
        with closing(sqlite3.connect(index_dir / "catalogue.db")) as database:
            return database.execute("SELECT path, reason FROM failure ORDER BY path").fetchall()

    bad = catalogue / "bad.png"
    bad.write_text("?")
    skipped = build(catalogue, index_dir, color_embedder).skipped
    assert listed() == [(each.path, each.reason) for each in skipped]
    shutil.copy(catalogue / "a.png", bad)
    build(catalogue, index_dir, color_embedder)
    assert listed() == []


def test_an_image_that_gets_damaged_leaves_the_index(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    build(catalogue, index_dir, color_embedder)
    (catalogue / "b.png").write_bytes((catalogue / "b.png").read_bytes()[:60])
    report = build(catalogue, index_dir, color_embedder)
    assert (report.images, report.gone, report.embedded) == (4, 1, 0)
    assert [each.path for each in report.skipped] == ["b.png"]
    holds(index_dir, catalogue, color_embedder)


def test_names_that_are_shown_alike_are_both_skipped(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    (catalogue / "caf\\xe9.png").write_text("?")
    Path(os.fsdecode(os.fsencode(catalogue) + b"/caf\xe9.png")).write_text("?")
    report = build(catalogue, index_dir, color_embedder)
    assert [each.path for each in report.skipped] == ["caf\\xe9.png"] * 2
    assert report.images == 5


def test_a_file_too_large_to_be_read_whole_is_skipped(
    catalogue: Path, index_dir: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (catalogue / "huge.png").open("wb") as file:
        file.truncate((1 << 30) + 1)
    monkeypatch.setattr(Path, "read_bytes", _read_small)
    report = build(catalogue, index_dir, color_embedder)
    assert [(each.path, each.reason) for each in report.skipped] == [
        ("huge.png", "larger than 1,024 MiB")
    ]


def _read_small(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(1 << 20)
    assert len(data) < 1 << 20
    return data


def test_a_catalogue_folder_that_cannot_be_listed_is_named(
    catalogue: Path, index_dir: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    listdir = os.listdir

    def refuse(path: Path) -> list[str]:
        if path == catalogue:
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    build(catalogue, index_dir, color_embedder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", refuse)
        with pytest.raises(DataError, match=f"{catalogue} cannot be read: permission denied"):
            build(catalogue, index_dir, color_embedder)
    assert Index.open(index_dir).rows == 5


def test_a_catalogue_folder_with_an_undecodable_name_is_refused(
    tmp_path: Path, index_dir: Path, color_embedder: Any
) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    with pytest.raises(DataError, match=r"caf.*is not valid UTF-8; rename it"):
        build(folder, index_dir, color_embedder)
    assert not index_dir.exists()


def test_what_the_system_will_not_read_is_skipped(
    catalogue: Path, index_dir: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Permissions do not keep root out, so refuse in the system's stead.
    read_bytes, listdir = Path.read_bytes, os.listdir

    def read(path: Path) -> bytes:
        if path.name == "b.png":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    def list_folder(path: Path) -> list[str]:
        if path.name == "deeper":
            raise OSError(5, "Input/output error", str(path))
        return listdir(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    monkeypatch.setattr(os, "listdir", list_folder)
    report = build(catalogue, index_dir, color_embedder)
    assert [(each.path, each.reason) for each in report.skipped] == [
        ("b.png", "cannot be read: permission denied"),
        ("sub/deeper", "cannot be read: input/output error"),
    ]
    assert report.images == 3


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
    monkeypatch.setattr("indexer.decode._bytes", None)
    report = build(catalogue, index_dir, color_embedder)
    assert color_embedder.embedded == 5
    assert (report.generation, report.published, report.unchanged) == (1, False, 5)
    assert (index_dir / "generations" / "1" / "manifest.json").read_bytes() == before


def test_a_new_time_of_change_alone_publishes_nothing(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    touch(catalogue / "a.png")
    report = build(catalogue, index_dir, color_embedder)
    assert (report.published, report.unchanged, report.stages.hash.images) == (False, 5, 1)
    assert build(catalogue, index_dir, color_embedder).stages.hash.images == 0
    assert color_embedder.embedded == 5


def test_changed_moved_and_deleted_files(
    catalogue: Path,
    index_dir: Path,
    color_embedder: Any,
    paint: Any,
    holds: Callable[..., Index],
) -> None:
    build(catalogue, index_dir, color_embedder)
    before = {each.path: each.id for each in Index.open(index_dir).images(range(5))}
    touch(paint(catalogue / "a.png", "white", "white"))
    (catalogue / "b.png").rename(catalogue / "sub" / "moved.png")
    (catalogue / "c.png").unlink()
    report = build(catalogue, index_dir, color_embedder)
    after = {
        each.path: each.id for each in holds(index_dir, catalogue, color_embedder).images(range(4))
    }
    assert (report.new, report.changed, report.unchanged, report.gone) == (1, 1, 2, 2)
    assert report.embedded == 1  # a moved file is not embedded again
    assert after["a.png"] == before["a.png"]
    assert after["sub/moved.png"] not in before.values()  # an id is never given again


def test_another_model_embeds_everything_and_the_old_one_serves_until_then(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    build(catalogue, index_dir, color_embedder)
    successor = type(color_embedder)(digest=OTHER_MODEL)
    seen = []

    def progress(_done: int, _total: int) -> None:
        index = Index.open(index_dir)
        index.images(range(index.rows))
        seen.append((index.manifest.generation, index.manifest.model.digest))

    report = build(catalogue, index_dir, successor, progress=progress)
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
        (lambda path: (path.mkdir(), (path / "a.jpg").write_text("?")), "none of the 1 image"),
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
    with build_lock(index_dir), pytest.raises(CatalogueError, match="another build"):
        build(catalogue, index_dir, color_embedder)
    assert build(catalogue, index_dir, color_embedder).unchanged == 5


@pytest.mark.parametrize("seed", range(4))
def test_after_any_changes_the_index_holds_what_the_files_say(
    tmp_path: Path,
    index_dir: Path,
    color_embedder: Any,
    paint: Any,
    holds: Callable[..., Index],
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    colors = ("red", "green", "blue", "grey", "white")
    catalogue = tmp_path / "catalogue"
    paint(catalogue / "first.png", "red", "red")
    ids: dict[str, int] = {}
    used: set[int] = set()
    for _ in range(6):
        for _ in range(random.integers(0, 6)):
            folder, number = random.choice(["", "x", "x/y"]), random.integers(8)
            path = catalogue / folder / f"{number}.{random.choice(['png', 'jpg'])}"
            match random.choice(["paint", "paint", "damage", "delete", "move"]):
                case "paint":
                    paint(path, *random.choice(colors, 2), size=tuple(random.integers(9, 40, 2)))
                case "damage":
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(random.bytes(30))
                case "delete":
                    path.unlink(missing_ok=True)
                case "move" if path.exists():
                    path.rename(catalogue / f"moved{number}{path.suffix}")
        before, had = color_embedder.embedded, dict(ids)
        report = build(catalogue, index_dir, color_embedder)
        index = holds(index_dir, catalogue, color_embedder)
        ids = {record.path: record.id for record in index.images(range(index.rows))}
        kept = ids.keys() & had.keys()
        assert all(ids[path] == had[path] for path in kept)
        assert not used & {ids[path] for path in ids.keys() - kept}
        used |= set(ids.values())
        assert (report.images, report.new) == (len(ids), len(ids.keys() - kept))
        assert report.gone == len(had.keys() - kept)
        assert report.embedded == color_embedder.embedded - before
        assert len(report.skipped) + len(ids) == sum(map(Path.is_file, catalogue.rglob("*")))
