"""The wing, folded along the body or raised in flight: long feathers laid in their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from finetag_model.drawn.bird import Bird, Coat
from finetag_model.drawn.body import Body
from finetag_model.drawn.canvas import NEUTRAL, Canvas
from finetag_model.drawn.geometry import Points, ellipse, feathers, left_of, ribbon, spline, unit

_RELIEF = 0.55  # the folded wing is flatter than the body it lies on


def draw_quill(
    canvas: Canvas, shape: Points, pigment: int, tone: float, contrast: float = 1.0
) -> None:
    """Draw one long feather (13, 2): a dark rim, a pale fringe, two vanes and a shaft."""
    base, tip = shape[[0, -1]].mean(axis=0), shape[6]
    shaft = base + (tip - base) * np.linspace(0, 1, 7)[:, None]
    one, other = shape[:7], shape[:5:-1]
    lower = one if one[3, 1] < other[3, 1] else other
    doubled = np.concatenate([shaft, shaft[-2::-1]])
    canvas.fill(shape, pigment, int(tone - 40 * contrast))
    canvas.fill(0.10 * doubled + 0.90 * shape, None, int(tone + 16 * contrast))
    canvas.fill(0.26 * doubled + 0.74 * shape, None, int(tone + 4 * contrast))
    vane = np.concatenate([0.26 * shaft + 0.74 * lower, shaft[::-1]])
    canvas.fill(vane, None, int(tone - 12 * contrast))
    canvas.fill(ribbon(shaft[:-1], np.full(6, 0.006)), None, int(tone - 28 * contrast))


@dataclass(frozen=True)
class _Dyes:
    """The wing's pattern and the pigments of its coverts, its flight feathers and its marks."""

    pattern: str
    base: int
    flight: int
    mark: int

    @classmethod
    def of(cls, canvas: Canvas, coat: Coat, relief: float) -> _Dyes:
        base = canvas.pigment("wing", coat.base, relief)
        mark = canvas.pigment("wing", coat.mark or coat.base, relief)
        return cls(coat.pattern, base, mark if coat.pattern == "multi-colored" else base, mark)


class FoldedWing:
    """The near wing, folded along the body; its own axes run shoulder to tip and upwards."""

    def __init__(self, body: Body, bird: Bird) -> None:
        start, lift, depth, beyond = bird.build.wing
        self.shoulder = body.at(start, lift)
        vent = body.at(1.0, 0.45 + lift)
        axis = vent - self.shoulder
        self.rounded = bird.wing_shape in ("rounded-wings", "broad-wings")
        self.length = float(np.linalg.norm(axis)) + beyond - (0.05 if self.rounded else 0.0)
        self.depth = depth * bird.plump / 1.15
        self.axis = unit(axis)
        self.up = -left_of(self.axis)

    def place(self, points: ArrayLike) -> Points:
        """Bird coordinates of points (..., 2) in wing lengths and wing depths."""
        p = np.asarray(points, dtype=float)
        placed: Points = (
            self.shoulder + p[..., :1] * self.length * self.axis + p[..., 1:] * self.depth * self.up
        )
        return placed

    def outline(self) -> Points:
        """The wing's outline (n, 2)."""
        knots: list[tuple[float, float]] = [
            (-0.05, 0.0),
            (0.03, 0.72),
            (0.25, 0.98),
            (0.55, 0.82),
            *([(0.85, 0.46), (0.96, 0.1)] if self.rounded else [(0.85, 0.35), (1.0, 0.0)]),
            (0.8, -0.32),
            (0.5, -0.72),
            (0.22, -0.92),
            (0.02, -0.62),
        ]
        return self.place(spline(knots, 60, closed=True))


def draw_folded_wing(canvas: Canvas, body: Body, bird: Bird, rng: np.random.Generator) -> None:
    """Draw the near wing, folded."""
    wing = FoldedWing(body, bird)
    dyes = _Dyes.of(canvas, bird.coats["wing"], _RELIEF)
    outline = wing.outline()
    canvas.shade(outline - (0.0, 0.016), 0.018, -34)
    canvas.fill(outline, dyes.base, NEUTRAL - 20)
    _draw_flight_feathers(canvas, wing, dyes, rng)
    _draw_coverts(canvas, wing, dyes, rng)


