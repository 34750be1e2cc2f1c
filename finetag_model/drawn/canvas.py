"""A sheet to draw a bird on: which pigment lies where, and how the light falls on it.

Every stroke leaves two traces: the number of its pigment, and a grey that lightens or darkens
it. Colours come last, in one look-up, so that what is drawn is also what is known of each
pixel. Pictures of the scenery's soft background are made elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

from finetag_model.drawn.geometry import Frame, Points
from finetag_model.drawn.palette import COLOURS, RGB, SHEEN

NEUTRAL = 128  # the grey of the light map that leaves a pigment as it is
Floats = NDArray[np.float32]


class Canvas:
    """Pigment numbers and light, both uint8 (height, width), 0 pigment where nothing is drawn."""

    def __init__(self, size: tuple[int, int], frame: Frame) -> None:
        self.frame = frame
        self.size = size
        self.pigments = Image.new("L", size, 0)
        self.light = Image.new("L", size, NEUTRAL)
        self._pigment_pen = ImageDraw.Draw(self.pigments)
        self._light_pen = ImageDraw.Draw(self.light)
        self._palette: list[tuple[str, str | RGB, float]] = [("", (0, 0, 0), 0.0)]

    def pigment(self, part: str, colour: str | RGB, relief: float = 1.0) -> int:
        """A number for `colour` on `part`; `relief` is how much the body's roundness shades it."""
        entry = (part, colour, relief)
        if entry not in self._palette:
            self._palette.append(entry)
        return self._palette.index(entry)

    def fill(self, outline: Points, pigment: int | None, light: int | None = NEUTRAL) -> None:
        """Fill an outline (n, 2) in bird coordinates; None leaves that trace as it is."""
        flat = self.frame.pixels(outline).ravel().tolist()
        if pigment is not None:
            self._pigment_pen.polygon(flat, fill=pigment)
        if light is not None:
            self._light_pen.polygon(flat, fill=int(min(max(light, 0), 255)))

    def fill_all(
        self, outlines: Points, pigments: Iterable[int] | None, lights: Iterable[int] | None
    ) -> None:
        """Fill outlines (k, n, 2) one over the other, each with its pigment and light."""
        flat = self.frame.pixels(outlines).reshape(len(outlines), -1).tolist()
        if pigments is not None:
            for outline, pigment in zip(flat, pigments, strict=True):
                self._pigment_pen.polygon(outline, fill=int(pigment))
        if lights is not None:
            for outline, light in zip(flat, lights, strict=True):
                self._light_pen.polygon(outline, fill=int(light))

    def shade(self, outline: Points, blur: float, amount: int) -> None:
        """Lighten (or darken, if negative) softly about an outline; `blur` in bird units."""
        pixels = self.frame.pixels(outline)
        radius = blur * self.frame.scale
        low = np.maximum(np.floor(pixels.min(axis=0) - 3 * radius), 0).astype(int)
        high = np.minimum(np.ceil(pixels.max(axis=0) + 3 * radius), self.size).astype(int)
        if np.any(high <= low):
            return
        box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        mask = Image.new("L", (box[2] - box[0], box[3] - box[1]), 0)
        ImageDraw.Draw(mask).polygon((pixels - low).ravel().tolist(), fill=abs(amount))
        mask = mask.filter(ImageFilter.GaussianBlur(radius))
        patch = np.asarray(self.light.crop(box), dtype=np.int16)
        patch = patch + np.sign(amount) * np.asarray(mask, dtype=np.int16)
        self.light.paste(Image.fromarray(np.clip(patch, 0, 255).astype(np.uint8)), box[:2])

    def soften(self, blur: float) -> None:
        """Blur the light on all that is drawn so far, by so many bird units."""
        self.light.paste(self.light.filter(ImageFilter.GaussianBlur(blur * self.frame.scale)))

    def colours(self, volume: Floats) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The drawing as RGB uint8 (height, width, 3), and a mask of where there is any.

        `volume` (height, width) is the light on the body's round surface, 1 on average.
        """
        numbers = np.asarray(self.pigments)
        drawn = numbers > 0
        here = numbers[drawn]
        names = [colour for _, colour, _ in self._palette]
        table = np.array([COLOURS[c] if isinstance(c, str) else c for c in names], np.float32)
        relief = np.array([relief for *_, relief in self._palette], np.float32)[here]
        grain = np.asarray(self.light)[drawn].astype(np.float32) / NEUTRAL
        form = 1 + relief * (volume[drawn] - 1)
        colour = table[here]
        sheen = np.array([name == "iridescent" for name in names])[here]
        if sheen.any():
            rows, columns = (axis[sheen] for axis in np.nonzero(drawn))
            colour[sheen] = self._sheen(columns, rows, form[sheen], grain[sheen])
        light = (form * grain)[:, None]
        gloss = np.maximum(light - 1, 0)
        colour = colour * (light - 0.5 * gloss) + (255 - colour) * gloss * 0.4
        image = np.zeros((*numbers.shape, 3), dtype=np.uint8)
        image[drawn] = np.clip(colour, 0, 255).astype(np.uint8)
        return image, drawn

    def parts(self) -> dict[str, NDArray[np.bool_]]:
        """Part -> where it can be seen, bool (height, width)."""
        numbers = np.asarray(self.pigments)
        owner = [part for part, *_ in self._palette]
        return {
            part: np.isin(numbers, [i for i, name in enumerate(owner) if name == part])
            for part in dict.fromkeys(owner)
            if part
        }

    def _sheen(
        self, x: NDArray[np.int64], y: NDArray[np.int64], form: Floats, grain: Floats
    ) -> Floats:
        """Colours (n, 3) of iridescent pixels: they run through SHEEN across the surface."""
        stops = np.array([*SHEEN, SHEEN[0]], dtype=np.float32)
        wave = self.size[0] * 0.22
        phase = (x * 0.9 + y * 0.6) / wave + 1.6 * form + 1.1 * grain
        phase = (phase % 1.0) * (len(stops) - 1)
        i = np.minimum(phase.astype(int), len(stops) - 2)
        f = (phase - i)[:, None].astype(np.float32)
        colour: Floats = stops[i] * (1 - f) + stops[i + 1] * f
        return colour


def clamp(lights: ArrayLike) -> NDArray[np.uint8]:
    """Lights as uint8."""
    bounded: NDArray[np.uint8] = np.clip(np.asarray(lights), 0, 255).astype(np.uint8)
    return bounded
