"""The command `finetag-index`: it reads options, calls the library and prints a report."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

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

from finetag_model.console import Group, model_option, progress_console, runtime_option
from finetag_model.embedder import Runtime, load_embedder
from indexer.locate import index_to_build

if TYPE_CHECKING:
    from indexer.building import Progress

FINISHED_BUT_SKIPPED = 3
_LOG_EVERY = 10.0  # seconds


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Make a folder of images searchable."""


@main.command("build")
@click.argument("catalogue", type=click.Path(path_type=Path))
@click.option(
    "--index",
    "index_dir",
    type=click.Path(path_type=Path),
    envvar="FINETAG_INDEX",
    help="Folder of the index.  [default: the nearest .finetag upwards, or ./.finetag]",
)
@model_option
@runtime_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def build_command(
    catalogue: Path, index_dir: Path | None, model: Path | None, runtime: Runtime, as_json: bool
) -> None:
    """Index the images in the folder CATALOGUE, or bring its index up to date.

    Only new and changed images are read; a build that was stopped goes on where it was.
    Exits with 3 if it finished but skipped files.
    """
    # Building brings Pillow; whoever asks for help need not wait for it.
    from indexer.building import build  # noqa: PLC0415

    embedder = load_embedder(model, runtime)
    with _progress() as progress:
        report = build(catalogue, index_to_build(index_dir), embedder, progress=progress)
    click.echo(json.dumps(report.as_dict(), indent=2) if as_json else report.as_text())
    if report.skipped:
        sys.exit(FINISHED_BUT_SKIPPED)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show progress on stderr: a bar on a terminal, a line now and then elsewhere."""
    console = progress_console()
    if not console.is_terminal:
        yield _log_lines()
        return
    columns = (TextColumn("indexing"), BarColumn(), MofNCompleteColumn(), _Rate())
    with Bar(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("indexing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _log_lines() -> Progress:
    last = monotonic()

    def log(done: int, total: int) -> None:
        nonlocal last
        if monotonic() - last >= _LOG_EVERY:
            last = monotonic()
            click.echo(f"{done:,} of {total:,} files", err=True)

    return log


class _Rate(ProgressColumn):
    """Files a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")
