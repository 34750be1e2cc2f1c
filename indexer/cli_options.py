"""What the commands of `finetag-index` share: options, exit codes, how a report is printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from indexer.progress import shown, stoppable

FOUND_DAMAGE = 1

PathArgument = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])


def _database_option(description: str) -> Callable[[F], F]:
    # FINETAG_DATABASE is read by `database`, for it is meant for new indexes: an index that lies
    # elsewhere goes on without it, and only who names another database outright is refused.
    return click.option("--database", metavar="URL", help=description)


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the report as one JSON object."
)
new_database_option = _database_option(
    "Keep a new index's SQL in this PostgreSQL database, such as "
    "postgresql+psycopg://user@host/name.  [default: the one in FINETAG_DATABASE, or else SQLite "
    "in the folder of the index]"
)
database_option = _database_option(
    "The URL of the index's PostgreSQL database, for a password that it has."
)


class Report(Protocol):
    """What all commands print."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for programs."""
        ...

    def as_text(self) -> str:
        """Return it for people."""
        ...


def index_option(description: str) -> Callable[[F], F]:
    """Return the option that names the index."""
    return click.option(
        "--index",
        "index_dir",
        type=PathArgument,
        metavar="FOLDER",
        envvar="FINETAG_INDEX",
        help=description,
    )


existing_index_option = index_option("The index.  [default: the nearest .finetag upwards]")


@contextmanager
def watched(what: str) -> Iterator[dict[str, Any]]:
    """Give a long command what shows its progress and what stops it."""
    with stoppable() as should_stop, shown(what) as progress:
        yield {"progress": progress, "should_stop": should_stop}


def print_report(report: Report, as_json: bool) -> None:
    """Print a report for programs or for people."""
    click.echo(json.dumps(report.as_dict(), indent=2) if as_json else report.as_text())


def exit_if(condition: object, code: int) -> None:
    """End the program with a code if something is so."""
    if condition:
        sys.exit(code)
