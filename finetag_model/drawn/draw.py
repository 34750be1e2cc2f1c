"""Put a bird on paper: frame it, draw its parts from back to front, and light the whole.

The parts themselves are drawn by `body`, `head` and `limbs`, the scenery by `backdrop` and
`perch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from finetag_model.drawn import backdrop, head, limbs, perch, wing
from finetag_model.drawn.bird import Bird
from finetag_model.drawn.body import Body, draw_body
from finetag_model.drawn.canvas import Canvas
from finetag_model.drawn.geometry import Frame, Points, ellipse

ASPECT = 5 / 4  # width over height
_WATER = ("swim", "shallows", "reeds")  # scenes that hide what is under water
_OVERSAMPLING = 2  # pixels drawn for one delivered, each way, so that edges are smooth


@dataclass(frozen=True)
class Drawing:
    """A picture of a bird, RGB, and where in it each part can be seen, bool (height, width)."""

    image: Image.Image
    parts: Mapping[str, NDArray[np.bool_]]


def draw_bird(bird: Bird, width: int = 480) -> Image.Image:
    """The picture of `bird`, RGB, `width` pixels wide and four fifths as high."""
    return _picture(_drawn(bird, width), bird)


def draw_layers(bird: Bird, width: int = 480) -> Drawing:
    """The picture of `bird` and the mask of each part, with `width` as in `draw_bird`."""
    sheet = _drawn(bird, width)
    image = _picture(sheet, bird)
    n = _OVERSAMPLING
    parts = {}
    for part, mask in sheet.canvas.parts().items():
        fine = mask[:, ::-1] if bird.faces_left else mask
        share = fine.reshape(image.height, n, image.width, n).mean(axis=(1, 3))
        parts[part] = share > 0.5
    return Drawing(image, parts)


@dataclass(frozen=True)
class _Sheet:
    """A drawn canvas before its colours are looked up; the bird still faces right."""

    canvas: Canvas
    body: Body
    feet: Points


def _drawn(bird: Bird, width: int) -> _Sheet:
    size = (width * _OVERSAMPLING, round(width / ASPECT) * _OVERSAMPLING)
    rng = np.random.default_rng([bird.seed, 1])
    body = Body.of(bird)
    feet = limbs.feet(body, bird)
    canvas = Canvas(size, _frame(body, bird, feet, size, rng))
    perch.draw_perch(canvas, bird, feet, head.bill_outline(body, bird)[0][-1], rng)
    hips = limbs.hip_points(body)
    if bird.shows_legs:
        limbs.draw_leg(canvas, hips[0], feet[0], bird, near=False)
    if bird.flies:
        wing.draw_raised_wing(canvas, body, bird, rng, near=False)
    limbs.draw_tail(canvas, body, bird, rng)
    if bird.shows_legs:
        limbs.draw_leg(canvas, hips[1], feet[1], bird, near=True)
        if bird.shape in ("hawk-like", "owl-like"):
            limbs.draw_trousers(canvas, hips[0], feet[0], bird, rng)
            limbs.draw_trousers(canvas, hips[1], feet[1], bird, rng)
    if bird.crest:
        head.draw_crest(canvas, body, bird, rng)
    owl = bird.shape == "owl-like"
    if not owl:
        head.draw_bill(canvas, body, bird)
    draw_body(canvas, body, bird, rng)
    head.draw_head_marks(canvas, body, bird)
    if owl:
        head.draw_owl_face(canvas, body, bird, rng)
        head.draw_bill(canvas, body, bird)
    if bird.flies:
        wing.draw_raised_wing(canvas, body, bird, rng, near=True)
    else:
        wing.draw_folded_wing(canvas, body, bird, rng)
    head.draw_eyes(canvas, body, bird)
    perch.draw_foreground(canvas, bird, feet, rng)
    if bird.scene in _WATER:
        level = _waterline(body, bird, feet)
        water = np.array([[-9.0, level], [9.0, level], [9.0, -9.0], [-9.0, -9.0]])
        canvas.fill(water, 0, None)
    return _Sheet(canvas, body, feet)


def _frame(
    body: Body, bird: Bird, feet: Points, size: tuple[int, int], rng: np.random.Generator
) -> Frame:
    """Fit the bird into the picture, a little off the middle."""
    upper, lower, _ = head.bill_outline(body, bird)
    tail, _ = limbs.tail_feathers(body, bird)
    skull = ellipse(body.head, (body.head_radius * (1.5 if bird.crest else 1.0),) * 2)
    if bird.flies:
        rest = wing.raised_quills(body, bird, near=True)
    else:
        rest = np.concatenate([feet, wing.FoldedWing(body, bird).outline()])
    parts = [body.outline(), skull, upper, lower, tail.reshape(-1, 2), rest.reshape(-1, 2)]
    extent = np.concatenate(parts)
    low, high = extent.min(axis=0), extent.max(axis=0)
    if bird.scene == "swim":
        low[1] = _waterline(body, bird, feet)
    room = np.array(size) * (0.93, 0.88)
    scale = float((room / (high - low)).min() * rng.uniform(0.94, 1.0))
    middle = (low + high) / 2 + rng.uniform(-0.02, 0.02, 2)
    lift = 0.03 if bird.scene != "swim" else 0.10
    return Frame(scale, size[0] / 2 - middle[0] * scale, size[1] * (0.5 - lift) + middle[1] * scale)


def _waterline(body: Body, bird: Bird, feet: Points) -> float:
    """How high the water stands, in bird coordinates."""
    if bird.scene == "swim":
        return float((body.centres[:, 1] - body.radii).min()) + 0.11
    return float(feet[:, 1].min()) + (0.03 if bird.scene in _WATER else 0.0)


def _picture(sheet: _Sheet, bird: Bird) -> Image.Image:
    canvas, body = sheet.canvas, sheet.body
    size = canvas.size
    rng = np.random.default_rng([bird.seed, 2])
    line = canvas.frame.pixels(np.array([0.0, _waterline(body, bird, sheet.feet)]))[1]
    horizon = float(np.clip(line / size[1] - rng.uniform(0.10, 0.25), 0.2, 0.9))
    ground = backdrop.draw_backdrop(bird.scene, size, horizon, rng)
    colours, drawn = canvas.colours(body.volume(size, canvas.frame))
    scene = np.asarray(ground).copy()
    if bird.scene in ("sand", "snow", "grass"):
        backdrop.cast_shadow(scene, canvas.frame, sheet.feet.mean(axis=0), (0.55, 0.07))
    scene[drawn] = colours[drawn]
    if bird.scene in _WATER:
        _flood(scene, np.asarray(ground), drawn, int(line), rng)
    image = Image.fromarray(scene)
    if bird.faces_left:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.resize((size[0] // _OVERSAMPLING, size[1] // _OVERSAMPLING), Image.Resampling.BOX)


def _flood(
    scene: NDArray[np.uint8],
    water: NDArray[np.uint8],
    drawn: NDArray[np.bool_],
    line: int,
    rng: np.random.Generator,
) -> None:
    """Hide what is under water and mirror what is over it, trembling more with depth."""
    depth = min(len(scene) - line, line)
    if depth <= 0:
        return
    rows = np.arange(depth)
    mirrored = Image.fromarray(scene[line - 1 - rows]).filter(ImageFilter.GaussianBlur(3))
    seen = Image.fromarray((drawn[line - 1 - rows] * 255).astype(np.uint8))
    weight = np.asarray(seen.filter(ImageFilter.GaussianBlur(4)), dtype=np.float32) / 255
    image = np.asarray(mirrored, dtype=np.float32)
    sway = (np.sin(rows / 5.5) * (1.5 + rows / 22) + rng.normal(0, 1, depth)).astype(int)
    for row in rows:
        image[row] = np.roll(image[row], sway[row], axis=0)
        weight[row] = np.roll(weight[row], sway[row])
    fade = (0.62 * np.exp(-rows / (0.5 * depth)))[:, None]
    weight = (weight * fade)[..., None]
    scene[line:] = water[line:]
    below = scene[line : line + depth].astype(np.float32)
    scene[line : line + depth] = (below * (1 - weight) + image * weight).astype(np.uint8)
    _ring(scene, drawn, line, rng)


def _ring(
    scene: NDArray[np.uint8], drawn: NDArray[np.bool_], line: int, rng: np.random.Generator
) -> None:
    """Light on the ripples where something meets the water."""
    columns = np.flatnonzero(drawn[line - 4 : line].any(axis=0))
    if not len(columns):
        return
    left, right = int(columns[0]), int(columns[-1])
    glow = Image.new("L", (scene.shape[1], 40), 0)
    pen = ImageDraw.Draw(glow)
    for _ in range(9):
        y, reach = rng.uniform(8, 26), rng.uniform(0.2, 0.6) * (right - left) + 10
        x = rng.uniform(left - 20, right + 20)
        pen.ellipse((x - reach / 2, y - 1.2, x + reach / 2, y + 1.2), fill=110)
    glow = glow.filter(ImageFilter.GaussianBlur(1.6))
    strip = scene[line - 12 : line + 28]
    light = np.asarray(glow, dtype=np.float32)[: len(strip), :, None] / 255
    strip[:] = (strip * (1 - light) + 255 * light).astype(np.uint8)
