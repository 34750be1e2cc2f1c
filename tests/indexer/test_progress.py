"""How far a long command has come, on a terminal and in a log; and how it is asked to stop."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from finetag_model.errors import Stopped
from indexer import progress

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Put the time of progress into a test's hands; return what lets it pass."""
    now = 1000.0

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(progress, "monotonic", lambda: now)
    return wait


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """Return the lines on stderr since it was last asked; stdout must stay clean."""

    def lines() -> list[str]:
        said = capsys.readouterr()
        assert said.out == ""
        return said.err.splitlines()

    return lines


def test_a_log_gets_a_line_every_ten_seconds_with_rate_and_time_left(
    clock: Callable[[float], None], log: Callable[[], list[str]]
) -> None:
    with progress.shown("indexing") as show:
        show(0, 10_000)
        clock(9.9)
        show(990, 10_000)
        assert log() == []
        clock(0.1)
        show(1_000, 10_000)
        assert log() == ["indexing: 1,000 of 10,000 files, 100/s, 1:30 left"]
        clock(5)
        show(1_400, 10_000)
        assert log() == []
        clock(5)
        show(2_000, 1_000_000)
        assert log() == ["indexing: 2,000 of 1,000,000 files, 100/s, 2:46:20 left"]
        clock(10)
        show(10_000, 10_000)
        assert log() == ["indexing: 10,000 of 10,000 files, 333/s, 0:00 left"]


def test_what_was_done_before_tells_no_rate(
    clock: Callable[[float], None], log: Callable[[], list[str]]
) -> None:
    with progress.shown("indexing") as show:
        clock(60)
        show(5_000, 6_000)
        assert log() == ["indexing: 5,000 of 6,000 files, 0/s"]
        clock(10)
        show(5_100, 6_000)
        assert log() == ["indexing: 5,100 of 6,000 files, 10/s, 1:30 left"]


def test_where_nobody_knows_how_much_there_is_no_time_left_is_told(
    clock: Callable[[float], None], log: Callable[[], list[str]]
) -> None:
    with progress.shown("importing", "rows") as show:
        show(0, None)
        clock(10)
        show(5_000, None)
        assert log() == ["importing: 5,000 rows, 500/s"]


def test_each_phase_has_a_rate_of_its_own(
    clock: Callable[[float], None], log: Callable[[], list[str]]
) -> None:
    with progress.shown("indexing") as show:
        show(0, 100)
        clock(10)
        show(100, 100)
        assert log() == ["indexing: 100 of 100 files, 10/s, 0:00 left"]
        show(0, 100, "writing vectors")
        clock(10)
        show(50, 100, "writing vectors")
        assert log() == ["writing vectors: 50 of 100 rows, 5/s, 0:10 left"]


def test_a_terminal_gets_a_bar_with_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    screen = io.StringIO()
    console = Console(
        file=screen, force_terminal=True, width=100, get_time=lambda: now, _environ={}
    )
    monkeypatch.setattr(progress, "progress_console", lambda: console)
    with progress.shown("indexing") as show:
        show(0, 10_000)
        for done in (1_000, 2_000):
            now += 10
            show(done, 10_000)
    last = screen.getvalue().rpartition("indexing")[2]
    assert "━" in last
    assert "2000/10000" in last
    assert "100/s" in last
    assert "0:01:20" in last
    assert screen.getvalue().endswith("\x1b[2K")  # and nothing of it stays


def test_a_block_that_is_asked_to_stop_may_still_finish() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with progress.stoppable() as should_stop:
        assert not should_stop()
        signal.raise_signal(signal.SIGTERM)
        assert should_stop()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_gets_the_exit_code_of_the_signal(number: signal.Signals) -> None:
    def stop() -> None:
        with progress.stoppable():
            signal.raise_signal(number)
            raise Stopped("stopped")

    with pytest.raises(Stopped) as stopped:
        stop()
    assert stopped.value.exit_code == 128 + number


# The command itself, with a model that stops at its third batch until a line comes.
BUILD = """
import runpy, sys
from indexer import cli

embedder = runpy.run_path("tests/conftest.py")["ColorEmbedder"]()
embed = embedder.embed

def wait_at_the_third_batch(pixels):
    if embedder.embedded == 32:
        print("at the third batch", flush=True)
        sys.stdin.readline()
    return embed(pixels)

embedder.embed = wait_at_the_third_batch
cli.load_embedder = lambda model, runtime: embedder
cli.main()
"""
FINISHING = "finishing the batch; Ctrl-C again stops at once\n"


@contextmanager
def building(catalogue: Path, index_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the command in a session of its own, as in a terminal; give it at its third batch."""
    with subprocess.Popen(
        [sys.executable, "-c", BUILD, "build", catalogue, "--index", index_dir],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "at the third batch\n"
            yield process
        finally:
            process.kill()


def ask_to_stop(process: subprocess.Popen[str], number: signal.Signals) -> None:
    # Ctrl-C reaches every process that belongs to the command; SIGTERM whom it is sent to.
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "ctrl-c"]
)
def test_a_build_that_is_asked_to_stop_finishes_its_batch_and_goes_on_later(
    many: Path, tmp_path: Path, number: signal.Signals, exit_code: int
) -> None:
    with building(many, tmp_path / "index") as process:
        assert process.stderr is not None
        ask_to_stop(process, number)
        assert process.stderr.readline() == FINISHING
        said, complaint = process.communicate("\n")
    assert (process.returncode, said) == (exit_code, "")
    assert complaint == (
        "error: stopped, with 48 of 50 files done and kept; "
        "run the same command again to go on from there\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", BUILD, "build", many, "--index", tmp_path / "index"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "50 images indexed" in done.stdout
    assert "50 new, 0 changed" in done.stdout
    assert "2 images embedded" in done.stdout


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT], ids=["term", "ctrl-c"])
def test_a_second_ctrl_c_stops_at_once(many: Path, tmp_path: Path, first: signal.Signals) -> None:
    with building(many, tmp_path / "index") as process:
        assert process.stderr is not None
        ask_to_stop(process, first)
        assert process.stderr.readline() == FINISHING
        ask_to_stop(process, signal.SIGINT)
        said, complaint = process.communicate()
    assert (process.returncode, said, complaint) == (130, "", "error: interrupted\n")
