"""The far, blurred part of the scenery: sky, foliage, meadow, shore, water, or a room.

The sharp things a bird touches (branch, grass, rock, reeds) are drawn in `perch`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from finetag_model.drawn.geometry import Frame, Points
from finetag_model.drawn.palette import RGB

_WIDTH = 160  # a blurred picture needs no more pixels than this

# Top, middle and bottom of the picture, then the lights in the foliage.
_FOLIAGE: tuple[tuple[RGB, ...], ...] = (
    ((196, 216, 150), (140, 176, 104), (74, 116, 70), (226, 236, 170), (104, 150, 80)),
    ((206, 222, 214), (140, 172, 158), (70, 104, 92), (230, 240, 226), (96, 138, 116)),
    ((240, 214, 158), (206, 164, 104), (130, 96, 64), (252, 230, 170), (176, 130, 80)),
    ((240, 222, 222), (206, 190, 190), (138, 140, 120), (252, 232, 236), (180, 176, 150)),
    ((198, 220, 238), (162, 192, 204), (112, 140, 126), (236, 244, 246), (140, 170, 150)),
    ((148, 168, 150), (92, 118, 104), (46, 66, 58), (184, 204, 166), (74, 104, 84)),
    ((222, 210, 232), (170, 166, 190), (106, 112, 124), (244, 232, 244), (150, 150, 168)),
)
_SKIES: tuple[tuple[RGB, ...], ...] = (
    ((126, 172, 216), (182, 210, 232), (228, 236, 238), (246, 248, 248), (212, 226, 238)),
    ((150, 160, 196), (222, 196, 196), (250, 222, 190), (252, 236, 216), (236, 206, 196)),
    ((168, 186, 200), (202, 214, 220), (226, 230, 228), (240, 242, 242), (208, 218, 222)),
)
_GROUNDS: dict[str, tuple[tuple[RGB, RGB], ...]] = {
    "sand": (((226, 206, 166), (196, 170, 126)), ((214, 204, 188), (176, 162, 142))),
    "grass": (((166, 182, 96), (96, 126, 58)), ((194, 180, 108), (136, 122, 66))),
    "snow": (((236, 240, 246), (202, 212, 228)), ((240, 236, 240), (212, 208, 222))),
}
_WATERS: tuple[tuple[RGB, RGB], ...] = (
    ((168, 196, 200), (84, 122, 134)),
    ((150, 180, 212), (72, 112, 158)),
    ((190, 190, 166), (104, 116, 98)),
    ((222, 196, 178), (134, 122, 136)),
)

_WALLS: tuple[tuple[RGB, ...], ...] = (
    ((238, 236, 230), (226, 222, 214), (206, 200, 190), (250, 248, 244), (196, 188, 176)),
    ((214, 222, 226), (196, 206, 212), (170, 182, 190), (232, 238, 240), (156, 170, 180)),
    ((222, 204, 188), (206, 184, 166), (178, 154, 136), (240, 226, 212), (168, 142, 124)),
    ((176, 188, 170), (158, 172, 152), (130, 146, 126), (200, 210, 192), (118, 134, 114)),
    ((226, 206, 208), (212, 188, 192), (186, 160, 166), (242, 228, 230), (176, 150, 156)),
    ((122, 126, 134), (104, 108, 116), (82, 86, 94), (150, 154, 162), (72, 76, 84)),
)
_FLOORS: tuple[tuple[RGB, RGB], ...] = (
    ((196, 160, 118), (158, 120, 82)),
    ((216, 214, 208), (184, 182, 176)),
    ((132, 100, 76), (92, 66, 48)),
    ((170, 172, 176), (124, 126, 132)),
    ((228, 218, 200), (198, 186, 164)),
)


def draw_room(size: tuple[int, int], horizon: float, rng: np.random.Generator) -> Image.Image:
    """A wall over a floor or a table as a soft RGB picture; arguments as of `draw_backdrop`."""
    small = (_WIDTH, round(_WIDTH * size[1] / size[0]))
    image = _far(_WALLS[rng.integers(len(_WALLS))], small, rng, discs=8)
    edge = round(horizon * small[1])
    floor = _ground(_FLOORS[rng.integers(len(_FLOORS))], (small[0], small[1] - edge), rng, 2)
    _lay(image, floor, edge, 0.7)
    return image.resize(size, Image.Resampling.BICUBIC)


def cast_shadow(
    scene: NDArray[np.uint8], frame: Frame, at: Points, reach: tuple[float, float]
) -> None:
    """Darken the ground in place about `at` (2,), as far aside and ahead as `reach` in units."""
    centre = frame.pixels(at)
    height, width = scene.shape[:2]
    y, x = np.ogrid[0:height, 0:width]
    aside, ahead = (x - centre[0]) / frame.scale, (y - centre[1]) / frame.scale
    shade = 1 - 0.42 * np.exp(-((aside / reach[0]) ** 2) - (ahead / reach[1]) ** 2)
    scene[:] = (scene * shade[..., None]).astype(np.uint8)


def draw_backdrop(
    scene: str, size: tuple[int, int], horizon: float, rng: np.random.Generator
) -> Image.Image:
    """A soft RGB picture of `size`; `horizon` is where ground or water begins, from the top."""
    small = (_WIDTH, round(_WIDTH * size[1] / size[0]))
    open_air = scene in ("wire", "sky", "sand", "rock", "snow") or (
        scene in ("grass", "swim", "shallows") and rng.random() < 0.4
    )
    themes = _SKIES if open_air else _FOLIAGE
    theme = themes[rng.integers(len(themes))]
    image = _far(theme, small, rng, discs=10 if open_air else 46)
    if not open_air:
        _bokeh(image, theme[3], rng)
    edge = round(horizon * small[1])
    if scene in _GROUNDS:
        near_far = _GROUNDS[scene][rng.integers(len(_GROUNDS[scene]))]
        _lay(image, _ground(near_far, (small[0], small[1] - edge), rng), edge, 1.6)
    elif scene in ("swim", "shallows", "reeds", "rock"):
        far, near = _WATERS[rng.integers(len(_WATERS))]
        mirror = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).resize(
            (small[0], max(small[1] - edge, 1))
        )
        water = Image.blend(_ripples((far, near), mirror.size, rng), mirror, 0.25)
        _lay(image, water, edge, 1.0)
    return image.resize(size, Image.Resampling.BICUBIC)


def _far(
    theme: tuple[RGB, ...], size: tuple[int, int], rng: np.random.Generator, discs: int
) -> Image.Image:
    """What fills the picture from top to bottom, with faint patches of its lights."""
    top, middle, bottom, *lights = theme
    rows = np.linspace(0, 1, size[1])
    sky = _gradient(rows, (0, 0.55, 1), (top, middle, bottom))
    image = Image.fromarray(np.repeat(sky[:, None], size[0], axis=1).astype(np.uint8))
    _scatter(image, lights, rng, discs)
    return image.filter(ImageFilter.GaussianBlur(2.4))


def _gradient(
    rows: NDArray[np.float64], stops: tuple[float, ...], colours: tuple[RGB, ...]
) -> NDArray[np.float64]:
    """Colours (n, 3) at `rows`, running through `colours` at `stops`."""
    table = np.array(colours, dtype=float)
    return np.stack([np.interp(rows, stops, table[:, i]) for i in range(3)], axis=1)


def _scatter(image: Image.Image, lights: list[RGB], rng: np.random.Generator, discs: int) -> None:
    """Strew large faint patches of light and shade, the far leaves or clouds."""
    pen = ImageDraw.Draw(image, "RGBA")
    for _ in range(discs):
        x, y = rng.uniform(0, image.width), rng.uniform(0, image.height)
        r = rng.uniform(5, 22)
        red, green, blue = lights[rng.integers(len(lights))]
        pen.ellipse((x - r * 1.3, y - r, x + r * 1.3, y + r), fill=(red, green, blue, 46))


def _bokeh(image: Image.Image, light: RGB, rng: np.random.Generator) -> None:
    """Light between far leaves, out of focus: discs a little brighter at the rim."""
    layer = Image.new("RGBA", image.size, (*light, 0))
    pen = ImageDraw.Draw(layer)
    for _ in range(rng.integers(6, 16)):
        x, y = rng.uniform(0, image.width), rng.uniform(0, image.height * 0.8)
        r, strength = rng.uniform(3, 9), int(rng.uniform(24, 70))
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(*light, strength))
    layer = layer.filter(ImageFilter.GaussianBlur(0.9))
    image.paste(layer, (0, 0), layer)


def _ground(
    near_far: tuple[RGB, RGB],
    size: tuple[int, int],
    rng: np.random.Generator,
    uneven: float = 9,
) -> Image.Image:
    """Ground that darkens towards us, with uneven light on it."""
    rows = np.linspace(0, 1, max(size[1], 1))
    flat = _gradient(rows, (0, 1), near_far)
    unevenness = _noise((size[0], max(size[1], 1)), (12, 10), rng) * uneven
    return Image.fromarray(np.clip(flat[:, None] + unevenness[..., None], 0, 255).astype(np.uint8))


def _ripples(
    far_near: tuple[RGB, RGB], size: tuple[int, int], rng: np.random.Generator
) -> Image.Image:
    """Water: long level ripples, wider towards us."""
    rows = np.linspace(0, 1, size[1])
    flat = _gradient(rows, (0, 1), far_near)
    ripple = _noise(size, (5, 26), rng) * 10
    return Image.fromarray(np.clip(flat[:, None] + ripple[..., None], 0, 255).astype(np.uint8))


def _noise(
    size: tuple[int, int], cells: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Smooth noise (height, width) about 0 with so many cells across and down."""
    coarse = Image.fromarray(rng.normal(0, 1, (cells[1], cells[0])).astype(np.float32))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))


def _lay(image: Image.Image, ground: Image.Image, edge: int, blur: float) -> None:
    """Lay the ground over the picture from row `edge` down, with a soft far edge."""
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).rectangle((0, edge, *image.size), fill=255)
    layer = image.copy()
    layer.paste(ground, (0, edge))
    image.paste(layer, (0, 0), mask.filter(ImageFilter.GaussianBlur(blur)))
