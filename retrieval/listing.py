"""How an answer looks in a terminal and in a pipe: the same words, boxed on a terminal only.

Names and numbers are never cut: headings are folded where a terminal is narrow, a pipe gets lines
as long as they must be, and so does a terminal too narrow for the table. The page for a browser
is in `gallery`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from finetag_model.console import printable
from retrieval.answer import Answer, Explanation, Hit
from retrieval.facets import Facet

NARROWEST_NAME = 24
"""The table is drawn only where a file name gets this many columns to wrap in."""

MOST_TELLING = 5
"""Attributes of an explanation that are shown; JSON has them all."""

_UNBOUNDED = 100_000

_FOLDS = {"plain": "", "boxed": "=", "narrow": "=_ "}
"""By the form of a table, the characters of a heading for which a new line begins."""

Thumbnail = Callable[[Path], RenderableType]


def print_answer(
    answer: Answer,
    console: Console,
    *,
    fields: Sequence[str] = (),
    thumbnail: Thumbnail | None = None,
) -> None:
    """Print one hit a line, best first; below them why, the counts, and how they were found.

    Args:
        answer: what was found.
        console: where to.
        fields: imported fields to show beside each hit.
        thumbnail: makes a small picture of a file, if they are to be shown.
    """
    if answer.hits:
        _print_table(lambda form: _hits(answer, fields, thumbnail, form), answer, console)
    below = [_explanations(answer.hits)] if any(hit.explanation for hit in answer.hits) else []
    below += [_facets(answer.facets)] if answer.facets else []
    for table in below:
        _print_below(table, console)
    if below:
        console.print()
    console.print(Text(summary(answer), style="dim"), soft_wrap=True)
    if answer.next:
        console.print(Text(f"next page: --cursor {answer.next}", style="dim"), soft_wrap=True)


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


def shows_score(answer: Answer) -> bool:
    """Say whether the score says more than the numbers that are shown with it."""
    if any(hit.similarity is not None for hit in answer.hits):
        return any(hit.score != hit.similarity for hit in answer.hits)
    return len(answer.where) > 1 or any(
        abs(hit.score - value) > 0.005 for hit in answer.hits for value in hit.attributes.values()
    )


def label_of(group: str | float | None) -> str:
    """Return what a group of hits is called."""
    if group is None:
        return "none"
    return group if isinstance(group, str) else number_of(group)


def number_of(value: float) -> str:
    """Write an imported number with all its digits, and without a point if it is whole."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _print_table(make: Callable[[str], Table], answer: Answer, console: Console) -> None:
    width = console.width
    tables = map(make, ("boxed", "narrow") if console.is_terminal else ())
    table = next((each for each in tables if _narrowest(answer, each, console) <= width), None)
    if table is None:
        table = make("plain")
        console.width = _natural(table, console)
    console.print(table)
    console.width = width


def _print_below(table: Table, console: Console) -> None:
    width = console.width
    console.width = _natural(table, console)
    console.print()
    console.print(table)
    console.width = width


