"""An answer as one page for the browser: pictures inside, nothing fetched, no script.

A picture that can no longer be read becomes a placeholder; it never costs the page.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from finetag_model.errors import FineTagError, ImageError, UsageError
from finetag_model.files import plain_write_errors, replacing
from finetag_model.images import load_rgb
from retrieval.answer import Answer
from retrieval.listing import MOST_TELLING, label_of, shows_score, summary, told
from retrieval.query import QueryImage, as_source, cropped, name_of
from retrieval.request import Crop, several

THUMBNAIL = 400
"""Longest side of an embedded picture in pixels: a card's width on a display of high density."""


def write_gallery(
    path: Path,
    answer: Answer,
    queries: QueryImage | Sequence[QueryImage] = (),
    *,
    like: Sequence[Path] = (),
    unlike: Sequence[Path] = (),
    crop: Crop | None = None,
) -> None:
    """Write the page of an answer, replacing the file in one step; see `render_gallery`.

    Raises:
        FineTagError: the file cannot be written.
    """
    page = render_gallery(answer, queries, like=like, unlike=unlike, crop=crop)
    target = path.resolve()  # a link stays a link
    with plain_write_errors(path, "name another place with --html"):
        if target.exists() and not target.is_file():
            raise FineTagError(f"{path} is not a file; name a file to write with --html")
        with replacing(target) as partial:
            partial.write_text(page, encoding="utf-8", errors="replace")


def render_gallery(
    answer: Answer,
    queries: QueryImage | Sequence[QueryImage] = (),
    *,
    like: Sequence[Path] = (),
    unlike: Sequence[Path] = (),
    crop: Crop | None = None,
) -> str:
    """Return the page of an answer as self-contained HTML.

    Args:
        answer: what was found.
        queries: the images that were searched with, to be shown at the top.
        like: files of the index that were searched with.
        unlike: those that hits shall not be like.
        crop: the part of the queries that was meant.
    """
    return _template().render(
        answer=answer,
        summary=summary(answer),
        queries=[
            *(_query(each, crop) for each in several(queries)),
            *(_query(each) for each in like),
        ],
        unlike=[_query(each) for each in unlike],
        pictures=[_thumbnail(hit.path) for hit in answer.hits],
        shows_score=shows_score(answer),
        facets=[(facet, told(facet)) for facet in answer.facets],
        most_telling=MOST_TELLING,
    )


def _query(image: QueryImage, crop: Crop | None = None) -> dict[str, str | None]:
    return {"name": name_of(image), "picture": _thumbnail(image, crop)}


def _thumbnail(image: QueryImage, crop: Crop | None = None) -> str | None:
    """Return a small JPEG as a data URI, or None if the image cannot be read."""
    try:
        if crop is None:
            picture = load_rgb(as_source(image), at_least=THUMBNAIL)
        else:
            picture = cropped(load_rgb(as_source(image)), crop)
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
    environment.filters["label"] = label_of
    return environment.get_template("gallery.html")


def _breakable(name: str) -> Markup:
    """Let a long file name wrap where its parts end."""
    return Markup("<wbr>").join(re.split(r"(?<=[-_/ ])", name))
