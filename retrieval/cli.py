"""The command `finetag-search`: reads its options, asks the library, prints."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from finetag_model.console import Command, model_option, runtime_option
from finetag_model.embedder import Runtime
from finetag_model.errors import UsageError
from retrieval.catalog import Catalog
from retrieval.listing import print_answer, print_attributes

EPILOG = """\b
Examples:
  finetag-search query.jpg
      the 20 images that look most like query.jpg
  finetag-search query.jpg --attr underparts_color=grey
      the same among the images with grey underparts
  finetag-search --attr wing_color=blue --attr size=small --limit 5
      without a query image: the 5 most likely to be both
  finetag-search query.jpg --html found.html
      a page of the pictures, to open in a browser or to send on
  finetag-search query.jpg --json | jq -r '.hits[].path'
      the paths alone, for other programs
  finetag-search --attributes | less
      what can be asked for

\b
Filters (--attr; in quotes, for the shell):
  "wing_color=grey"          has it; case, blank, - and _ are all one
  "wing_color=grey,blue"     has one of them; with != it has none of them
  "wing_color=grey>=0.8"     with a probability of at least 0.8
  "price<50"                 an imported field; also <=, >, >=, = and !=
  "brand~lynx*"              text like a pattern of * and ?, in any case
  "a=b AND (c=d OR NOT e=f)" NOT binds first, then AND, then OR
  "brand='Black and Tan'"    quotes for signs, and for and, or, not as words
An image without a price passes no comparison of it, but every NOT of one.
"""


@click.command(cls=Command, no_args_is_help=True, epilog=EPILOG)
@click.argument("query", required=False, type=click.Path(path_type=Path))
@click.option(
    "--attr",
    "where",
    metavar="FILTER",
    multiple=True,
    help="Only images that pass this filter, such as underparts_color=grey; see below. "
    "Repeated, all must hold.",
)
@click.option(
    "--limit", default=20, show_default=True, metavar="N", help="Show at most this many images."
)
@click.option("--dedup", is_flag=True, help="Of images that look the same, show the best alone.")
@click.option(
    "--attributes", is_flag=True, help="List every attribute, with how many images have it."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write a page with the pictures.",
)
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The index to search; by default FINETAG_INDEX, or the nearest .finetag upwards.",
)
@model_option
@runtime_option
def main(
    *,
    query: Path | None,
    where: tuple[str, ...],
    limit: int,
    dedup: bool,
    attributes: bool,
    as_json: bool,
    html: Path | None,
    index: Path | None,
    model: Path | None,
    runtime: Runtime,
) -> None:
    """Find images that look like QUERY, pass a filter, or both."""
    if attributes and (query or where or html):
        raise UsageError("--attributes lists them all; use it without QUERY, --attr and --html")
    catalog = Catalog.open(index, model=model, runtime=runtime)
    console = Console(highlight=False)
    if attributes:
        groups = catalog.attributes()
        if as_json:
            _print_json({group: dict(values) for group, values in groups})
        else:
            print_attributes(groups, console)
        return
    answer = catalog.search(query, where, limit, dedup=dedup)
    if html:
        from retrieval.gallery import write_gallery  # noqa: PLC0415  (brings Jinja and Pillow)

        write_gallery(html, answer, query)
    if as_json:
        _print_json({"query": str(query.absolute()) if query else None, **answer.as_dict()})
    else:
        print_answer(answer, console)
    if html:
        click.echo(f"wrote {html}", err=True)


def _print_json(value: dict[str, object]) -> None:
    click.echo(json.dumps(value, indent=2))
