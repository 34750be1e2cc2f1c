"""The near, sharp part of the scenery: what the bird stands on, clings to or stands among.

Sizes follow the bird's: a small bird has thick twigs and broad leaves about it.
"""

from __future__ import annotations

import numpy as np

from finetag_model.drawn.bird import Bird
from finetag_model.drawn.canvas import NEUTRAL, Canvas
from finetag_model.drawn.geometry import Points, feathers, left_of, ribbon, spline, turn, unit
from finetag_model.drawn.palette import RGB

# How large a leaf is beside a bird of each size.
_NEARNESS = {"very_small": 1.7, "small": 1.25, "medium": 0.95, "large": 0.7, "very_large": 0.5}
_BARKS: tuple[RGB, ...] = ((112, 92, 76), (134, 118, 102), (92, 82, 78), (124, 98, 74))
_LEAVES: tuple[RGB, ...] = (
    (104, 144, 62), (72, 122, 66), (138, 158, 70), (186, 138, 58), (92, 132, 92),
)  # fmt: skip
_PETALS: tuple[RGB, ...] = ((214, 84, 96), (226, 132, 74), (206, 118, 176), (150, 120, 206))
_REEDS: tuple[RGB, ...] = ((132, 146, 84), (170, 158, 104), (98, 124, 80))
_GRASSES: tuple[RGB, ...] = ((112, 140, 62), (150, 152, 76), (90, 118, 58), (176, 160, 96))
_ROCKS: tuple[RGB, ...] = ((132, 128, 124), (112, 108, 110), (148, 138, 124))


def draw_perch(
    canvas: Canvas, bird: Bird, feet: Points, bill_tip: Points, rng: np.random.Generator
) -> None:
    """Draw what lies behind the bird, under its feet (2, 2) or before its bill (2,)."""
    near = _NEARNESS[bird.size]
    match bird.scene:
        case "branch":
            _branch(canvas, feet, near, rng)
        case "flower":
            _flower(canvas, bill_tip, rng)
        case "wire":
            _wire(canvas, feet, near)
        case "trunk":
            _trunk(canvas, feet, near, rng)
        case "rock":
            _rock(canvas, feet, rng)
        case "reeds":
            _blades(canvas, feet, near, _REEDS, count=16, heights=(0.5, 1.3), rng=rng)
        case "grass":
            _blades(canvas, feet, near, _GRASSES, count=34, heights=(0.12, 0.34), rng=rng)
        case "sand" | "snow" | "shallows":
            _pebbles(canvas, feet, near, bird.scene, rng)
        case _:
            pass


def draw_foreground(canvas: Canvas, bird: Bird, feet: Points, rng: np.random.Generator) -> None:
    """Draw the few blades that stand before the bird's feet."""
    if bird.scene == "grass":
        near = _NEARNESS[bird.size]
        low = feet - np.array([0, 0.14])
        _blades(canvas, low, near, _GRASSES, count=26, heights=(0.10, 0.22), rng=rng)


def _branch(canvas: Canvas, feet: Points, near: float, rng: np.random.Generator) -> None:
    bark = _BARKS[rng.integers(len(_BARKS))]
    leaf = _LEAVES[rng.integers(len(_LEAVES))]
    width = 0.075 * near + 0.02
    slope = rng.uniform(-0.10, 0.10)
    foot = feet.mean(axis=0) - (0, width * 0.42)
    x = np.array([-1.7, -0.9, -0.35, 0.0, 0.35, 0.9, 1.7])
    bow = rng.normal(0, 0.03, 7) * np.minimum(np.abs(x) * 2, 1)
    path = spline(np.stack([foot[0] + x, foot[1] + slope * x + bow], axis=1), 70)
    widths = np.linspace(1.25, 0.7, 70) * width * (1 + 0.08 * np.sin(np.linspace(0, 40, 70)))
    far = [at for at in path[rng.integers(4, 66, 10)] if abs(at[0] - foot[0]) > 0.30]
    for number, at in enumerate(far):
        if number == len(far) // 2:  # half of the leaves grow before the branch
            _limb(canvas, path, widths, bark, rng)
        upward = rng.random() < (0.5 if abs(at[0] - foot[0]) > 0.7 else 0.15)
        heading = unit([rng.uniform(-0.8, 0.8), rng.uniform(0.5, 1.0) * (1 if upward else -1)])
        tone = -26 if number < len(far) // 2 else 0
        _sprig(canvas, at, heading, near, wood=bark, leaf=leaf, tone=tone, rng=rng)


