"""The command `finetag-search`: reads its options, asks the library, prints."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from finetag_model.console import (
    FINISHED_BUT_SKIPPED,
    model_option,
    printable,
    runtime_option,
    version_option,
)
from finetag_model.embedder import Runtime
from finetag_model.errors import ImageError
from retrieval.answer import Answer
from retrieval.catalog import Catalog
from retrieval.cli_options import (
    SearchCommand,
    check_together,
    name_of,
    read_crop,
    read_queries,
    read_weight,
)
from retrieval.listing import Thumbnail, print_answer, print_attributes
from retrieval.output import Form, print_each, print_json, print_lines
from retrieval.ranking import sort_field
from retrieval.where import named_fields, read_where

EPILOG = """\b
Examples:
  finetag-search query.jpg
      the 20 images that look most like query.jpg
  finetag-search query.jpg --attr underparts_color=grey
      the same among the images with grey underparts
  finetag-search --attr wing_color=blue --attr size=small --limit 5
      without a query image: the 5 most likely to be both
  finetag-search front.jpg side.jpg --crop 0.2,0.1,0.6,0.8
      like the mean of two pictures, of each its middle
  finetag-search --like 17 --unlike 23 --weight visual=0.7 --explain
      like image 17 and not like 23; attributes count too; and why
  finetag-search --attr "price<50" --sort price --facets
      the cheapest first, and what there is among them
  finetag-search query.jpg --paths -0 | xargs -0 cp -t lookalikes/
      the paths alone, for other programs
  finetag-search new/*.jpg --each --limit 3 --jsonl
      three lookalikes of every picture, in one go
  finetag-search query.jpg --explain --html found.html
      a page of the pictures, to open in a browser or to send on
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


@click.command(cls=SearchCommand, no_args_is_help=True, epilog=EPILOG)
@click.argument("query", nargs=-1)
@click.option(
    "--attr",
    "where",
    metavar="FILTER",
    multiple=True,
    help="Only images that pass this filter, such as underparts_color=grey; see below. "
    "Repeated, all must hold.",
)
@click.option(
    "--like",
    type=int,
    metavar="ID",
    multiple=True,
    help="Like this image of the index too; ids are in the table and in JSON.",
)
@click.option(
    "--unlike", type=int, metavar="ID", multiple=True, help="Not like this image of the index."
)
@click.option(
    "--crop",
    metavar="X,Y,W,H",
    help="Take this part of QUERY, in pixels or as shares of width and height.",
)
@click.option("--each", is_flag=True, help="Search for every QUERY on its own, not for their mean.")
@click.option(
    "--weight",
    metavar="visual=SHARE",
    help="How much looks count, from 0 to 1; the rest is for attributes.  [default: visual=1]",
)
@click.option(
    "--private-urls", is_flag=True, help="Fetch QUERY from a local network too, if it is a URL."
)
@click.option("--min-score", type=float, metavar="X", help="Leave out hits with a lower score.")
@click.option(
    "--limit", default=20, show_default=True, metavar="N", help="Show at most this many images."
)
@click.option(
    "--cursor", metavar="TEXT", help="Go on where the page before ended; it says with what TEXT."
)
@click.option(
    "--sort",
    metavar="FIELD",
    help="Order by an imported field, the least first; after a -, as in -price, the greatest. "
    "With a picture, the best N are ordered, or all that reach --min-score.",
)
@click.option("--dedup", is_flag=True, help="Of images that look the same, show the best alone.")
@click.option(
    "--group-by",
    metavar="NAME",
    help="Of each value of a field or attribute, show the best image alone.",
)
@click.option("--facets", is_flag=True, help="Count the values of all fields and attributes.")
@click.option(
    "--facet",
    "facet_names",
    metavar="NAME",
    multiple=True,
    help="Count the values of this field or attribute among all matches.",
)
@click.option(
    "--explain", is_flag=True, help="Say of each hit which attributes speak for it, and how much."
)
@click.option(
    "--heatmap",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Also write heat maps: where in query and hits the attribute is seen that says most. "
    "Brings --explain.",
)
@click.option(
    "--thumbnails", is_flag=True, help="Show pictures in the table, on terminals that can."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--jsonl", is_flag=True, help="Print the hits as JSON, one a line.")
@click.option("--paths", is_flag=True, help="Print the paths of the hits, one a line.")
@click.option("-0", "--null", is_flag=True, help="End paths with a zero byte, for xargs -0.")
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write a page with the pictures.",
)
@click.option(
    "--attributes", is_flag=True, help="List every attribute, with how many images have it."
)
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The index to search; by default FINETAG_INDEX, or the nearest .finetag upwards.",
)
@model_option
@runtime_option
@version_option
def main(
    *,
    query: tuple[str, ...],
    where: tuple[str, ...],
    like: tuple[int, ...],
    unlike: tuple[int, ...],
    crop: str | None,
    each: bool,
    weight: str | None,
    private_urls: bool,
    min_score: float | None,
    limit: int,
    cursor: str | None,
    sort: str | None,
    dedup: bool,
    group_by: str | None,
    facets: bool,
    facet_names: tuple[str, ...],
    explain: bool,
    heatmap: Path | None,
    thumbnails: bool,
    as_json: bool,
    jsonl: bool,
    paths: bool,
    null: bool,
    html: Path | None,
    attributes: bool,
    index: Path | None,
    model: Path | None,
    runtime: Runtime,
) -> None:
    """Find images that look like QUERY, pass a filter, or both.

    QUERY is a file, - for standard input, or an address on the web; of several, the mean is meant.
    """
    check_together(click.get_current_context())
    area = None if crop is None else read_crop(crop)
    looks = 1.0 if weight is None else read_weight(weight)
    catalog = Catalog.open(index, model=model, runtime=runtime)
    console = Console(highlight=False)
    if attributes:
        groups = catalog.attributes()
        if as_json:
            print_json({group: dict(values) for group, values in groups})
        else:
            print_attributes(groups, console)
        return
    form: Form = "json" if as_json else "jsonl" if jsonl else "paths" if paths else "table"
    unreadable: list[ImageError] = []
    queries = dict(read_queries(query, private_urls, unreadable if each else None))
    names, images = [name_of(query[place]) for place in queries], list(queries.values())
    if each:
        gone: dict[int, ImageError] = {}
        answers = catalog.search_each(images, where, limit, unreadable=gone.__setitem__)
        answered = [name for place, name in enumerate(names) if place not in gone]
        print_each(list(zip(answered, answers, strict=True)), form, console, null=null)
        for error in (*unreadable, *gone.values()):
            click.echo(f"error: {printable(str(error))}", err=True)
        if unreadable or gone:
            sys.exit(FINISHED_BUT_SKIPPED)
        return
    pictures = _thumbnails(console) if thumbnails else None
    answer = catalog.search(
        images,
        where,
        limit,
        like=like,
        unlike=unlike,
        crop=area,
        weight=looks,
        min_score=min_score,
        sort=sort,
        cursor=cursor,
        dedup=dedup,
        group_by=group_by,
        facets=() if facets else facet_names or None,
        explain=explain or heatmap is not None,
    )
    remarks = []
    if html:
        from retrieval.gallery import write_gallery  # noqa: PLC0415  (brings Jinja and Pillow)

        ours = {"like": catalog.paths_of(like), "unlike": catalog.paths_of(unlike)}
        write_gallery(html, answer, images, **ours, crop=area)
        remarks.append(f"wrote {html}")
    if heatmap:
        from retrieval.heatmaps import write_heatmaps  # noqa: PLC0415  (brings Pillow)

        made = write_heatmaps(heatmap, catalog, answer, images, crop=area, model=model)
        remarks.append(str(made))
    if form == "table":
        print_answer(answer, console, fields=_asked_for(catalog, answer, sort), thumbnail=pictures)
    elif form == "json":
        asked = names[0] if len(names) == 1 else names or None
        print_json({"query": asked, "like": like, "unlike": unlike, **answer.as_dict()})
    else:
        print_lines(answer, form, null=null)
    for remark in remarks:
        click.echo(remark, err=True)


def _asked_for(catalog: Catalog, answer: Answer, sort: str | None) -> list[str]:
    """Return the imported fields that the filter and the order go by."""
    index = catalog.index
    where = [answer.filter] if answer.filter else []
    tree = read_where(where, index.manifest.vocabulary, index.columns)
    ordered = [] if sort is None else [sort_field(index, sort)[0]]
    return list(dict.fromkeys([*ordered, *named_fields(tree)]))


def _thumbnails(console: Console) -> Thumbnail | None:
    """Return what makes thumbnails; say so on stderr if the terminal shows none."""
    from retrieval.thumbnails import can_show, thumbnail  # noqa: PLC0415  (brings Pillow)

    if can_show(console):
        return thumbnail
    click.echo(
        "no thumbnails: this is no terminal that shows pictures (by Sixel or Kitty's protocol); "
        "--html writes a page of them",
        err=True,
    )
    return None
