"""Put a bag on paper: its strap, its body with the pattern, what tells its shape, and the light.

Coordinates are those of `bag.Form`, before the bag is turned by its lean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from finetag_model.drawn import backdrop
from finetag_model.drawn.bag import FORMS, Bag
from finetag_model.drawn.canvas import NEUTRAL, Canvas, Floats
from finetag_model.drawn.geometry import Frame, Points, ellipse, ribbon, rounded, spline, turn
from finetag_model.drawn.palette import RGB

Mask = NDArray[np.bool_]
_OVERSAMPLING = 2  # pixels drawn for one delivered, each way, so that edges are smooth
_BRASS: tuple[RGB, ...] = ((214, 178, 84), (192, 196, 202))  # or steel
_SEAM = 88  # the light on a seam


def draw_bag(bag: Bag, width: int = 320) -> Image.Image:
    """The picture of `bag`, RGB, `width` pixels each way."""
    fine = _Sheet(bag, width * _OVERSAMPLING).picture()
    exposed = [round(min(value * bag.exposure, 255)) for value in range(256)]
    return fine.resize((width, width), Image.Resampling.BOX).point(3 * exposed)


class _Sheet:
    """A bag being drawn; points (..., 2) are turned by its lean on their way to the canvas."""

    def __init__(self, bag: Bag, side: int) -> None:
        self.bag = bag
        self.rng = np.random.default_rng([bag.seed, 1])
        form = FORMS[bag.shape]
        self.round = form.round
        self.bottom, self.top = form.bottom * bag.wide, form.top * bag.wide
        self.height = form.height * bag.high
        low, high = form.corner
        corners = [(-self.bottom, 0.0), (self.bottom, 0.0)]
        corners += [(self.top, self.height), (-self.top, self.height)]
        self.outline = rounded(corners, (low, low, high, high))
        self.paths = self._strap_paths()
        self.canvas = Canvas((side, side), self._frame(side))
        self.cloth = self.canvas.pigment("body", bag.colour)
        self.leather = self.canvas.pigment("strap", bag.leather, 0.5)
        self.metal = self.canvas.pigment("metal", _BRASS[int(self.rng.integers(2))], 0.3)
        self.inside = self.canvas.pigment("inside", bag.colour, 0.2)

    def picture(self) -> Image.Image:
        """Draw everything."""
        self._draw_strap()
        self.fill(self.outline, self.cloth)
        self._draw_folds()
        _DETAILS[self.bag.shape](self)
        self._print_pattern()
        return Image.fromarray(self._lit())

    def fill(self, outline: ArrayLike, pigment: int | None, light: int | None = NEUTRAL) -> None:
        """Fill an outline (n, 2), as `Canvas.fill` does."""
        self.canvas.fill(turn(outline, self.bag.lean), pigment, light)

    def line(
        self, path: ArrayLike, width: float, pigment: int | None = None, light: int = _SEAM
    ) -> None:
        """Draw a band along a path (k, 2); without a pigment it is a seam."""
        points = np.asarray(path, dtype=float)
        self.fill(ribbon(points, np.full(len(points), width)), pigment, light)

    def shade(self, outline: ArrayLike, blur: float, amount: int) -> None:
        """Lighten or darken softly, as `Canvas.shade` does."""
        self.canvas.shade(turn(outline, self.bag.lean), blur, amount)

    def _frame(self, side: int) -> Frame:
        """Fit the bag and its strap into the picture, anywhere."""
        extent = turn(np.concatenate([self.outline, *self.paths]), self.bag.lean)
        low, high = extent.min(axis=0), extent.max(axis=0)
        scale = float(side * self.bag.size / (high - low).max())
        room = side * 0.96 - (high - low) * scale
        x, y = side * 0.02 + self.rng.random(2) * room + scale * np.array([-low[0], high[1]])
        return Frame(scale, float(x), float(y))

    def _strap_paths(self) -> list[Points]:
        """The middle lines of the straps, from back to front."""
        top = self.height - 0.02
        reach = self.top * (0.86 if self.bag.shape != "backpack" else 0.6)
        rise = self.rng.uniform(0.9, 1.1)
        if self.bag.strap == "handles":
            grip = 0.44 * self.top
            knots = np.array([(-grip, 0), (-0.8 * grip, 0.36), (0, 0.5), (0.8 * grip, 0.36)])
            front = np.concatenate([knots, [(grip, 0)]]) * (1, rise) + (0, top)
            return [spline(front, 40) + np.array([0.07, 0.08]), spline(front, 40)]
        if self.bag.strap in ("shoulder", "chain"):
            knots = np.array([(-1, 0), (-0.86, 0.5), (-0.45, 0.84), (0.05, 0.92)])
            knots = np.concatenate([knots, [(0.52, 0.8), (0.88, 0.48), (1, 0)]])
            return [spline(knots * (reach, 0.95 * rise) + (0, top), 60)]
        if self.bag.strap == "crossbody":  # as if hung on a peg
            knots = np.array([(-1, 0), (-0.46, 0.86), (-0.06, 1.55), (0.06, 1.55), (0.46, 0.86)])
            return [spline(np.concatenate([knots, [(1, 0)]]) * (reach, rise) + (0, top), 60)]
        return []

    def _draw_strap(self) -> None:
        for number, path in enumerate(self.paths):
            if self.bag.strap == "chain":
                self._draw_chain(path)
                continue
            thick = {"handles": 0.12, "shoulder": 0.17, "crossbody": 0.07}[self.bag.strap]
            behind = number < len(self.paths) - 1
            self.line(path, thick, self.leather, 92 if behind else NEUTRAL)
            self.line(path, thick * 0.4, None, 108 if behind else 144)  # its rounded middle
        if self.paths and self.bag.strap != "handles":
            for end in (self.paths[0][0], self.paths[0][-1]):
                self.fill(ellipse((end[0], end[1] + 0.03), (0.07, 0.09)), self.metal, 140)

    def _draw_chain(self, path: Points) -> None:
        """Links in turn from the side and from the front."""
        steps = np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()
        count = int(steps[-1] / 0.105)
        at = np.linspace(0, steps[-1], count)
        middles = [np.interp(at, np.append(0, steps), path[:, i]) for i in range(2)]
        for i, (x, y) in enumerate(np.stack(middles, axis=1)):
            dx, dy = np.gradient(middles[0])[i], np.gradient(middles[1])[i]
            angle = float(np.degrees(np.arctan2(dy, dx)))
            if i % 2:
                self.fill(ellipse((x, y), (0.085, 0.032), angle), self.metal, 150)
                continue
            self.fill(ellipse((x, y), (0.095, 0.068), angle), self.metal, 122)
            self.fill(ellipse((x, y), (0.05, 0.026), angle), 0, NEUTRAL)

    def _draw_folds(self) -> None:
        """Soft light on the cloth, a shadow along its lower edge."""
        for _ in range(5):
            x, y = self.rng.uniform(-0.7, 0.7) * self.top, self.rng.uniform(0.1, 0.9) * self.height
            fold = ellipse((x, y), (0.05, 0.34 * self.height), self.rng.uniform(-25, 25))
            self.shade(fold, 0.08, int(self.rng.integers(-16, 14)))
        foot = ellipse((0, 0), (self.bottom * 1.1, 0.07))
        self.shade(foot, 0.07, -30)

    def _print_pattern(self) -> None:
        """Print the pattern on all of the cloth; seams and light stay as they are."""
        if self.bag.mark is None:
            return
        pixels = np.indices(self.canvas.size[::-1])[::-1].transpose(1, 2, 0)
        u, v = np.moveaxis(turn(self.canvas.frame.points(pixels), -self.bag.lean), -1, 0)
        shown = _PATTERNS[self.bag.pattern](u, v, self.rng)
        cloth = np.asarray(self.canvas.pigments) == self.cloth
        mark = self.canvas.pigment("body", self.bag.mark)
        self.canvas.pigments.paste(mark, mask=Image.fromarray(shown & cloth))

    def _lit(self) -> NDArray[np.uint8]:
        """The picture as RGB (height, width, 3)."""
        bag, size, frame = self.bag, self.canvas.size, self.canvas.frame
        across, down = (np.arange(length, dtype=np.float32) for length in size)
        x = (across - frame.x) / frame.scale / self.top
        y = (frame.y - down)[:, None] / frame.scale / self.height - 0.5
        aside, above = bag.light
        volume = 1.04 + aside * x + above * y - self.round * np.clip(x, -1, 1) ** 2
        colours, drawn = self.canvas.colours(volume)
        foot = turn([0, 0], bag.lean)
        line = frame.pixels(foot)[1] / size[1]
        horizon = float(np.clip(line - self.rng.uniform(0.08, 0.3), 0.15, 0.92))
        if bag.scene == "room":
            ground = backdrop.draw_room(size, horizon, self.rng)
        else:
            ground = backdrop.draw_backdrop(bag.scene, size, horizon, self.rng)
        scene = np.asarray(ground).copy()
        backdrop.cast_shadow(scene, frame, foot, (self.bottom * 1.15, 0.13))
        scene[drawn] = colours[drawn]
        return scene


def _draw_tote(sheet: _Sheet) -> None:
    top, height = sheet.top, sheet.height
    sheet.line([(-top, height - 0.13), (top, height - 0.13)], 0.025)
    if sheet.bag.strap == "handles":  # sewn on
        for x in (-0.44 * top, 0.44 * top):
            sheet.line([(x, height), (x, height - 0.26)], 0.12, sheet.leather)


def _draw_satchel(sheet: _Sheet) -> None:
    top, height = sheet.top, sheet.height
    low = 0.36 * height
    flap = rounded(
        [(-top * 1.02, low), (top * 1.02, low), (top, height), (-top, height)],
        (0.24, 0.24, 0.12, 0.12),
    )
    sheet.shade(flap - (0, 0.05), 0.05, -46)
    sheet.fill(flap, sheet.cloth, 136)
    sheet.line(flap[: len(flap) // 2 + 2], 0.022)
    for x in (-0.52 * top, 0.52 * top):
        sheet.line([(x, height), (x, 0.2 * height)], 0.13, sheet.leather, 118)
        sheet.fill(_box(x, low, 0.11, 0.09), sheet.metal, 150)
        sheet.fill(_box(x, low, 0.055, 0.045), sheet.leather, 80)


def _draw_backpack(sheet: _Sheet) -> None:
    width, height = sheet.bottom, sheet.height
    pocket = rounded(
        [(-0.66 * width, 0.1), (0.66 * width, 0.1), (0.62 * width, 0.8), (-0.62 * width, 0.8)],
        (0.14, 0.14, 0.2, 0.2),
    )
    sheet.shade(pocket - (0, 0.03), 0.06, -40)
    sheet.fill(pocket, sheet.cloth, 140)
    sheet.line(np.concatenate([pocket, pocket[:1]]), 0.022)
    sheet.line([(-0.5 * width, 0.66), (0.5 * width, 0.66)], 0.03, sheet.metal, 120)
    arch = [(-0.84, 0.9), (-0.82, 1.3), (-0.5, 1.56), (0, 1.62), (0.5, 1.56), (0.82, 1.3)]
    zipper = spline([*arch, (0.84, 0.9)], 50) * (width * 0.9, height / 1.75)
    sheet.line(zipper, 0.05, None, 70)
    sheet.line(zipper, 0.02, sheet.metal, 110)
    sheet.line([zipper[-1], zipper[-1] - (0.01, 0.16)], 0.045, sheet.metal, 140)


def _draw_clutch(sheet: _Sheet) -> None:
    top, height = sheet.top, sheet.height
    flap = rounded(
        [(-top, height), (top, height), (0.06, 0.24 * height), (-0.06, 0.24 * height)],
        (0.06, 0.06, 0.05, 0.05),
    )
    sheet.shade(flap - (0, 0.05), 0.05, -52)
    sheet.fill(flap, sheet.cloth, 138)
    sheet.line(np.concatenate([flap, flap[:1]]), 0.022)
    sheet.fill(ellipse((0, 0.34 * height), (0.085, 0.085)), sheet.metal, 128)
    sheet.fill(ellipse((-0.02, 0.36 * height), (0.035, 0.035)), sheet.metal, 178)


def _draw_duffel(sheet: _Sheet) -> None:
    width, height = sheet.bottom, sheet.height
    for side in (-1, 1):
        seam = [(0.8, 0.02), (0.86, 0.3), (0.87, 0.6), (0.8, 0.98)]
        end = spline(np.array(seam) * (side * width, height), 20)
        sheet.line(end, 0.025)
        sheet.line(np.array([(0.4, 0), (0.4, 0.99)]) * (side * width, height), 0.1, sheet.leather)
    zipper = np.array([(-0.78, 0.84), (0, 0.88), (0.78, 0.84)]) * (width, height)
    sheet.line(zipper, 0.06, None, 66)
    sheet.line(zipper, 0.025, sheet.metal, 116)


def _draw_bucket(sheet: _Sheet) -> None:
    top, height = sheet.top, sheet.height
    rim = ellipse((0, height), (top, 0.17), count=60)
    front = rim[30:]  # the near half, from left to right
    sheet.fill(np.concatenate([front, [(top, height)], [(-top, height)]]), sheet.cloth)
    sheet.fill(rim, sheet.inside, 62)
    sheet.line(front, 0.05, sheet.leather)
    cord = front * (0.96, 1) - (0, 0.2)
    sheet.line(cord, 0.035, sheet.leather, 104)
    for x in np.linspace(-0.8, 0.8, 9) * top:
        dip = height - 0.2 - 0.17 * np.sqrt(1 - (x / top) ** 2)
        pleat = ellipse((x * 0.97, dip - 0.16), (0.02, 0.16), float(x) * 8)
        sheet.shade(pleat, 0.03, -34)
    knot = np.array([0, height - 0.38])
    for end in ((-0.12, -0.32), (0.13, -0.27)):
        sheet.line([knot, knot + end], 0.04, sheet.leather)
    sheet.fill(ellipse(knot, (0.06, 0.05)), sheet.leather, 140)


def _box(x: float, y: float, half_width: float, half_height: float) -> Points:
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    return np.array(corners) * (half_width, half_height) + (x, y)


_DETAILS: Mapping[str, Callable[[_Sheet], None]] = {
    "tote": _draw_tote,
    "satchel": _draw_satchel,
    "backpack": _draw_backpack,
    "clutch": _draw_clutch,
    "duffel": _draw_duffel,
    "bucket": _draw_bucket,
}


def _striped(u: Floats, v: Floats, rng: np.random.Generator) -> Mask:
    """Where the second colour shows, of places u across and v above, like the next two."""
    angle = np.radians(rng.choice([0, 45, 90, 135]))
    across = u * np.cos(angle) + v * np.sin(angle)
    return np.asarray(across / rng.uniform(0.2, 0.34) % 1 < 0.46)


def _checked(u: Floats, v: Floats, rng: np.random.Generator) -> Mask:
    side = rng.uniform(0.15, 0.24)
    return np.asarray((np.floor(u / side) + np.floor(v / side)) % 2 == 0)


def _dotted(u: Floats, v: Floats, rng: np.random.Generator) -> Mask:
    pitch = rng.uniform(0.22, 0.34)
    row = np.floor(v / pitch)
    x, y = (u / pitch + 0.5 * (row % 2)) % 1 - 0.5, v / pitch - row - 0.5
    return np.asarray(x**2 + y**2 < rng.uniform(0.28, 0.36) ** 2)


_PATTERNS: Mapping[str, Callable[[Floats, Floats, np.random.Generator], Mask]] = {
    "striped": _striped,
    "checked": _checked,
    "dotted": _dotted,
}
