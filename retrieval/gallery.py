"""An answer as one page for the browser: pictures inside, nothing fetched, no script.

A picture that can no longer be read becomes a placeholder; it never costs the page.
"""

from __future__ import annotations

import base64
import io
import os
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from finetag_model.errors import FineTagError, ImageError, UsageError
from finetag_model.files import replacing
from finetag_model.images import load_rgb
from retrieval.answer import Answer
from retrieval.listing import summary
from retrieval.query import QueryImage, as_source, name_of

THUMBNAIL = 400
"""Longest side of an embedded picture in pixels: a card's width on a display of high density."""


def write_gallery(path: Path, answer: Answer, query: QueryImage | None = None) -> None:
    """Write the page of an answer, replacing the file in one step.

    Raises:
        FineTagError: the file cannot be written.
    """
    page = render_gallery(answer, query)
    target = path.resolve()  # a link stays a link
    try:
        if target.exists() and not target.is_file():
            raise FineTagError(f"{path} is not a file; name a file to write with --html")
        with replacing(target) as partial:
            partial.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise FineTagError(
            f"cannot write {path}: {os.strerror(error.errno or 0).lower()}; "
            "name another place with --html"
        ) from None


def render_gallery(answer: Answer, query: QueryImage | None = None) -> str:
    """Return the page of an answer as self-contained HTML.

    Args:
        answer: what was found.
        query: the image that was searched with, to be shown at the top.
    """
    return _template().render(
        answer=answer,
        summary=summary(answer),
        query=None if query is None else _query(query),
        pictures=[_thumbnail(hit.path) for hit in answer.hits],
    )


def _query(image: QueryImage) -> dict[str, str | None]:
    return {"name": name_of(image), "picture": _thumbnail(image)}


def _thumbnail(image: QueryImage) -> str | None:
    """Return a small JPEG as a data URI, or None if the image cannot be read."""
    try:
        picture = load_rgb(as_source(image), at_least=THUMBNAIL)
    except (ImageError, UsageError):  # the latter, if a URL no longer leads to a public address
        return None
    picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("retrieval"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template("gallery.html")


def _breakable(name: str) -> Markup:
    """Let a long file name wrap where its parts end."""
    return Markup("<wbr>").join(re.split(r"(?<=[-_/ ])", name))