def _limb(
    canvas: Canvas, path: Points, widths: Points, bark: RGB, rng: np.random.Generator
) -> None:
    """A branch with light on its upper side and bark along it."""
    pigment = canvas.pigment("perch", bark, 0.0)
    canvas.fill(ribbon(path, widths), pigment, NEUTRAL - 44)
    for lift, share, tone in ((0.06, 0.8, -18), (0.14, 0.55, 4), (0.24, 0.28, 26)):
        strip = ribbon(path + widths[:, None] * (0, lift), widths * share)
        canvas.fill(strip, None, NEUTRAL + tone)
    for _ in range(60):
        i = int(rng.integers(1, len(path) - 6))
        piece = path[i : i + 5] + np.array([0, rng.uniform(-0.4, 0.42) * widths[i]])
        canvas.fill(ribbon(piece, np.full(5, 0.006)), None, NEUTRAL + int(rng.normal(-22, 24)))


def _sprig(
    canvas: Canvas,
    at: Points,
    heading: Points,
    near: float,
    *,
    wood: RGB,
    leaf: RGB,
    tone: int,
    rng: np.random.Generator,
) -> None:
    """A short twig with a few leaves."""
    length = 0.22 * near
    twig = np.stack([at, at + heading * length])
    bark, green = canvas.pigment("perch", wood, 0.0), canvas.pigment("perch", leaf, 0.0)
    canvas.fill(ribbon(twig, [0.02 * near, 0.01 * near]), bark, NEUTRAL - 20)
    for along, side in ((0.4, 50), (0.55, -48), (0.8, 40), (0.9, -35), (1.0, 4)):
        reach = turn(heading, side + rng.normal(0, 14)) * 0.20 * near * rng.uniform(0.8, 1.15)
        _leaf(canvas, at + heading * length * along, reach, green, tone + int(rng.normal(0, 8)))


def _leaf(canvas: Canvas, base: Points, reach: Points, pigment: int, tone: int) -> None:
    """A leaf with a bright and a shaded half, a rib and side veins."""
    length = float(np.linalg.norm(reach))
    t = np.linspace(0, 1, 12)
    half = np.sin(np.pi * t**0.8) * (1 - 0.35 * t) * 0.30 * length
    bend = np.array([0.0, -0.18 * length])
    rib = base + reach * t[:, None] + bend * (t**2)[:, None]
    side = left_of(reach / length)
    side = side if side[1] > 0 else -side
    upper, lower = rib + side * half[:, None], rib - side * half[:, None]
    canvas.fill(np.concatenate([upper, rib[::-1]]), pigment, NEUTRAL + tone + 20)
    canvas.fill(np.concatenate([rib, lower[::-1]]), pigment, NEUTRAL + tone - 14)
    for i in range(2, 10, 2):
        for edge in (upper, lower):
            vein = np.stack([rib[i], 0.25 * rib[i + 2] + 0.75 * edge[min(i + 2, 11)]])
            canvas.fill(ribbon(vein, [0.005, 0.003]), None, NEUTRAL + tone + 34)
    canvas.fill(ribbon(rib, np.linspace(0.012, 0.004, 12)), None, NEUTRAL + tone + 42)


