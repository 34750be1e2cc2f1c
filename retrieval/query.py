"""From the query image, in any of the forms a caller may hold it, to the network's pixels."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from finetag_model.colour import as_seen
from finetag_model.errors import ImageError, UsageError
from finetag_model.images import ImageSource, load_rgb, to_pixels
from retrieval.request import Crop

QueryImage = str | Path | bytes | Image.Image
"""A path, the bytes of a file, or a Pillow image."""


def read_pixels(image: QueryImage, size: int, crop: Crop | None = None) -> NDArray[np.uint8]:
    """Decode a query image just as the catalogue's images were; uint8 (size, size, 3).

    Args:
        image: what is searched with.
        size: side in pixels of the square that the network takes.
        crop: the part of it that is meant.

    Raises:
        ImageError: the image cannot be read.
        UsageError: the crop is not inside the picture.
    """
    if crop is None:
        return to_pixels(load_rgb(as_source(image), at_least=size), size)
    return to_pixels(cropped(load_rgb(as_source(image)), crop), size)


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
    """Bring the forms of a query image down to those that `load_rgb` reads."""
    if isinstance(image, str):
        return Path(image)
    if isinstance(image, Image.Image):
        return _encoded(image)
    return image


def _encoded(image: Image.Image) -> bytes:
    """Write an image without loss, so that it goes the one way that all images go."""
    buffer = io.BytesIO()
    try:
        as_seen(ImageOps.exif_transpose(image)).save(buffer, "PNG", compress_level=0)
    except Exception as error:  # a Pillow image is read from its file only now
        raise ImageError(f"the Pillow image cannot be used: {error}") from error
    return buffer.getvalue()
