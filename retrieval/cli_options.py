"""The options of `finetag-search`: in what groups, which go together, and how texts are read.

What a search itself refuses is in `request`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from finetag_model.console import Command, printable
from finetag_model.errors import ImageError, UsageError
from retrieval.request import Crop
from retrieval.url import is_url

if TYPE_CHECKING:
    from retrieval.query import QueryImage

STDIN = "-"
_OTHER_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

_GROUPS = {
    "What to find": ("where", "like", "unlike", "crop", "weight", "each", "private_urls"),
    "Which hits": ("limit", "cursor", "min_score", "sort", "dedup", "group_by"),
    "What to tell": ("explain", "heatmap", "facets", "facet_names", "attributes"),
    "How to print": ("thumbnails", "as_json", "jsonl", "paths", "null", "html"),
    "Where to look": ("index", "model", "runtime"),
}
_FORMS = ("as_json", "jsonl", "paths")
_PLACE = {"index", "model", "runtime"}
_WITH_EACH = {"each", "query", "private_urls", "where", "limit", *_FORMS, "null", *_PLACE}
_WITH_ATTRIBUTES = {"attributes", "as_json", *_PLACE}


class SearchCommand(Command):
    """A command whose help shows its options in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        left = {each.name for each in options}.difference(*_GROUPS.values())
        for heading, names in {**_GROUPS, "Help": left}.items():
            records = [each.get_help_record(ctx) for each in options if each.name in names]
            with formatter.section(heading):
                formatter.write_dl([record for record in records if record])


def check_together(context: click.Context) -> None:
    """See that the options that were given make sense together.

    Raises:
        UsageError: they do not.
    """
    given = {
        parameter.name: parameter.opts[-1] if parameter.name != "query" else "QUERY"
        for parameter in context.command.params
        if parameter.name
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }
    if "attributes" in given:
        _refuse(given.keys() - _WITH_ATTRIBUTES, given, "--attributes lists them all; use it")
    if "each" in given:
        _refuse(given.keys() - _WITH_EACH, given, "--each takes QUERY, --attr and --limit; use it")
        if "query" not in given:
            raise UsageError("--each searches for every QUERY on its own, and there is none")
    forms = [given[name] for name in _FORMS if name in given]
    if len(forms) > 1:
        raise UsageError(f"{forms[0]} and {forms[1]} exclude each other; take one of them")
    if "null" in given and "paths" not in given:
        raise UsageError("-0 ends the lines of --paths; give that too")
    if forms:
        _refuse(given.keys() & {"thumbnails"}, given, f"{forms[0]} prints no table; use it")
    if forms and forms != ["--json"] and "html" not in given:
        lost = {"facets", "facet_names"} | ({"explain"} if forms == ["--paths"] else set())
        _refuse(given.keys() & lost, given, f"{forms[0]} has no place for that; use it")


def _refuse(names: Iterable[str], given: Mapping[str, str], reason: str) -> None:
    for name in given:
        if name in names:
            raise UsageError(f"{reason} without {given[name]}")


def read_crop(text: str) -> Crop:
    """Read `x,y,width,height`; whether they lie in the picture is not known here.

    Raises:
        UsageError: it is not four numbers.
    """
    try:
        left, top, width, height = map(float, text.split(","))
    except ValueError:
        raise UsageError(
            f"--crop takes four numbers with commas between them, not {text!r}: 10,20,200,150 in "
            "pixels, or 0.1,0,0.5,1 as shares of width and height"
        ) from None
    return left, top, width, height


def read_weight(text: str) -> float:
    """Read `visual=0.7`, or the same from the other side, `attributes=0.3`; return the former.

    Raises:
        UsageError: it is neither, or not a share.
    """
    name, _, number = text.partition("=")
    try:
        share = float(number)
    except ValueError:
        share = -1
    if name.strip().lower() not in {"visual", "attributes"} or not 0 <= share <= 1:
        raise UsageError(
            f"--weight takes a share from 0 to 1, as visual=0.7 or attributes=0.3, not {text!r}"
        )
    return share if name.strip().lower() == "visual" else round(1 - share, 12)


def read_queries(
    texts: Sequence[str], private: bool, unreadable: list[ImageError] | None = None
) -> Iterator[tuple[int, QueryImage]]:
    """Yield the images that QUERY names, each with its place: of URLs and `-`, what they hold.

    Args:
        texts: as they were given.
        private: whether URLs may lead to addresses that are not public.
        unreadable: takes the errors of URLs that cannot be fetched; None: they are raised.

    Raises:
        UsageError: standard input is asked for twice, is a terminal or is empty; or a URL must
            not be fetched.
        ImageError: a URL cannot be fetched.
    """
    if texts.count(STDIN) > 1:
        raise UsageError("there is one standard input, so give '-' once")
    for place, text in enumerate(texts):
        try:
            yield place, _query(text, private=private)
        except ImageError as error:
            if unreadable is None:
                raise
            unreadable.append(error)


def name_of(text: str) -> str:
    """Return what a QUERY is called in an answer: the absolute path, the URL, or `-`."""
    return text if text == STDIN or is_url(text) else str(Path(text).absolute())


def _query(text: str, *, private: bool) -> QueryImage:
    if is_url(text):
        from retrieval.query import fetched  # noqa: PLC0415  (brings Pillow, HTTP and TLS)

        return fetched(text, private=private)
    if _OTHER_URL.match(text) and not Path(text).exists():
        raise UsageError(
            f"{printable(text)} is an address of neither http nor https; only those are fetched, "
            "so name a file on this machine by its path"
        )
    return _from_stdin() if text == STDIN else Path(text)


def _from_stdin() -> bytes:
    if sys.stdin.isatty():
        raise UsageError(
            "'-' reads an image from standard input, but that is a terminal; pipe one in: "
            "cat query.jpg | finetag-search -"
        )
    data = sys.stdin.buffer.read()
    if not data:
        raise UsageError("standard input is empty; '-' reads an image from it")
    return data