def _flower(canvas: Canvas, bill_tip: Points, rng: np.random.Generator) -> None:
    """A spray of bells on a bowed stem, one of them at the bill's tip."""
    green = canvas.pigment("perch", _LEAVES[rng.integers(len(_LEAVES))], 0.0)
    petal = canvas.pigment("perch", _PETALS[rng.integers(len(_PETALS))], 0.0)
    x, y = bill_tip
    stem = spline(
        [(x + 0.10, y - 1.5), (x + 0.30, y - 0.5), (x + 0.16, y + 0.16), (x - 0.02, y + 0.4)], 40
    )
    canvas.fill(ribbon(stem, np.linspace(0.05, 0.02, 40)), green, NEUTRAL - 24)
    canvas.fill(
        ribbon(stem + np.array([0.006, 0.004]), np.linspace(0.02, 0.008, 40)), None, NEUTRAL + 20
    )
    for along, size in ((0.66, 1.15), (0.80, 1.0), (0.90, 0.8), (0.99, 0.6)):
        joint = stem[int(along * 39)]
        mouth = bill_tip if size > 1.1 else joint + np.array([-0.20, -0.12]) * size
        axis = unit(mouth - joint)
        long = float(np.linalg.norm(mouth - joint))
        side = left_of(axis)
        t = np.linspace(0, 1, 12)
        flare = (0.03 + 0.05 * t + 0.07 * t**5) * size
        middle = joint + axis * (t * long)[:, None]
        canvas.fill(ribbon(middle, 2 * flare), petal, NEUTRAL - 14)
        canvas.fill(ribbon(middle + side * 0.3 * flare[:, None], flare * 0.7), None, NEUTRAL + 20)
        lips = feathers(
            np.repeat(mouth[None], 5, axis=0),
            np.stack([turn(axis, a) for a in (-96, -48, 0, 48, 96)]),
            0.10 * size, 0.10 * size,
        )  # fmt: skip
        canvas.fill_all(lips, [petal] * 5, NEUTRAL + np.array([-30, -8, 6, 16, 24]))
        canvas.fill_all(
            feathers(joint[None], axis[None], 0.09 * size, 0.10 * size), [green], [NEUTRAL]
        )


def _wire(canvas: Canvas, feet: Points, near: float) -> None:
    foot = feet.mean(axis=0)
    x = np.linspace(-2.2, 2.2, 40)
    width = 0.030 + 0.008 * near
    path = np.stack([foot[0] + x, foot[1] - width * 0.4 + 0.02 * x**2 + 0.03 * x], axis=1)
    pigment = canvas.pigment("perch", (74, 76, 82), 0.0)
    canvas.fill(ribbon(path, np.full(40, width)), pigment, NEUTRAL - 30)
    canvas.fill(
        ribbon(path + np.array([0, width * 0.22]), np.full(40, width * 0.3)), None, NEUTRAL + 50
    )


def _trunk(canvas: Canvas, feet: Points, near: float, rng: np.random.Generator) -> None:
    bark = _BARKS[rng.integers(len(_BARKS))]
    pigment = canvas.pigment("perch", bark, 0.0)
    edge = float(feet[:, 0].mean()) - 0.03
    width = 0.42 + 0.25 * near
    y = np.linspace(-1.6, 1.6, 60)
    left = edge + 0.02 * np.sin(y * 9 + rng.uniform(0, 6)) + 0.015 * np.sin(y * 23)
    strips = 14
    for k in range(strips):
        across = k / strips
        wave = 0.012 * np.sin(y * 14 + k * 1.7)
        outline = np.concatenate(
            [
                np.stack([left + width * across + wave, y], axis=1),
                np.stack([left + width * 1.05 + wave, y], axis=1)[::-1],
            ]
        )
        tone = -34 + 62 * np.sin(np.pi * min(across + 0.12, 1) ** 0.8)
        canvas.fill(outline, pigment, NEUTRAL + int(tone))
    for _ in range(230):
        at = np.array([edge + rng.uniform(0.0, 1.0) * width, rng.uniform(-1.4, 1.4)])
        length, depth = rng.uniform(0.05, 0.22), int(rng.normal(-34, 16))
        crack = np.stack(
            [at, at + np.array([rng.normal(0, 0.012), length * 0.5]), at + np.array([0, length])]
        )
        thick = rng.uniform(0.006, 0.018)
        canvas.fill(ribbon(crack, [0.002, thick, 0.002]), None, NEUTRAL + depth)
        canvas.fill(
            ribbon(crack + np.array([thick * 0.8, 0]), [0.001, thick * 0.5, 0.001]),
            None,
            NEUTRAL + 24,
        )


