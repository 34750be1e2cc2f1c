"""Curves and outlines in the plane: splines, feathers, and the frame that puts them on pixels.

Nothing here knows about birds or images. Points are float64 arrays (..., 2), y upwards.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]

# Half the width of a feather at stations along its length, for a round and for a pointed tip.
_STATIONS = np.array([0.0, 0.18, 0.42, 0.66, 0.84, 0.95, 1.0])
_ROUND = np.array([0.5, 0.86, 1.0, 0.97, 0.74, 0.40, 0.0])
_POINTED = np.array([0.6, 0.92, 0.96, 0.76, 0.42, 0.15, 0.0])


@dataclass(frozen=True)
class Frame:
    """Where bird coordinates fall on pixels: `scale` pixels a unit, the origin at (x, y)."""

    scale: float
    x: float
    y: float

    def pixels(self, points: Points) -> Points:
        """Pixel positions, y downwards, of points (..., 2)."""
        return np.asarray(points) * (self.scale, -self.scale) + (self.x, self.y)

    def points(self, pixels: Points) -> Points:
        """The inverse of `pixels`."""
        return (np.asarray(pixels) - (self.x, self.y)) / (self.scale, -self.scale)


def spline(knots: ArrayLike, count: int, closed: bool = False) -> Points:
    """`count` samples (count, d) of the Catmull-Rom curve through `knots` (k, d)."""
    k = np.asarray(knots, dtype=float)
    if closed:
        k = np.concatenate([k[-1:], k, k[:2]])
    else:
        k = np.concatenate([2 * k[:1] - k[1:2], k, 2 * k[-1:] - k[-2:-1]])
    spans = len(k) - 3
    t = np.linspace(0, spans, count, endpoint=not closed)
    i = np.minimum(t.astype(int), spans - 1)
    f = (t - i)[:, None]
    a, b, c, d = k[i], k[i + 1], k[i + 2], k[i + 3]
    curve: Points = b + 0.5 * f * (
        c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a))
    )
    return curve


def unit(vectors: ArrayLike) -> Points:
    """Vectors (..., 2) scaled to length one."""
    v = np.asarray(vectors, dtype=float)
    scaled: Points = v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)
    return scaled


def turn(points: ArrayLike, degrees: float) -> Points:
    """Points (..., 2) turned anticlockwise about the origin."""
    a = np.radians(degrees)
    rotation = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    turned: Points = np.asarray(points, dtype=float) @ rotation
    return turned


def left_of(directions: ArrayLike) -> Points:
    """Directions (..., 2) turned a quarter anticlockwise."""
    d = np.asarray(directions, dtype=float)
    return np.stack([-d[..., 1], d[..., 0]], axis=-1)


def feathers(
    base: ArrayLike, direction: ArrayLike, length: ArrayLike, width: ArrayLike, pointed: float = 0.0
) -> Points:
    """Outlines (k, 13, 2) of k feathers growing from `base` (k, 2) along `direction` (k, 2)."""
    d = unit(direction)[:, None, :]
    half = (1 - pointed) * _ROUND + pointed * _POINTED
    along = np.concatenate([_STATIONS, _STATIONS[-2::-1]])
    across = np.concatenate([half, -half[-2::-1]])
    size = np.broadcast_to(np.asarray(length, dtype=float), len(d))[:, None, None]
    breadth = np.broadcast_to(np.asarray(width, dtype=float), len(d))[:, None, None]
    start = np.asarray(base, dtype=float)[:, None, :]
    outline: Points = start + d * size * along[:, None] + left_of(d) * breadth / 2 * across[:, None]
    return outline


def ribbon(path: ArrayLike, widths: ArrayLike) -> Points:
    """Outline (2k, 2) of a band along `path` (k, 2) with the given full widths (k,)."""
    p = np.asarray(path, dtype=float)
    side = left_of(unit(np.gradient(p, axis=0))) * np.asarray(widths, dtype=float)[:, None] / 2
    return np.concatenate([p + side, (p - side)[::-1]])


def ellipse(centre: ArrayLike, radii: ArrayLike, degrees: float = 0.0, count: int = 28) -> Points:
    """Outline (count, 2) of an ellipse turned by `degrees`."""
    a = np.linspace(0, 2 * np.pi, count, endpoint=False)
    ring = np.stack([np.cos(a), np.sin(a)], axis=-1) * np.asarray(radii, dtype=float)
    return np.asarray(centre, dtype=float) + turn(ring, degrees)


def rounded(corners: ArrayLike, radii: ArrayLike, count: int = 8) -> Points:
    """Outline (k * count, 2) of a polygon (k, 2) whose corners are cut round by `radii` (k,)."""
    c = np.asarray(corners, dtype=float)
    cut = np.asarray(radii, dtype=float)[:, None]
    before = c + unit(np.roll(c, 1, axis=0) - c) * cut
    after = c + unit(np.roll(c, -1, axis=0) - c) * cut
    t = np.linspace(0, 1, count)[:, None]
    ends, middle = np.stack([before, after])[:, :, None], c[:, None]
    curve: Points = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * middle + t**2 * ends[1]
    return curve.reshape(-1, 2)
