from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finetag_model.cub import read_cub
from finetag_model.errors import FineTagError, ImageError
from finetag_model.images import load_rgb, to_pixels
from finetag_model.pictures import Picture, cropped


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    """A 100 x 80 picture whose red grows to the right and whose green grows downwards."""
    y, x = np.mgrid[:80, :100].astype(np.uint8)
    path = tmp_path / "ramp.png"
    Image.fromarray(np.stack([2 * x, 2 * y, 0 * x], axis=-1)).save(path)
    return path


def test_without_a_box_it_is_the_whole_image(ramp: Path) -> None:
    pixels = Picture(ramp).pixels(16)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (16, 16, 3)
    np.testing.assert_array_equal(pixels, to_pixels(load_rgb(ramp), 16))


def test_a_box_cuts_out_its_part(ramp: Path) -> None:
    # As many pixels as asked for: what is seen is the box itself, not scaled.
    pixels = Picture(ramp, (30, 20, 16, 16)).pixels(16)
    np.testing.assert_array_equal(pixels[0, :, 0], 2 * np.arange(30, 46))
    np.testing.assert_array_equal(pixels[:, 0, 1], 2 * np.arange(20, 36))


def test_a_box_with_fractions_and_over_the_edge(ramp: Path) -> None:
    pixels = Picture(ramp, (89.7, -3.0, 30.0, 14.4)).pixels(11)
    np.testing.assert_array_equal(pixels[0, :, 0], 2 * np.arange(89, 100))
    np.testing.assert_array_equal(pixels[:, 0, 1], 2 * np.arange(11))


@pytest.mark.parametrize("box", [(200, 0, 10, 10), (0, 90, 10, 10), (5, 5, 0, 0)])
def test_a_box_beside_the_image(ramp: Path, box: tuple[float, float, float, float]) -> None:
    with pytest.raises(FineTagError, match="box") as error:
        Picture(ramp, box).pixels(16)
    assert str(ramp) in str(error.value)


def test_the_bird_of_a_photograph(make_cub: Callable[..., Path]) -> None:
    cub = read_cub(make_cub())
    picture = cropped(cub, 4)  # image 5: blue above green
    assert picture == Picture(cub.paths[4], (8.0, 8.0, 32.0, 24.0))
    upper, lower = picture.pixels(24)[[2, 21]].mean(axis=1)
    assert upper.argmax() == 2
    assert lower.argmax() == 1
    assert np.ptp(Picture(cub.paths[4]).pixels(24)[0].mean(axis=0)) < 1  # the grey around it


def test_an_unreadable_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.png does not exist"):
        Picture(tmp_path / "none.png").pixels(8)