def _rock(canvas: Canvas, feet: Points, rng: np.random.Generator) -> None:
    rock = _ROCKS[rng.integers(len(_ROCKS))]
    pigment = canvas.pigment("perch", rock, 0.0)
    foot = feet.mean(axis=0)
    x = np.linspace(-1.5, 1.3, 40)
    rough = np.cumsum(rng.normal(0, 0.022, 40)) * (np.abs(x) > 0.22)
    top = foot[1] - 0.01 - 0.42 * np.maximum(np.abs(x) - 0.2, 0) ** 1.4 + rough * 0.6
    crest = np.stack([foot[0] + x, np.minimum(top, foot[1])], axis=1)
    base = np.array([[foot[0] + 1.5, foot[1] - 1.6], [foot[0] - 1.6, foot[1] - 1.6]])
    canvas.fill(np.concatenate([crest, base]), pigment, NEUTRAL + 18)
    for depth, tone in ((0.05, 4), (0.11, -10), (0.2, -24), (0.32, -38)):
        wobble = np.cumsum(rng.normal(0, 0.012, 40))
        lower = crest * (1, 1) - (0, depth) + np.stack([np.zeros(40), wobble], axis=1)
        canvas.fill(np.concatenate([lower, base]), None, NEUTRAL + tone)
    for _ in range(150):
        at = np.array([foot[0] + rng.uniform(-0.9, 0.9), foot[1] - rng.uniform(0.01, 0.7)])
        size = rng.uniform(0.006, 0.02)
        fleck = at + turn(
            np.array([[-2.0, 0], [0, 0.7], [2.0, 0.2], [0, -0.6]]) * size, rng.uniform(-30, 30)
        )
        canvas.fill(fleck, None, NEUTRAL + int(rng.normal(-14, 22)))


def _blades(
    canvas: Canvas,
    feet: Points,
    near: float,
    colours: tuple[RGB, ...],
    *,
    count: int,
    heights: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Blades of grass or reed growing from about the feet's level."""
    foot = feet.mean(axis=0)
    for _ in range(count):
        base = np.array([foot[0] + rng.uniform(-1.3, 1.3), foot[1] - rng.uniform(0.0, 0.12)])
        height = rng.uniform(*heights) * (0.7 + 0.3 * near)
        bend = rng.normal(0, 0.25) * height
        path = spline(base + np.array([[0, 0], [0.3 * bend, 0.6 * height], [bend, height]]), 12)
        width = 0.032 * near * rng.uniform(0.7, 1.2) * np.linspace(1, 0.1, 12) ** 0.7
        pigment = canvas.pigment("perch", colours[rng.integers(len(colours))], 0.0)
        tone = NEUTRAL + int(rng.normal(-6, 14))
        canvas.fill(ribbon(path, width), pigment, tone - 10)
        canvas.fill(ribbon(path - (0.2 * width[0], 0), width * 0.45), None, tone + 14)


def _pebbles(
    canvas: Canvas, feet: Points, near: float, scene: str, rng: np.random.Generator
) -> None:
    """Small stones, or clods of snow, about the feet."""
    foot = feet.mean(axis=0)
    colours: tuple[RGB, ...] = ((226, 232, 242),) if scene == "snow" else _ROCKS
    for _ in range(9):
        at = foot + rng.uniform((-1.1, -0.2), (1.1, 0.0))
        size = rng.uniform(0.015, 0.05) * near
        knots = np.array([[-1, 0], [-0.6, 0.55], [0.1, 0.7], [0.8, 0.45], [1, -0.05], [0, -0.25]])
        outline = at + spline(knots * size * rng.uniform(0.8, 1.2, (6, 1)), 24, closed=True)
        pigment = canvas.pigment("perch", colours[rng.integers(len(colours))], 0.0)
        canvas.fill(outline, pigment, NEUTRAL - 18)
        canvas.fill(outline * 0.55 + (at + np.array([0, size * 0.2])) * 0.45, None, NEUTRAL + 14)
