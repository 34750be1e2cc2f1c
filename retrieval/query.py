"""From the query image, in any of the forms a caller may hold it, to the network's pixels."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from finetag_model.colour import as_seen
from finetag_model.errors import ImageError, UsageError
from finetag_model.images import ImageSource, load_rgb, to_pixels
from retrieval.request import Crop
from retrieval.url import is_url, shown_url


@dataclass(frozen=True)
class Fetched:
    """An image that came by URL.

    Attributes:
        name: the URL without its query, which may hold secrets; for messages and pages.
        data: what the server sent.
    """

    name: str
    data: bytes = field(repr=False)


QueryImage = str | Path | bytes | Image.Image | Fetched
"""A path, a URL of http or https, the bytes of a file, a Pillow image, or what was fetched."""


def fetched(url: str, *, private: bool = False) -> Fetched:
    """Fetch a query image once, to be used several times; arguments and errors as `fetch`."""
    from retrieval.fetch import fetch  # noqa: PLC0415  (brings HTTP and TLS)

    return Fetched(shown_url(url), fetch(url, private=private))


def read_pixels(image: QueryImage, size: int, crop: Crop | None = None) -> NDArray[np.uint8]:
    """Decode a query image just as the catalogue's images were; uint8 (size, size, 3).

    Args:
        image: what is searched with.
        size: side in pixels of the square that the network takes.
        crop: the part of it that is meant.

    Raises:
        ImageError: the image cannot be read or fetched.
        UsageError: the crop is not inside the picture, or the URL must not be fetched.
    """
    try:
        if crop is None:
            return to_pixels(load_rgb(as_source(image), at_least=size), size)
        return to_pixels(cropped(load_rgb(as_source(image)), crop), size)
    except ImageError as error:
        if not isinstance(image, Fetched):
            raise
        raise ImageError(str(error).replace("the image", image.name, 1)) from None


def cropped(picture: Image.Image, crop: Crop) -> Image.Image:
    """Return a part of an upright picture, of a pixel at least.

    Raises:
        UsageError: it is not inside the picture.
    """
    is_shares = max(crop) <= 1
    sides = picture.size if is_shares else (1, 1)
    left, top, width, height = (
        each * side for each, side in zip(crop, (*sides, *sides), strict=True)
    )
    slack = 1e-6 * max(picture.size)
    if left + width > picture.width + slack or top + height > picture.height + slack:
        raise UsageError(
            f"the crop {','.join(f'{each:g}' for each in crop)} is not inside the picture, which "
            f"is {picture.width} x {picture.height}"
        )
    # Whole pixels, outwards.
    corner = (math.floor(left), math.floor(top))
    end = (math.ceil(left + width - slack), math.ceil(top + height - slack))
    return picture.crop((*corner, max(end[0], corner[0] + 1), max(end[1], corner[1] + 1)))


def as_source(image: QueryImage) -> ImageSource:
    """Bring the forms of a query image down to those that `load_rgb` reads.

    A URL is fetched, from public addresses alone.

    Raises:
        ImageError: a Pillow image cannot be used, or a URL not be fetched.
        UsageError: a URL must not be fetched.
    """
    if isinstance(image, str):
        return fetched(image).data if is_url(image) else Path(image)
    if isinstance(image, Fetched):
        return image.data
    if isinstance(image, Image.Image):
        return _encoded(image)
    return image


def name_of(image: QueryImage) -> str:
    """Return what to call a query image on a page: its file's name, or its URL."""
    if isinstance(image, Fetched):
        return image.name
    if isinstance(image, str) and is_url(image):
        return shown_url(image)
    return Path(image).name if isinstance(image, str | Path) else "the query image"


def _encoded(image: Image.Image) -> bytes:
    """Write an image without loss, so that it goes the one way that all images go."""
    buffer = io.BytesIO()
    try:
        as_seen(ImageOps.exif_transpose(image)).save(buffer, "PNG", compress_level=0)
    except Exception as error:  # a Pillow image is read from its file only now
        raise ImageError(f"the Pillow image cannot be used: {error}") from error
    return buffer.getvalue()
