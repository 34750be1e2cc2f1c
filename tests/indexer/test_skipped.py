"""Files that cannot be indexed: named, skipped, and tried again."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from indexer import Index, build
from indexer.schema import failure
from tests.indexer.rows import read_database
from tests.indexer.system import cannot_list

OTHER_MODEL = "d1" * 32


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
        with read_database(index_dir) as connection:
            query = select(failure.c.path, failure.c.reason).order_by(failure.c.path)
            return [tuple(row) for row in connection.execute(query)]

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


def test_a_file_too_large_to_be_read_whole_is_skipped(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    with (catalogue / "huge.png").open("wb") as file:
        file.truncate((1 << 30) + 1)
    report = build(catalogue, index_dir, color_embedder)
    assert [(each.path, each.reason) for each in report.skipped] == [
        ("huge.png", "larger than 1,024 MiB")
    ]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_what_the_system_will_not_read_is_skipped(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    # Permissions do not keep root out; reading this file at its start is an error for everybody.
    (catalogue / "b.png").unlink()
    (catalogue / "b.png").symlink_to("/proc/self/mem")
    with cannot_list(catalogue / "sub" / "deeper", errno.EACCES):
        report = build(catalogue, index_dir, color_embedder)
    assert [(each.path, each.reason) for each in report.skipped] == [
        ("b.png", "cannot be read: input/output error"),
        ("sub/deeper", "cannot be read: permission denied"),
    ]
    assert report.images == 3
