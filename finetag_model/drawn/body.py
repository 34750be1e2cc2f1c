"""The body: a round tube of plumage swept along the spine, covered feather by feather.

Knows which part of the bird each point of the tube belongs to. Wing, tail, bill and legs are
put on it by other modules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finetag_model.drawn.bird import Bird
from finetag_model.drawn.canvas import NEUTRAL, Canvas, Floats, clamp
from finetag_model.drawn.geometry import Frame, Points, feathers, left_of, spline, turn, unit

_SUN = np.array([0.28, 0.78, 0.56])  # from above, in front of and before the bird
_SAMPLES = 72
_FEATHER = 3.1  # the length of a feather over the distance between rows


@dataclass(frozen=True)
class Body:
    """The posed tube: spheres along the spine, and the head at its front.

    `centres` (n, 2) and `radii` (n,) run from head to vent; `along` (n, 2) points tailwards
    and `up` (n, 2) to the bird's back; `reach` (n,) is the fraction of the spine passed.
    """

    centres: Points
    radii: NDArray[np.float64]
    along: Points
    up: Points
    reach: NDArray[np.float64]
    head: Points
    head_radius: float
    gaze: float

    @classmethod
    def of(cls, bird: Bird) -> Body:
        """The body of `bird` in its pose."""
        knots = np.array(bird.build.spine)
        knots[:, :2] = turn(knots[:, :2], bird.lean - (22 if bird.scene == "sky" else 0))
        knots[:, 2] *= np.linspace(1, 0.9, len(knots)) * bird.plump
        dense = spline(knots, 400)
        steps = np.linalg.norm(np.diff(dense[:, :2], axis=0), axis=1)
        arc = np.concatenate([[0.0], np.cumsum(steps)])
        even = np.linspace(0, arc[-1], _SAMPLES)
        curve = np.stack([np.interp(even, arc, dense[:, i]) for i in range(3)], axis=1)
        along = unit(np.gradient(curve[:, :2], axis=0))
        return cls(
            centres=curve[:, :2],
            radii=curve[:, 2],
            along=along,
            up=-left_of(along),
            reach=even / arc[-1],
            head=knots[0, :2],
            head_radius=float(knots[0, 2]),
            gaze=bird.gaze,
        )

    def at(self, reach: float, across: float = 0.0) -> Points:
        """The point at a fraction of the spine, `across` from -1 (belly) to 1 (back)."""
        i = int(np.argmin(np.abs(self.reach - reach)))
        point: Points = self.centres[i] + self.up[i] * self.radii[i] * across
        return point

    def on_head(self, points: Points) -> Points:
        """Bird coordinates of points (..., 2) in head radii, x to the bill, y to the crown."""
        return self.head + turn(np.asarray(points) * self.head_radius, self.gaze)

    def in_head(self, points: Points) -> Points:
        """The inverse of `on_head`."""
        return turn(np.asarray(points) - self.head, -self.gaze) / self.head_radius

    def outline(self) -> Points:
        """Points (n, 2) that span the tube; enough to frame it."""
        side = self.up * self.radii[:, None]
        return np.concatenate([self.centres + side, self.centres - side])

    def volume(self, size: tuple[int, int], frame: Frame) -> Floats:
        """Light on the round surface, float32 (height, width), about 1 on average."""
        coarse = (size[0] // 5, size[1] // 5)
        y, x = np.mgrid[0 : coarse[1], 0 : coarse[0]]
        points = frame.points(np.stack([x, y], axis=-1).reshape(-1, 2) * 5.0 + 2.5)
        points = points.astype(np.float32)
        centres, radii = self.centres.astype(np.float32), self.radii.astype(np.float32)
        height = 2 * points @ centres.T + (
            radii**2 - (centres**2).sum(axis=1)
        )  # up to |p|^2, the square of each sphere's height over the paper
        i = height.argmax(axis=1)
        normal = (points - centres[i]) / radii[i, None]
        flat = (normal**2).sum(axis=1)
        normal /= np.sqrt(np.maximum(flat, 1))[:, None]
        facing = np.sqrt(np.maximum(1 - flat, 0))
        lit = normal[:, 0] * _SUN[0] + normal[:, 1] * _SUN[1] + facing * _SUN[2]
        edge = (1 - facing) ** 3
        light = 0.895 + 0.25 * np.clip(lit, -0.06, 1) + 0.08 * np.clip(lit, 0, 1) ** 6
        light -= edge * np.where(normal[:, 1] < 0.2, 0.24, 0.04)
        image = Image.fromarray(light.reshape(coarse[1], coarse[0]).astype(np.float32))
        return np.asarray(image.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)


@dataclass(frozen=True)
class _Lattice:
    """Where feathers grow: rows from tail to bill, staggered like tiles; k in all."""

    base: Points  # (k, 2)
    direction: Points  # (k, 2)
    length: NDArray[np.float64]
    width: NDArray[np.float64]
    reach: NDArray[np.float64]
    across: NDArray[np.float64]  # -1 belly to 1 back


def draw_body(canvas: Canvas, body: Body, bird: Bird, rng: np.random.Generator) -> None:
    """Cover the whole tube with feathers in the colours of its parts."""
    lattice = _lattice(body, rng)
    parts = _parts(bird, body, lattice)
    names, part = np.unique(parts, return_inverse=True)
    pigment = np.empty(len(parts), dtype=int)
    for i, name in enumerate(names):
        here = part == i
        coat = bird.coats[name]
        pigment[here] = canvas.pigment(name, coat.base)
        if coat.pattern == "multi-colored" and coat.mark:
            pigment[here & _second_field(name, bird, lattice)] = canvas.pigment(name, coat.mark)
    shape = feathers(lattice.base, lattice.direction, lattice.length, lattice.width)
    # Larger ones beneath, so that no gap between feathers lets the background through.
    inside = np.abs(lattice.across) < 0.94
    under = feathers(
        lattice.base, lattice.direction, lattice.length * 1.7, np.maximum(lattice.width * 1.7, 0.05)
    )
    canvas.fill_all(under[inside], pigment[inside], None)
    tone = NEUTRAL + 9 + rng.normal(0, 6, len(parts))
    depth = np.interp(lattice.reach, [0, 0.2, 0.45, 1], [10, 14, 20, 22])
    _lay(canvas, shape, pigment, tone, depth * np.where(lattice.across > 0.12, 1.2, 0.9))
    _draw_patterns(canvas, bird, lattice, parts)
    canvas.soften(0.0045)


def _lay(
    canvas: Canvas,
    shape: Points,
    pigment: NDArray[np.int64],
    tone: NDArray[np.float64],
    depth: NDArray[np.float64],
) -> None:
    """Lay feathers (k, 13, 2) like tiles, each a little lighter in the middle than at the rim."""
    middle = shape.mean(axis=1, keepdims=True)
    inner = middle + (shape - middle) * 0.72
    outlines = np.stack([shape, inner], axis=1).reshape(-1, *shape.shape[1:])
    lights = np.stack([tone - depth, tone], axis=1).ravel()
    canvas.fill_all(outlines, None, clamp(lights))
    canvas.fill_all(shape, pigment, None)


def _lattice(body: Body, rng: np.random.Generator) -> _Lattice:
    """Rows of feathers over the tube and, before it, over the front of the head."""
    spacing = np.interp(body.reach, [0, 0.25, 0.5, 1], [0.019, 0.023, 0.032, 0.034])
    rows: list[tuple[Points, float, Points, float, float]] = []
    position, i = 0.0, 0
    span = float(np.linalg.norm(np.diff(body.centres, axis=0), axis=1).sum())
    while position < span:
        i = int(position / span * (len(body.centres) - 1))
        rows.append((body.centres[i], body.radii[i], body.along[i], spacing[i], body.reach[i]))
        position += spacing[i]
    radius = body.head_radius
    for ahead in np.arange(spacing[0], radius, spacing[0]):
        half = float(np.sqrt(radius**2 - ahead**2))
        front = body.head - body.along[0] * ahead
        rows.insert(0, (front, half, body.along[0], spacing[0], 0.0))
    # Feathers lie on the surface, so their tips follow the tube as it widens and narrows.
    halves = np.array([half for _, half, *_ in rows])
    steps = np.array([step for _, _, _, step, _ in rows])
    slope = np.clip(np.gradient(halves) / steps, -1.6, 1.6)
    found = []
    for number, (centre, half, along, step, reach) in reversed(list(enumerate(rows))):
        columns = max(4, round(np.pi * half / (step * 0.95)))
        angle = (np.arange(columns) + 0.5 * (number % 2) + 0.25) / columns * np.pi - np.pi / 2
        angle += rng.normal(0, 0.10, columns) * np.pi / columns
        across = np.sin(angle)
        outward = -left_of(along) * across[:, None]
        base = centre + 0.965 * half * outward + rng.normal(0, step * 0.10, (columns, 2))
        heading = unit(along + outward * (slope[number] - 0.12))
        breadth = step * np.where(across > 0.12, 1.5, 1.2) * np.maximum(np.cos(angle), 0.4)
        for j in range(columns):
            where = (*base[j], *heading[j], step * _FEATHER, breadth[j])
            found.append((*where, reach, across[j]))
    table = np.array(found)
    direction = table[:, 2:4] + rng.normal(0, 0.06, (len(table), 2))
    return _Lattice(
        base=table[:, :2] - table[:, 2:4] * table[:, 4:5] * 0.4,
        direction=unit(direction),
        length=table[:, 4],
        width=table[:, 5],
        reach=table[:, 6],
        across=table[:, 7],
    )


def _parts(bird: Bird, body: Body, lattice: _Lattice) -> NDArray[np.str_]:
    """The part each feather belongs to."""
    build = bird.build
    middle = lattice.base + lattice.direction * lattice.length[:, None] * 0.6
    x, y = np.moveaxis(body.in_head(middle), -1, 0)
    angle = np.degrees(np.arctan2(y + 0.05, x + 0.1))
    on_head = (np.hypot(x, y) < 1.12) & (lattice.reach < build.neck)
    back = lattice.across > 0.12
    if bird.shape == "owl-like":
        return np.select(
            [
                on_head & (np.hypot((x - 0.2) / 0.84, (y + 0.05) / 0.52) < 1),
                on_head & (x > -0.5) & (y > 0.3) & (y < 0.74),
                on_head & (y >= 0.6),
                (lattice.reach < build.neck) & (x > -0.42) & (y < -0.3),
                lattice.reach < build.neck,
                (lattice.reach > 0.9) & ~back,
                back,
                lattice.reach < build.belly,
            ],
            ["face", "forehead", "crown", "throat", "nape", "under_tail", "back", "breast"],
            "belly",
        )
    return np.select(
        [
            on_head & (((x - 0.32) / 0.52) ** 2 + ((y + 0.02) / 0.42) ** 2 < 1),
            on_head & (angle > -12) & (angle <= 66),
            on_head & (angle > 66) & (angle <= 134),
            on_head & (angle > -125) & (angle <= -12),
            (lattice.reach < build.neck * 0.85) & (lattice.across < -0.05),
            lattice.reach < build.neck * 0.85,
            (lattice.reach > 0.9) & ~back,
            back,
            lattice.reach < build.belly,
        ],
        ["face", "forehead", "crown", "throat", "throat", "nape", "under_tail", "back", "breast"],
        "belly",
    )


def _second_field(part: str, bird: Bird, lattice: _Lattice) -> NDArray[np.bool_]:
    """Which feathers wear the second colour of a multi-coloured part."""
    build = bird.build
    if part == "breast":
        return lattice.reach > (build.neck * 0.55 + build.belly * 0.45)
    if part == "belly":
        return lattice.reach > (build.belly * 0.5 + 0.9 * 0.5)
    return lattice.reach > (build.neck * 0.6 + 0.9 * 0.4)


def _draw_patterns(canvas: Canvas, bird: Bird, lattice: _Lattice, parts: NDArray[np.str_]) -> None:
    """Spots and streaks on back, breast and belly."""
    for part in ("back", "breast", "belly"):
        coat = bird.coats[part]
        if not coat.mark or coat.pattern == "multi-colored":
            continue
        pigment = canvas.pigment(part, coat.mark)
        seen = np.flatnonzero((parts == part) & (np.abs(lattice.across) < 0.95))
        along, across, pointed = (2.5, 1.8, 0.0) if coat.pattern == "spotted" else (4.6, 1.4, 0.6)
        chosen = _spaced(lattice, seen, along * 1.25, across * 1.75)
        step = lattice.length[chosen] / _FEATHER
        mark = feathers(
            lattice.base[chosen], lattice.direction[chosen], step * along, step * across, pointed
        )
        canvas.fill_all(mark, [pigment] * len(mark), None)


def _spaced(
    lattice: _Lattice, candidates: NDArray[np.int64], along: float, across: float
) -> list[int]:
    """Pick feathers that keep a distance, in row spacings, along and across their direction."""
    chosen: list[int] = []
    for i in candidates.tolist():
        apart = (lattice.base[chosen] - lattice.base[i]) * _FEATHER / lattice.length[i]
        ahead = apart @ lattice.direction[i] / along
        aside = apart @ left_of(lattice.direction[i]) / across
        if np.all(ahead**2 + aside**2 >= 1):
            chosen.append(i)
    return chosen
