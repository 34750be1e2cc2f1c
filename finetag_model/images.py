"""From a file to the pixels a network sees: decoding, orientation, colour, size.

The only place where an image is opened. Normalisation belongs to the network's graph.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from finetag_model.errors import ImageError

MAX_PIXELS = 150_000_000
"""Images of more pixels are refused: a small file can claim enough of them to fill memory."""

# Formats Pillow hands to outside programs, or knows by name without being able to decode.
_REFUSED_FORMATS = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "PDF", "PALM"}

ImageSource = Path | bytes | BinaryIO


def readable_formats() -> tuple[str, ...]:
    """Return the names of the Pillow formats that `load_rgb` accepts."""
    Image.init()
    return tuple(name for name in Image.OPEN if name not in _REFUSED_FORMATS)


def readable_suffixes() -> frozenset[str]:
    """Return the lower-case file name endings (`.jpg`, ...) of the accepted formats."""
    formats = set(readable_formats())
    return frozenset(
        suffix for suffix, name in Image.registered_extensions().items() if name in formats
    )


def load_rgb(source: ImageSource, *, at_least: int | None = None) -> Image.Image:
    """Decode an image as a person would see it: upright, RGB, transparency over white.

    Args:
        source: path, bytes or binary file of any format in `readable_formats()`; of an
            animation, the first frame is taken.
        at_least: if given, a JPEG may be decoded at a reduced size whose sides are still at
            least this many pixels, which is several times faster.

    Raises:
        ImageError: the source is missing, empty, truncated, too large or not an image.
    """
    with _opened(source) as image:
        if at_least is not None:
            image.draft("RGB", (at_least, at_least))
        ImageOps.exif_transpose(image, in_place=True)  # decodes; a copy would cost a tenth more
        return _over_white(image)


def image_size(source: ImageSource) -> tuple[int, int]:
    """Return width and height in pixels as stored, without decoding.

    Raises:
        ImageError: as `load_rgb`, but damage past the header goes unnoticed.
    """
    with _opened(source) as image:
        return image.size


def to_pixels(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Scale an RGB image to a square, without cropping; uint8 of shape (size, size, 3)."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


@contextmanager
def _opened(source: ImageSource) -> Iterator[Image.Image]:
    """Open an image; whatever goes wrong inside the with block becomes an ImageError."""
    name = str(source) if isinstance(source, Path) else "the image"
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(file, formats=readable_formats()) as image:
            _check_size(image)
            yield image
    except FileNotFoundError:
        raise ImageError(f"{name} does not exist") from None
    except IsADirectoryError:
        raise ImageError(f"{name} is a folder, not an image") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read (permission denied)") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name} is not an image in a known format") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name} has too many pixels; the limit is {MAX_PIXELS:,}") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged data
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name} is damaged and cannot be decoded: {reason}") from error


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip to 255
        image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image if image.mode == "RGB" else image.convert("RGB")
