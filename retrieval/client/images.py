"""Images that are searched with or added, in any of the forms that a caller may hold them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from finetag_model.errors import ImageError, UsageError
from retrieval.service.models import Picture
from retrieval.url import is_url

Upload: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO
"""A path, the bytes of a file, or a file open in binary mode. Text that others chose may be any
path of this machine: do not hand it on."""

QueryImage: TypeAlias = Upload | Picture
"""An upload, a URL that the service is to fetch, or a picture that the service keeps."""

QueryImages: TypeAlias = QueryImage | Sequence[QueryImage] | None

Read: TypeAlias = str | bytes | Picture
"""A URL, the bytes of a file, or a kept picture."""


def read_all(images: QueryImages) -> list[Read]:
    """Read the files among one image, several or none.

    Raises:
        ImageError: a file cannot be read.
        UsageError: something is no image.
    """
    if images is None:
        return []
    if isinstance(images, Sequence) and not isinstance(images, str | bytes):
        return [_read(each) for each in images]
    return [_read(images)]


def read_file(image: Upload) -> bytes:
    """Return the bytes of one image that is not the service's already.

    Raises:
        ImageError: the file cannot be read.
        UsageError: it is no image.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | os.PathLike):
        try:
            return Path(image).read_bytes()
        except OSError as error:
            raise ImageError(f"{os.fspath(image)}: {error.strerror or error}") from None
    data = image.read() if hasattr(image, "read") else None
    if not isinstance(data, bytes):
        raise UsageError(
            f"{type(image).__name__} is no image; give a path, the bytes of a file, or a file "
            "open in binary mode"
        )
    return data


def _read(image: QueryImage) -> Read:
    if isinstance(image, Picture) or (isinstance(image, str) and is_url(image)):
        return image
    return read_file(image)
