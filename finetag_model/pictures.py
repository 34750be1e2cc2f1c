"""A picture to train or measure on: an image file, or the part of one that shows the subject."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetag_model.cub import CubDataset
from finetag_model.errors import DataError
from finetag_model.images import load_rgb, to_pixels


@dataclass(frozen=True)
class Picture:
    """An image file and the part of it to look at.

    Attributes:
        path: the image file.
        box: x, y, width, height in pixels; None is the whole image.
    """

    path: Path
    box: tuple[float, float, float, float] | None = None

    def pixels(self, size: int) -> NDArray[np.uint8]:
        """Return the part scaled to a square; uint8 (size, size, 3).

        Raises:
            ImageError: the file cannot be read as an image.
            DataError: the box lies outside of it.
        """
        image = load_rgb(self.path, at_least=size if self.box is None else None)
        if self.box is not None:
            x, y, width, height = self.box
            left, top = max(0, int(x)), max(0, int(y))
            right, bottom = min(image.width, round(x + width)), min(image.height, round(y + height))
            if left >= right or top >= bottom:
                raise DataError(f"the box {self.box} lies outside of {self.path}")
            image = image.crop((left, top, right, bottom))
        return to_pixels(image, size)


def cropped(cub: CubDataset, row: int) -> Picture:
    """Return a photograph of CUB-200-2011 cut to the bird's box."""
    x, y, width, height = map(float, cub.boxes[row])
    return Picture(cub.paths[row], (x, y, width, height))
