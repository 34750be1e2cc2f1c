"""A heat map laid over its picture, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from finetag_model.explain import HeatMap

# Stops of matplotlib's inferno (CC0) without its darkest: lightness rises evenly with the heat,
# and it reads the same to the colour-blind and in grey.
_STOPS = ((66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
_OPACITY = 0.8  # of the hottest place; what is underneath must still be seen
_GAP = 8  # pixels of white between pictures


def overlay(picture: Image.Image, heat: HeatMap) -> Image.Image:
    """Return the RGB picture, of the same size, under its heat: the hotter, the less seen.

    The scale is each map's own: the hottest place is always at its end.
    """
    level = Image.fromarray((heat.support(picture.size) * 255).astype(np.uint8))
    colours = level.copy()
    colours.putpalette(_palette())
    opacity = level.point([round(_OPACITY * value) for value in range(256)])
    return Image.composite(colours.convert("RGB"), picture, opacity)


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures of one size as one, left to right; a single one stays as it is."""
    width, height = pictures[0].size
    sheet = Image.new("RGB", (len(pictures) * (width + _GAP) - _GAP, height), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i * (width + _GAP), 0))
    return sheet


def _palette() -> bytes:
    place = np.linspace(0, len(_STOPS) - 1, 256)
    channels = [np.interp(place, range(len(_STOPS)), stops) for stops in np.transpose(_STOPS)]
    return np.stack(channels, axis=1).round().astype(np.uint8).tobytes()
