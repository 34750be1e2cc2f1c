"""From whatever an image file holds in its pixels to 8-bit sRGB over white, as a person sees it.

Wide greys become 8 bits, an ICC profile is followed to sRGB, transparency shows white.
"""

from __future__ import annotations

import io
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

MAX_PROFILE_BYTES = 4 << 20
"""Larger ICC profiles are ignored; those of printing presses have 2 or 3 MB at most."""

_KEPT_TRANSFORMS = 16  # a catalogue has photographs from a few sources
_SAME = 2  # levels of 255 by which profiles differ that all mean sRGB
_FLOAT_IS_ONE = 2  # floats of 0 to 1 may overshoot, in highlights or by sharpening

# The modes whose pixels a profile of an ICC colour space describes.
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}


def as_seen(image: Image.Image) -> Image.Image:
    """Return a decoded image of any mode as RGB: sRGB colours, transparency over white.

    Of greys wider than 16 bits, and of floats, nothing says which value is white. It is taken to
    be the smallest of 1 (floats only), 255 and 65,535 that no value exceeds, or else the largest
    value. Negative values and NaN are black.

    Args:
        image: it may be returned itself, without its profile.
    """
    profile = image.info.get("icc_profile")
    if image.mode[0] in "IF":
        image = _eight_bits(image)
    image, alpha = _split(image)
    image = _to_srgb(image, profile if isinstance(profile, bytes) else b"")
    if alpha is not None:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        image = white
    image.info.pop("icc_profile", None)  # or whoever saves the image would have it applied twice
    return image


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})  # those of a TIFF, which Pillow does not all heed
    if image.mode.startswith("I;16"):
        twelve = tags.get(ExifTags.Base.BitsPerSample) == (12,)
        grey = (values >> (4 if twelve else 8)).astype(np.uint8)
    else:
        unsigned = image.mode == "I" and tags.get(ExifTags.Base.SampleFormat) == (1,)
        grey = _scaled(values.view(np.uint32) if unsigned else values)
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # white is zero
        grey = 255 - grey
    level = Image.fromarray(grey)
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return level
    alpha = Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
    return Image.merge("LA", (level, alpha))


def _scaled(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    largest = float(np.max(values, where=np.isfinite(values), initial=0))
    if values.dtype.kind == "f" and largest <= _FLOAT_IS_ONE:
        white = 1.0
    else:
        white = next((scale for scale in (255.0, 65535.0) if largest <= scale), largest)
    level: NDArray[np.float32] = np.multiply(values, 255 / white, dtype=np.float32)
    np.nan_to_num(level, copy=False, posinf=255)
    return np.rint(level).clip(0, 255).astype(np.uint8)


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return an image without transparency, and its alpha channel if it has one."""
    if not image.has_transparency_data:
        return image, None
    if image.mode == "La":  # premultiplied, which Pillow turns into nothing else
        image = image.convert("LA")
    if image.mode == "LA":
        return image.getchannel("L"), image.getchannel("A")
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:  # 16 bits, of pixels that have 8 by now
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    return rgba.convert("RGB"), rgba.getchannel("A")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    if image.mode not in _MODES.values():
        image = image.convert("L" if image.mode == "1" else "RGB")
    transform = _transform(profile, image.mode) if profile else None
    if transform is None and image.mode == "LAB":
        transform = _lab_to_srgb()  # Pillow has no other way
    if transform is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    if image.mode != transform.input_mode:
        image = image.convert(transform.input_mode)
    # Not in place: Pillow would write into a file that it has mapped into memory.
    return transform.apply(image)


@lru_cache(maxsize=_KEPT_TRANSFORMS)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the way to sRGB, None if there is none: broken, not for this mode, sRGB already."""
    if len(profile) > MAX_PROFILE_BYTES:
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        described = _MODES.get(opened.profile.xcolor_space.strip(), "")
        if described != mode and (mode, described) != ("L", "RGB"):  # greys are RGB as well
            return None
        transform = _from_profile(opened, described)
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None
    return None if _changes_nothing(transform) else transform


def _from_profile(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    # The darkest ink becomes black, as on the screen of who made the image. Tables that are made
    # to run faster gain nothing for grey, and are far off in its shadows.
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    if mode == "L":
        flags |= ImageCms.Flags.NOOPTIMIZE
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return ImageCms.ImageCmsTransform(profile, _srgb(), mode, "RGB", intent, flags=flags)


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    return _from_profile(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Say whether a transform leaves colours as Pillow's own conversion has them.

    Tried on colours, since dozens of profiles that say sRGB in other words are in use.
    """
    if transform.input_mode not in {"RGB", "L"}:
        return False
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    probe = Image.fromarray(colors).convert(transform.input_mode)
    seen = np.asarray(transform.apply(probe), dtype=int)
    return bool(np.abs(seen - np.asarray(probe.convert("RGB"))).max() <= _SAME)
