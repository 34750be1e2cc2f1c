"""The look of the tables that benchmarks print: names on the left, figures on the right."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table


def figures_table(title: str, headings: Sequence[str]) -> Table:
    """Return an empty table; its first column is for names, the others are for figures."""
    table = Table(title=title, title_justify="left")
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table
