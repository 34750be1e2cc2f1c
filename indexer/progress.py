"""How far a command has come, on stderr, and how it is asked to stop.

On a terminal a bar with rate and time left; elsewhere a line now and then, for a log.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

import click
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from finetag_model.console import progress_console
from finetag_model.errors import Stopped
from indexer.control import Progress, ShouldStop

_LOG_EVERY = 10.0  # seconds


@contextmanager
def shown(what: str, unit: str = "files") -> Iterator[Progress]:
    """Show the progress of a block."""
    console = progress_console()
    if not console.is_terminal:
        yield _log_lines(what, unit)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
    with Bar(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        current = ""

        def update(done: int, total: int | None, phase: str = "") -> None:
            nonlocal current
            if phase != current:  # rate and time left begin anew
                current = phase
                bar.reset(task, description=phase or what)
            bar.update(task, completed=done, total=total)

        yield update


def _log_lines(what: str, unit: str) -> Progress:
    start = last = monotonic()
    first: int | None = None
    current = ""

    def log(done: int, total: int | None, phase: str = "") -> None:
        nonlocal start, last, first, current
        now = monotonic()
        if first is None or phase != current:
            start, first, current = now, done, phase  # what was done before tells no rate
        if now - last < _LOG_EVERY:
            return
        last = now
        rate = (done - first) / max(now - start, 1e-3)
        number = f"{done:,}{f' of {total:,}' if total else ''} {'rows' if phase else unit}"
        line = f"{phase or what}: {number}, {rate:,.0f}/s"
        if total and rate:
            line += f", {_duration((total - done) / rate)} left"
        click.echo(line, err=True)

    return log


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class _Rate(ProgressColumn):
    """Done a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


@contextmanager
def stoppable() -> Iterator[ShouldStop]:
    """Let Ctrl-C and SIGTERM end a block at its next good moment; a second Ctrl-C at once.

    Gives the function that says whether to stop; the block answers by raising `Stopped`, which
    gets the exit code that shells expect of the signal.
    """
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)
        click.echo("finishing the batch; Ctrl-C again stops at once", err=True)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    except Stopped as stopped:
        stopped.exit_code = 128 + received[0]
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
