"""From a file to the pixels a network sees: decoding, orientation, size; colour is in `colour`.

The only place where an image is opened. Normalisation belongs to the network's graph.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from finetag_model.colour import as_seen
from finetag_model.errors import ImageError

MAX_PIXELS = 150_000_000
"""Images of more pixels are refused: a small file can claim enough of them to fill memory."""

# Formats Pillow hands to outside programs, or knows by name without being able to decode.
_REFUSED_FORMATS = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "PDF", "PALM"}

# HEIF, with HEIC, is read by the plugin pillow-heif, which may be absent. (AVIF is Pillow's own.)
_HEIF_SUFFIXES = {".heic", ".heics", ".heif", ".heifs", ".hif"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs",
                b"mif1", b"msf1"}  # fmt: skip

_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "HEIF": ".heic"}  # of others, the first Pillow names

_SIDEWAYS = {5, 6, 7, 8}  # EXIF orientations that swap width and height

ImageSource = Path | bytes | BinaryIO


@cache
def readable_formats() -> tuple[str, ...]:
    """Return the names of Pillow's formats that `load_rgb` accepts, beside HEIF."""
    Image.init()
    return tuple(name for name in Image.OPEN if name not in _REFUSED_FORMATS | {"HEIF"})


def readable_suffixes() -> frozenset[str]:
    """Return the lower-case file name endings (`.jpg`, ...) of the accepted formats.

    Those of HEIF are among them even if it cannot be read, so that a person learns why.
    """
    formats = set(readable_formats())
    endings = {suffix for suffix, name in Image.registered_extensions().items() if name in formats}
    return frozenset(endings | _HEIF_SUFFIXES)


def decode(
    source: ImageSource, *, at_least: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode an image as a person would see it: upright, sRGB, transparency over white.

    Args:
        source: path, bytes or binary file of HEIF or any format in `readable_formats()`; of an
            animation, the first frame is taken.
        at_least: if given, a JPEG may be decoded at a reduced size whose sides are still at
            least this many pixels, which is several times faster.

    Returns:
        The image, of mode RGB, and its width and height in pixels at full size, upright.

    Raises:
        ImageError: the source is missing, empty, truncated, too large or not an image, or HEIF
            without the extra `heif`.
    """
    with _opened(source) as image:
        size = image.size
        if at_least is not None and image.format in {"JPEG", "MPO"}:  # HEIF's are mere thumbnails
            image.draft("RGB", (at_least, at_least))
        reduced = image.size != size
        if reduced and image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
            size = size[::-1]
        ImageOps.exif_transpose(image, in_place=True)  # decodes; a copy would cost a tenth more
        return as_seen(image), size if reduced else image.size


def load_rgb(source: ImageSource, *, at_least: int | None = None) -> Image.Image:
    """Decode an image as `decode` does, and return it alone.

    Raises:
        ImageError: as `decode`.
    """
    return decode(source, at_least=at_least)[0]


def image_size(source: ImageSource) -> tuple[int, int]:
    """Return width and height in pixels as stored, without decoding.

    Raises:
        ImageError: as `decode`, but damage past the header goes unnoticed.
    """
    with _opened(source) as image:
        return image.size


def suffix_of(source: ImageSource) -> str:
    """Return the file name ending, such as `.jpg`, of the format that a source really has.

    Raises:
        ImageError: as `image_size`; or no ending is known for its format.
    """
    with _opened(source) as image:
        name = image.format or ""
    suffix = _SUFFIXES.get(name)
    if suffix is None:
        known = Image.registered_extensions()
        suffix = next((each for each, format_ in known.items() if format_ == name), None)
    if suffix is None:
        raise ImageError(f"images of the format {name} have no file name ending")
    return suffix


def to_pixels(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """Scale an RGB image to a square, without cropping; uint8 of shape (size, size, 3)."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


@contextmanager
def _opened(source: ImageSource) -> Iterator[Image.Image]:
    """Open an image; whatever goes wrong inside the with block becomes an ImageError."""
    name = str(source) if isinstance(source, Path) else "the image"
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with _recognised(file) as image:
            _check_size(image)
            yield image
    except FileNotFoundError:
        raise ImageError(f"{name} does not exist") from None
    except IsADirectoryError:
        raise ImageError(f"{name} is a folder, not an image") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read (permission denied)") from None
    except UnidentifiedImageError:
        if _is_heif(file) and not _have_heif():
            raise ImageError(
                f"{name} is a HEIC/HEIF image; to read it: pip install 'finetag[heif]'"
            ) from None
        raise ImageError(f"{name} is not an image in a known format") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name} has too many pixels; the limit is {MAX_PIXELS:,}") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged data
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name} is damaged and cannot be decoded: {reason}") from error


def _recognised(file: Path | BinaryIO) -> Image.Image:
    try:
        return Image.open(file, formats=readable_formats())
    except UnidentifiedImageError:
        if _is_heif(file) and _have_heif():
            return Image.open(file, formats=("HEIF",))
        raise


def _is_heif(file: Path | BinaryIO) -> bool:
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return _is_heif(opened)
    file.seek(0)
    start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:] in _HEIF_BRANDS


@cache
def _have_heif() -> bool:
    """Register the plugin; False if it is not installed."""
    try:
        import pillow_heif  # noqa: PLC0415  (takes as long as Pillow itself, and few need it)
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