def _hits(answer: Answer, fields: Sequence[str], thumbnail: Thumbnail | None, form: str) -> Table:
    hits = answer.hits
    columns: list[tuple[str, Callable[[Hit], str]]] = []
    if shows_score(answer):
        columns.append(("score", lambda hit: f"{hit.score:.3f}"))
    if hits[0].similarity is not None:
        columns.append(("similarity", lambda hit: f"{hit.similarity:.3f}"))
    columns += [(name, _probability_of(name)) for name in answer.where]
    columns += [(name, _field_of(name)) for name in fields]
    if any(hit.group is not None or hit.grouped for hit in hits):
        columns.append(("group", lambda hit: label_of(hit.group)))
        columns.append(("others", lambda hit: f"+{hit.grouped:,}" if hit.grouped else ""))
    if any(hit.near_duplicates for hit in hits):
        columns.append(
            ("alike", lambda hit: f"+{hit.near_duplicates:,}" if hit.near_duplicates else "")
        )
    box = None if form == "plain" else SIMPLE_HEAD
    table = Table(box=box, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    if thumbnail:
        table.add_column("")
    table.add_column("image", overflow="fold")
    for name, _ in columns:
        heading = "".join("\n" if c in _FOLDS[form] else c for c in printable(name))
        table.add_column(Text(heading), justify="right", no_wrap=True)
    table.add_column("id", justify="right", no_wrap=True)
    for hit in hits:
        table.add_row(
            Text(str(hit.rank), style="dim"),
            *([thumbnail(hit.path)] if thumbnail else []),
            Text(printable(hit.name), style=f"link {hit.path.as_uri()}"),
            *(Text(printable(value_of(hit))) for _, value_of in columns),
            Text(str(hit.id), style="dim"),
        )
    return table


def _probability_of(name: str) -> Callable[[Hit], str]:
    return lambda hit: f"{hit.attributes[name]:.3f}"


def _field_of(name: str) -> Callable[[Hit], str]:
    def value_of(hit: Hit) -> str:
        value = hit.fields.get(name)
        if isinstance(value, list):
            return ", ".join(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "" if value is None else str(value)
        return number_of(value)

    return value_of


def _explanations(hits: Sequence[Hit]) -> Table:
    """Tell of each hit the attributes that say most; parts are shown where there are some."""
    like = any(hit.similarity is not None for hit in hits)
    has_parts = like and any(hit.score != hit.similarity for hit in hits)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("why", no_wrap=True)
    for name in [*(["query"] if like else []), "hit", *(["part"] if has_parts else [])]:
        table.add_column(name, justify="right", no_wrap=True)
    for hit in hits:
        rows = _why(hit.explanation, like=like, has_parts=has_parts) if hit.explanation else []
        for i, row in enumerate(rows):
            table.add_row(Text("" if i else str(hit.rank), style="dim"), *row)
    return table


def _why(explanation: Explanation, *, like: bool, has_parts: bool) -> list[list[str]]:
    told = explanation.attributes[:MOST_TELLING]
    rest = explanation.attributes[MOST_TELLING:]
    rows = []
    if has_parts:
        rows.append(["looks", "", "", f"{explanation.looks or 0:.3f}"])
    for part in told:
        query = [f"{part.query or 0:.2f}"] if like else []
        rows.append([part.name, *query, f"{part.hit:.2f}"])
        if has_parts:
            rows[-1].append(f"{part.part:.3f}")
    if rest and has_parts:
        rows.append([f"{len(rest)} more", "", "", f"{sum(part.part for part in rest):.3f}"])
    return rows


def _facets(facets: Sequence[Facet]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    for facet in facets:
        for value, count in told(facet) or [("no value", 0)]:
            table.add_row(Text(printable(facet.name)), Text(printable(value)), f"{count:,}")
    return table


def told(facet: Facet) -> list[tuple[str, int]]:
    """Return the values of a facet that some image has, and how many have it.

    Numbers are told as from where to where they reach; values beyond those counted, as one more.
    """
    if facet.kind == "number":
        if facet.least is None or facet.greatest is None:
            return []
        ends = dict.fromkeys(map(number_of, (facet.least, facet.greatest)))
        return [("..".join(ends), facet.images)]
    pairs = [pair for pair in facet.values if pair[1]]
    if facet.kind == "text" and facet.different > len(pairs):
        pairs.append(
            (
                f"{facet.different - len(pairs):,} more values",
                facet.images - sum(count for _, count in pairs),
            )
        )
    return pairs


def _natural(table: Table, console: Console) -> int:
    options = console.options.update(width=_UNBOUNDED)
    return Measurement.get(console, options, table).maximum


def _narrowest(answer: Answer, table: Table, console: Console) -> int:
    longest = max(cell_len(printable(hit.name)) for hit in answer.hits)
    return _natural(table, console) - max(0, longest - NARROWEST_NAME)
