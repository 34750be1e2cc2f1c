"""From the query image, in any of the forms a caller may hold it, to the network's pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from finetag_model.colour import as_seen
from finetag_model.errors import ImageError
from finetag_model.images import ImageSource, load_rgb, to_pixels

QueryImage = str | Path | bytes | Image.Image
"""A path, the bytes of a file, or a Pillow image."""


def read_pixels(image: QueryImage, size: int) -> NDArray[np.uint8]:
    """Decode a query image just as the catalogue's images were; uint8 (size, size, 3).

    Raises:
        ImageError: the image cannot be read.
    """
    return to_pixels(load_rgb(as_source(image), at_least=size), size)


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
