"""What runs in the processes that read pictures; `decoding` starts them.

Nothing of the service is imported here: these processes start often, and count nothing.
"""

from __future__ import annotations

import io
import resource
import signal
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from finetag_model.errors import ImageError
from finetag_model.images import image_size, load_rgb, suffix_of
from retrieval.query import cropped, read_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from retrieval.request import Crop

_QUALITY = 85  # of a JPEG that is shown


def be_careful(memory: int) -> None:
    """Bound what this process may take; of memory, in bytes of address space."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends these
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")  # Pillow's, of odd metadata


def nothing() -> None:
    """Have a process started."""


@contextmanager
def _checked(source: Path | bytes, most: int) -> Iterator[BinaryIO]:
    """Open a picture that has not too many pixels; its errors name no file of the server."""
    try:
        opened = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    except OSError:
        raise ImageError("the image's file is gone, or may not be read") from None
    with opened:
        width, height = image_size(opened)
        if width * height > most:
            raise ImageError(
                f"the image has {width * height:,} pixels; the most that is taken is {most:,}"
            )
        opened.seek(0)
        yield opened


def pixels(source: Path | bytes, most: int, size: int, crop: Crop | None) -> NDArray[np.uint8]:
    """Do as `retrieval.query.read_pixels`, of a picture of so many pixels at most."""
    with _checked(source, most) as opened:
        return read_pixels(opened.read(), size, crop)


def size(source: Path | bytes, most: int) -> tuple[int, int]:
    """Decode a picture, and return its width and height in pixels, upright."""
    with _checked(source, most) as opened:
        return load_rgb(opened).size


def suffix(source: Path | bytes, most: int) -> str:
    """Decode a picture, and return the file name ending of its format, such as `.jpg`."""
    with _checked(source, most) as opened:
        load_rgb(opened, at_least=1)  # to the end of the file, but at no size to speak of
        opened.seek(0)
        return suffix_of(opened)


def jpeg(source: Path | bytes, most: int, side: int, crop: Crop | None) -> bytes:
    """Return a picture as a JPEG whose longer side has at most `side` pixels."""
    with _checked(source, most) as opened:
        whole = load_rgb(opened, at_least=side if crop is None else None)
    picture = whole if crop is None else cropped(whole, crop)
    picture.thumbnail((side, side))
    picture.info.clear()  # comments, which Pillow would write again
    return as_jpeg(picture)


def as_jpeg(picture: Image.Image) -> bytes:
    """Return a picture as the JPEG that is shown of it."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
