"""How an answer looks in a terminal and in a pipe: the same words, boxed on a terminal only.

Names and numbers are never cut: a pipe gets lines as long as they must be, and so does a
terminal too narrow for the table. The page for a browser is in `gallery`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from finetag_model.console import printable
from retrieval.answer import Answer, Hit

NARROWEST_NAME = 24
"""The table is drawn only where a file name gets this many columns to wrap in."""

_UNBOUNDED = 100_000


def print_answer(answer: Answer, console: Console) -> None:
    """Print one hit a line, best first, and below them how they were found."""
    if answer.hits:
        table = _table(answer, boxed=True)
        if not (console.is_terminal and _narrowest(answer, table, console) <= console.width):
            table = _table(answer, boxed=False)
            console.width = _natural(table, console)
        console.print(table)
    console.print(Text(summary(answer), style="dim"), soft_wrap=True)


def print_attributes(
    groups: Sequence[tuple[str, Sequence[tuple[str, int]]]], console: Console
) -> None:
    """Print each attribute as `--attr` takes it, and how many images have it."""
    names = [f"{group}={value}" for group, values in groups for value, _ in values]
    width = max(map(len, names), default=0)
    for i, (group, values) in enumerate(groups):
        if i:
            console.print()
        for value, count in values:
            blanks = " " * (width - len(f"{group}={value}"))
            line = Text.assemble((f"{group}=", "dim"), value, f"{blanks}  {count:>9,}")
            console.print(line, soft_wrap=True)


def summary(answer: Answer) -> str:
    """Return the line that says how many were found, in what way and in what time."""
    if answer.hits:
        found = f"{len(answer.hits):,} of {answer.total:,} matches"
    else:
        found = f"nothing found: {answer.reason}"
    return f"{found} · {answer.plan} · {sum(answer.milliseconds.values()):,.1f} ms"


def _table(answer: Answer, *, boxed: bool) -> Table:
    table = Table(box=SIMPLE_HEAD if boxed else None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("image", overflow="fold")
    if answer.hits[0].similarity is not None:
        table.add_column("similarity", justify="right", no_wrap=True)
    for name in answer.where:
        heading = name.replace("=", "\n") if boxed else name
        table.add_column(Text(heading), justify="right", no_wrap=True)
    shows_alike = any(hit.near_duplicates for hit in answer.hits)
    if shows_alike:
        table.add_column("alike", justify="right", no_wrap=True)
    for hit in answer.hits:
        alike = [Text(f"+{hit.near_duplicates:,}" if hit.near_duplicates else "")]
        table.add_row(*_cells(hit), *(alike if shows_alike else []))
    return table


def _cells(hit: Hit) -> list[Text]:
    numbers = [] if hit.similarity is None else [hit.similarity]
    return [
        Text(str(hit.rank), style="dim"),
        Text(printable(hit.name), style=f"link {hit.path.as_uri()}"),
        *(Text(f"{number:.3f}") for number in [*numbers, *hit.attributes.values()]),
    ]


def _natural(table: Table, console: Console) -> int:
    options = console.options.update(width=_UNBOUNDED)
    return Measurement.get(console, options, table).maximum


def _narrowest(answer: Answer, table: Table, console: Console) -> int:
    longest = max(cell_len(printable(hit.name)) for hit in answer.hits)
    return _natural(table, console) - max(0, longest - NARROWEST_NAME)
