"""Files that hang or crash the process that reads them: it costs that file and nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from finetag_model.errors import DataError
from indexer import Index, build, readers

# Python runs this in every process that finds it on its path: in those that read files.
PLUGIN = """
import os, signal, time
from PIL import Image

def hang(file, name):
    time.sleep(600)

def crash(file, name):
    os.kill(os.getpid(), signal.SIGSEGV)

def fail(file, name):
    raise SystemError("a bug in a decoder")

for word, factory in {"HANG": hang, "CRASH": crash, "FAIL": fail}.items():
    start = word.encode()
    Image.register_open(word, factory, lambda data, start=start: data.startswith(start))
"""


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have files read by processes in which some contents hang the decoder, or crash it."""
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "sitecustomize.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path / "plugin")
    own: list[Any] = []
    monkeypatch.setattr(readers, "_all", own)
    monkeypatch.setattr(readers, "_idle", SimpleQueue())
    monkeypatch.setattr(readers, "TIMEOUT", 4.0)
    yield
    for reader in own:
        reader.stop()


@pytest.mark.usefixtures("evil")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"HANG", "reading it took more than 4 s"),
        (b"CRASH", "reading it crashed the decoder"),
    ],
)
def test_a_file_that_harms_its_reader_is_skipped_once_and_let_alone_until_it_changes(
    catalogue: Path,
    index_dir: Path,
    color_embedder: Any,
    paint: Any,
    holds: Callable[..., Index],
    content: bytes,
    reason: str,
) -> None:
    (catalogue / "ab.png").write_bytes(content)
    first = build(catalogue, index_dir, color_embedder)
    assert [(each.path, each.reason, each.quarantined) for each in first.skipped] == [
        ("ab.png", reason, True)
    ]
    assert (first.images, first.stages.hash.images) == (5, 6)
    holds(index_dir, catalogue, color_embedder).close()

    paint(catalogue / "new.png", "red", "white")
    second = build(catalogue, index_dir, color_embedder)
    assert [(each.path, each.reason) for each in second.skipped] == [("ab.png", reason)]
    assert (second.images, second.stages.hash.images) == (6, 1)  # the new one alone
    holds(index_dir, catalogue, color_embedder).close()

    paint(catalogue / "ab.png", "red", "blue")
    third = build(catalogue, index_dir, color_embedder)
    assert (third.images, third.skipped) == (7, ())
    holds(index_dir, catalogue, color_embedder)


@pytest.mark.usefixtures("evil")
def test_a_folder_of_harmful_files_alone_is_not_read_twice(
    tmp_path: Path, index_dir: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"HANG")
    with pytest.raises(DataError, match="took more than 4 s"):
        build(tmp_path / "bad", index_dir, color_embedder)
    monkeypatch.setattr(readers, "TIMEOUT", 600.0)  # it would wait, and say so
    with pytest.raises(DataError, match="took more than 4 s"):
        build(tmp_path / "bad", index_dir, color_embedder)


@pytest.mark.usefixtures("evil")
def test_many_files_that_crash_their_readers_cost_no_other_file(
    many: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    for number in range(0, 50, 6):
        (many / f"{number:02}-bad.png").write_bytes(b"CRASH %d" % number)
    report = build(many, index_dir, color_embedder)
    assert (report.images, len(report.skipped), report.embedded) == (50, 9, 50)
    holds(index_dir, many, color_embedder)


@pytest.mark.usefixtures("evil")
def test_a_decoder_that_raises_costs_no_process_and_is_tried_again(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    (catalogue / "ab.png").write_bytes(b"FAIL")
    for _ in range(2):
        report = build(catalogue, index_dir, color_embedder)
        assert [(each.path, each.quarantined) for each in report.skipped] == [("ab.png", False)]
        assert "a bug in a decoder" in report.skipped[0].reason
        assert report.stages.hash.images > 0


@pytest.mark.usefixtures("evil")
def test_readers_that_were_killed_while_idle_cost_no_file(
    catalogue: Path, many: Path, tmp_path: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    processes = [reader._process for reader in readers._all]
    assert processes
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    report = build(many, tmp_path / "other", color_embedder)
    assert (report.images, report.skipped) == (50, ())
