"""Any sequence of changes and commands: database, generation and folder agree after each."""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from PIL import Image

from finetag_model.errors import DataError
from indexer import Index, build
from indexer.building import add, update
from indexer.compacting import compact
from indexer.removing import delete_images
from tests.conftest import PALETTE, ColorEmbedder
from tests.indexer.rows import check_generation, read_database

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexer import BuildReport

NAMES = [f"{folder}{name}.png" for folder in ("", "x/", "x/y/") for name in "abc"]
BAD = b"no image"

names = st.sampled_from(NAMES)


class Changes(RuleBasedStateMachine):
    """A catalogue folder and its index, beside plain dictionaries of what they should hold.

    Attributes:
        files: the folder: by path, the content and the time of change.
        indexed: what the last command should have left in the index, alike.
        ids: those of the indexed images; `used` are all there ever were.
        embedded: the contents that need not be embedded again.
        deleted: the paths that updates pass over.
    """

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory()
        self.root = Path(self._temporary.name).resolve() / "catalogue"
        self.root.mkdir()
        self.index_dir = self.root.with_name("index")
        self.embedder = ColorEmbedder()
        self.clock = itertools.count(1_000_000_000_000_000_000, 1_000_000_000)
        self.contents = _contents(self.root.parent)
        self.files: dict[str, tuple[bytes, int]] = {}
        self.indexed: dict[str, tuple[bytes, int]] = {}
        self.ids: dict[str, int] = {}
        self.used: set[int] = set()
        self.embedded: set[bytes] = set()
        self.deleted: set[str] = set()

    def teardown(self) -> None:
        self._temporary.cleanup()

    # What happens to the folder.

    @rule(name=names, which=st.integers(0, 4))
    def write(self, name: str, which: int) -> None:
        content, when = self.contents[which], next(self.clock)
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(when, when))
        self.files[name] = (content, when)

    @rule(old=names, new=names)
    def rename(self, old: str, new: str) -> None:
        if old in self.files and old != new:
            (self.root / new).parent.mkdir(parents=True, exist_ok=True)
            (self.root / old).rename(self.root / new)
            self.files[new] = self.files.pop(old)

    @rule(name=names)
    def remove(self, name: str) -> None:
        if self.files.pop(name, None):
            (self.root / name).unlink()

    @rule(name=names)
    def touch(self, name: str) -> None:
        if name in self.files:
            content, _ = self.files[name]
            when = next(self.clock)
            os.utime(self.root / name, ns=(when, when))
            self.files[name] = (content, when)

    # What is done to the index.

    @rule()
    def build(self) -> None:
        self._take_all(lambda: build(self.root, self.index_dir, self.embedder))

    @precondition(lambda self: self.indexed)
    @rule()
    def update(self) -> None:
        self._take_all(lambda: update(self.index_dir, self.embedder))

    @precondition(lambda self: self.indexed)
    @rule(some=st.sets(names, min_size=1, max_size=3))
    def add(self, some: set[str]) -> None:
        chosen = {name: self.files[name] for name in some if name in self.files}
        good = _images(chosen)
        if not good:
            return
        report = add([self.root / name for name in chosen], self.index_dir, self.embedder)
        self.deleted -= chosen.keys()
        assert [each.path for each in report.skipped] == sorted(chosen.keys() - good.keys())
        assert (report.images, report.moved, report.gone) == (len(good), 0, 0)
        self._check({**self.indexed, **good}, report, moved=0)

    @rule(name=names)
    def delete(self, name: str) -> None:
        if name not in self.indexed:
            return
        if len(self.indexed) == 1:
            with pytest.raises(DataError):
                delete_images(self.index_dir, [name])
            return
        assert delete_images(self.index_dir, [name]).deleted == (name,)
        self.deleted.add(name)
        self._agree({each: file for each, file in self.indexed.items() if each != name}, moved=0)

    @precondition(lambda self: self.indexed)
    @rule()
    def compact(self) -> None:
        compact(self.index_dir)
        self._agree(self.indexed, moved=0)

    def _take_all(self, command: Callable[[], BuildReport]) -> None:
        found = {name: file for name, file in self.files.items() if name not in self.deleted}
        now = _images(found)
        if not now:
            with pytest.raises(DataError):
                command()
            return
        report = command()
        assert [each.path for each in report.skipped] == sorted(found.keys() - now.keys())
        gone = [self.indexed[name][0] for name in self.indexed.keys() - now.keys()]
        new = [now[name][0] for name in now.keys() - self.indexed.keys()]
        moved = sum(min(gone.count(each), new.count(each)) for each in set(gone))
        assert (report.images, report.moved) == (len(now), moved)
        assert report.gone == len(gone) - moved
        self._check(now, report, moved)

    def _check(self, now: dict[str, tuple[bytes, int]], report: BuildReport, moved: int) -> None:
        kept = now.keys() & self.indexed.keys()
        new = now.keys() - kept
        assert report.new == len(new) - moved
        assert report.changed == sum(now[name][0] != self.indexed[name][0] for name in kept)
        assert report.embedded == len({each for each, _ in now.values()} - self.embedded)
        assert report.published == (now != self.indexed)
        self._agree(now, moved)

    def _agree(self, now: dict[str, tuple[bytes, int]], moved: int) -> None:
        """Check database and generation, row by row, against what they should hold now."""
        kept = now.keys() & self.indexed.keys()
        new = now.keys() - kept
        with closing(Index.open(self.index_dir)) as index:
            with read_database(self.index_dir) as connection:
                check_generation(connection, index)
            records = index.images(range(index.rows))
        assert {
            record.path: (record.content_hash, record.bytes, record.mtime_ns) for record in records
        } == {
            name: (hashlib.sha256(content).hexdigest(), len(content), when)
            for name, (content, when) in now.items()
        }
        ids = {record.path: record.id for record in records}
        assert all(ids[name] == self.ids[name] for name in kept)
        # A new path has the id of a path of the same content that is gone, or one never used.
        content_of = {self.ids[name]: content for name, (content, _) in self.indexed.items()}
        taken_over = [name for name in new if ids[name] in self.used]
        assert len(taken_over) == moved
        assert all(content_of[ids[name]] == now[name][0] for name in taken_over)
        assert len(set(ids.values())) == len(ids)
        self.indexed, self.ids = now, ids
        self.used |= set(ids.values())
        self.embedded = {content for content, _ in now.values()}


def _contents(folder: Path) -> list[bytes]:
    """Return the bytes of four different pictures, and of what is none."""
    made = []
    for color in list(PALETTE.values())[:4]:
        Image.new("RGB", (12, 10), color).save(folder / "made.png")
        made.append((folder / "made.png").read_bytes())
    return [*made, BAD]


def _images(files: dict[str, tuple[bytes, int]]) -> dict[str, tuple[bytes, int]]:
    return {name: file for name, file in files.items() if file[0] != BAD}


@pytest.mark.usefixtures("database")
def test_after_any_changes_the_index_holds_what_the_files_say() -> None:
    run_state_machine_as_test(
        Changes, settings=settings(max_examples=15, stateful_step_count=15, deadline=None)
    )
