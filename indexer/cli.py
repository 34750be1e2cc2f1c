"""`finetag-index`: parses the command line, calls `build`, shows progress and the report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from finetag_model.console import Group, progress_console
from finetag_model.embedder import Runtime, load_embedder
from indexer.locate import index_to_build

if TYPE_CHECKING:
    from indexer.building import BuildReport
    from indexer.building import Progress as Callback

FINISHED_WITH_FAILURES = 3
_SHOWN = 20  # failures listed in the report
_LOG_EVERY = 10.0  # seconds between log lines where there is no terminal


@click.group(cls=Group)
def main() -> None:
    """Make and keep the index of a catalogue folder."""


@main.command()
@click.argument("catalogue", type=click.Path(path_type=Path))
@click.option(
    "--index",
    "index_dir",
    type=click.Path(path_type=Path),
    envvar="FINETAG_INDEX",
    help="Folder of the index; by default the nearest .finetag upwards, or a new one here.",
)
@click.option(
    "--model", type=click.Path(path_type=Path), help="Checkpoint; by default the one shipped."
)
@click.option(
    "--runtime",
    type=click.Choice(["auto", "onnx", "torch"]),
    default="auto",
    show_default=True,
    help="auto: torch where there is a GPU, ONNX Runtime elsewhere.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def build(
    catalogue: Path, index_dir: Path | None, model: Path | None, runtime: Runtime, as_json: bool
) -> None:
    """Index the images in CATALOGUE and its subfolders.

    Run it again after the folder has changed: only new images are looked at. Images that
    cannot be read are listed and skipped; the exit code is then 3.
    """
    # Building brings FAISS, SQL and Pillow; --help should not wait for them.
    from indexer import building  # noqa: PLC0415

    folder = index_to_build(index_dir)
    with _progress() as progress:
        report = building.build(catalogue, folder, load_embedder(model, runtime), progress=progress)
    if as_json:
        click.echo(json.dumps({"index": str(folder.absolute()), **asdict(report)}))
    else:
        _show(report, folder)
    if report.failures:
        raise SystemExit(FINISHED_WITH_FAILURES)


@contextmanager
def _progress() -> Iterator[Callback]:
    """Show progress on stderr: a bar on a terminal, now and then a line elsewhere."""
    console = progress_console()
    if console.is_terminal:
        columns = (
            TextColumn("indexing"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.speed:.0f} images/s"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("indexing")
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        yield _Log(console)


class _Log:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = time.monotonic() + _LOG_EVERY

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LOG_EVERY
            click.echo(f"indexed {done:,} of {total:,}", err=True)


def _show(report: BuildReport, index_dir: Path) -> None:
    changes = {
        "new": report.added,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "gone": report.gone,
        "duplicates": report.duplicates,
        "not images": report.ignored,
        "skipped": len(report.failures),
    }
    counts = ", ".join(f"{count:,} {what}" for what, count in changes.items() if count)
    click.echo(f"{report.images:,} images in {index_dir}: {counts}")
    spent = [f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items()]
    if report.embedded:
        rate = report.embedded / max(report.seconds["embed"], 1e-9)
        spent.append(f"network {rate:.0f} images/s")
    click.echo(", ".join(spent))
    for failure in report.failures[:_SHOWN]:
        click.echo(f"skipped {failure.path}: {failure.reason}")
    if len(report.failures) > _SHOWN:
        more = len(report.failures) - _SHOWN
        click.echo(f"and {more:,} more; finetag-index build --json lists all")