def _draw_flight_feathers(
    canvas: Canvas, wing: FoldedWing, dyes: _Dyes, rng: np.random.Generator
) -> None:
    """Primaries from the outermost in, then secondaries up to the tertials over them."""
    count = 11
    for i in range(count):
        t = i / (count - 1)
        primary = i < 5
        base = wing.place((0.20 + 0.05 * t, -0.70 + 1.35 * t))
        if primary:
            tip = wing.place((1.0 - (0.04 if wing.rounded else 0.09) * i, -0.06 + 0.05 * i))
            width = wing.depth * (0.62 if wing.rounded else 0.40)
        else:
            tip = wing.place((0.68 - 0.03 * (i - 5), -0.30 + 0.19 * (i - 5)))
            width = wing.depth * 0.52
        pointed = 0.75 if primary and not wing.rounded else 0.1
        long = np.linalg.norm(tip - base)
        shape = feathers([base], [tip - base], long, width, pointed)[0]
        draw_quill(canvas, shape, dyes.flight, NEUTRAL - 2 + 8 * t + rng.normal(0, 3))
        if dyes.pattern == "spotted":
            for along in (0.62, 0.82):
                spot = base + (tip - base) * along
                canvas.fill(ellipse(spot, (width * 0.3, width * 0.24), count=14), dyes.mark, None)


def _draw_coverts(canvas: Canvas, wing: FoldedWing, dyes: _Dyes, rng: np.random.Generator) -> None:
    """Rows of coverts, each row overlapping the one behind it; bars and spots on their tips."""
    rows = (
        (0.40, 0.26, 7, 0.86),
        (0.27, 0.20, 7, 0.84),
        (0.16, 0.16, 7, 0.78),
        (0.07, 0.14, 6, 0.66),
        (-0.01, 0.12, 5, 0.48),
    )  # start, length, number of feathers, half the row's height
    for number, (start, length, count, half) in enumerate(rows):
        width = wing.depth * 2 * half / count * 1.55
        for y in np.linspace(-half, half, count):
            root = wing.place((start - 0.10 * y * y - length * 0.35, y))
            tip = wing.place((start - 0.10 * y * y + length * 0.55, y * 0.92 - 0.02))
            long = float(np.linalg.norm(tip - root))
            shade = feathers([root], [tip - root], long * 1.06, width * 1.1)[0]
            canvas.fill(shade, None, NEUTRAL - 34)
            shape = feathers([root], [tip - root], long, width)[0]
            draw_quill(canvas, shape, dyes.base, NEUTRAL + 6 + 8 * y + rng.normal(0, 4), 0.8)
            if dyes.pattern == "striped" and number < 2:
                start_of_bar = root + (tip - root) * 0.66
                bar = feathers([start_of_bar], [tip - root], long * 0.37, width)[0]
                canvas.fill(bar, dyes.mark, NEUTRAL + 6)
            elif dyes.pattern == "spotted":
                spot = ellipse(root + (tip - root) * 0.74, (width * 0.28, width * 0.28), count=14)
                canvas.fill(spot, dyes.mark, NEUTRAL)


def raised_quills(body: Body, bird: Bird, near: bool) -> Points:
    """The flight feathers (k, 13, 2) of a raised wing, from the innermost to the outermost."""
    count = 15
    t = np.linspace(0, 1, count)
    shoulder = body.at(bird.build.wing[0], 0.35)
    swing = 0.0 if near else -22.0
    angle = np.radians(166 - 74 * t**0.9 + swing)
    arm = np.radians(104 + swing)
    reach = 0.24 * t
    base = shoulder + np.stack([np.cos(arm) * reach, np.sin(arm) * reach], axis=1)
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    length = 0.40 + 0.42 * t**1.3
    return feathers(base, direction, length, 0.125 - 0.035 * t, pointed=0.55)


def draw_raised_wing(
    canvas: Canvas, body: Body, bird: Bird, rng: np.random.Generator, near: bool
) -> None:
    """Draw one raised wing: its flight feathers, and coverts over their roots."""
    dyes = _Dyes.of(canvas, bird.coats["wing"], 0.0)
    tone = NEUTRAL + (4 if near else -26)
    quills = raised_quills(body, bird, near)
    for quill in quills:
        draw_quill(canvas, quill, dyes.flight, tone + rng.normal(0, 3))
        for share in (0.6, 0.8) if dyes.pattern == "spotted" else ():
            spot = quill[0] * (1 - share) + quill[6] * share
            canvas.fill(ellipse(spot, (0.026, 0.026), count=14), dyes.mark, None)
    for share, start in ((0.34, 0.26), (0.28, 0.10), (0.22, -0.04)):
        for quill in quills:
            root = quill[[0, -1]].mean(axis=0)
            along = quill[6] - root
            long = float(np.linalg.norm(along))
            foot = root + along * start
            shape = feathers([foot], [along], long * share, 0.10)[0]
            draw_quill(canvas, shape, dyes.base, tone + 4 + rng.normal(0, 4), 0.8)
            if dyes.pattern == "striped" and start > 0:
                bar = feathers([foot + along * share * 0.55], [along], long * share * 0.48, 0.10)
                canvas.fill(bar[0], dyes.mark, None)
            elif dyes.pattern == "spotted":
                spot = foot + along * share * 0.7
                canvas.fill(ellipse(spot, (0.022, 0.022), count=14), dyes.mark, None)
