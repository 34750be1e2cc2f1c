"""The head's fittings: bill, eye, marks about the eye, and crest."""

from __future__ import annotations

import numpy as np

from finetag_model.drawn.bird import Bird
from finetag_model.drawn.body import Body
from finetag_model.drawn.canvas import NEUTRAL, Canvas
from finetag_model.drawn.geometry import Points, ellipse, feathers, ribbon, spline, unit
from finetag_model.drawn.palette import RGB

EYE = np.array([0.36, 0.14])  # in head radii; the eye's radius is _eye_radius
_OWL_EYES = np.array([[-0.10, 0.08], [0.66, 0.08]])
_GLINT: RGB = (255, 255, 255)
_PUPIL: RGB = (14, 12, 14)

# The upper and lower edge of each bill, from base to tip: x in bill lengths, y in head radii.
_BILLS: dict[str, tuple[list[tuple[float, float]], list[tuple[float, float]]]] = {
    "all-purpose": (
        [(0, 0.25), (0.45, 0.20), (0.8, 0.07), (1, -0.08)],
        [(0, -0.25), (0.5, -0.23), (0.85, -0.14), (1, -0.08)],
    ),
    "cone": (
        [(0, 0.42), (0.35, 0.34), (0.75, 0.10), (1, -0.10)],
        [(0, -0.42), (0.4, -0.38), (0.8, -0.2), (1, -0.10)],
    ),
    "dagger": (
        [(0, 0.25), (0.4, 0.19), (0.8, 0.06), (1, -0.02)],
        [(0, -0.25), (0.4, -0.22), (0.8, -0.10), (1, -0.02)],
    ),
    "needle": (
        [(0, 0.17), (0.2, 0.13), (0.7, 0.09), (1, 0.0)],
        [(0, -0.17), (0.2, -0.13), (0.7, -0.09), (1, -0.02)],
    ),
    "curved": (
        [(0, 0.22), (0.35, 0.26), (0.7, 0.06), (1, -0.52)],
        [(0, -0.20), (0.35, -0.07), (0.7, -0.22), (1, -0.52)],
    ),
    "hooked": (
        [(0, 0.34), (0.4, 0.36), (0.8, 0.14), (0.94, -0.36)],
        [(0, -0.28), (0.45, -0.22), (0.70, -0.12), (0.94, -0.36)],
    ),
    "hooked_seabird": (
        [(0, 0.28), (0.4, 0.21), (0.78, 0.18), (0.96, 0.0), (0.99, -0.32)],
        [(0, -0.26), (0.4, -0.22), (0.66, -0.28), (0.87, -0.13), (0.99, -0.32)],
    ),
    "spatulate": (
        [(0, 0.42), (0.25, 0.16), (0.55, 0.02), (0.86, 0.08), (1.0, -0.12)],
        [(0, -0.22), (0.3, -0.24), (0.6, -0.30), (0.9, -0.35), (1.0, -0.12)],
    ),
}


# An owl's bill seen from before: its left and its right edge, from the brow to the tip.
_OWL_BILL = (
    [(0.20, 0.10), (0.14, -0.10), (0.17, -0.32), (0.33, -0.54)],
    [(0.36, 0.10), (0.44, -0.10), (0.43, -0.32), (0.33, -0.54)],
)


def bill_outline(body: Body, bird: Bird) -> tuple[Points, Points, Points]:
    """The bill's upper edge, lower edge and the line where it closes, each (20, 2)."""
    if bird.shape == "owl-like":
        upper, lower = (body.on_head(spline(edge, 20)) for edge in _OWL_BILL)
        return upper, lower, 0.9 * lower + 0.1 * upper
    upper, lower = (
        spline([(0.84 + x * bird.bill_ratio * 2, y - 0.06) for x, y in edge], 20)
        for edge in _BILLS[bird.bill_shape]
    )
    return body.on_head(upper), body.on_head(lower), body.on_head(0.55 * lower + 0.45 * upper)


def draw_bill(canvas: Canvas, body: Body, bird: Bird) -> None:
    """Draw the bill: light along the culmen, dark below, a line between the mandibles."""
    pigment = canvas.pigment("bill", bird.coats["bill"].base, relief=0.0)
    upper, lower, gape = bill_outline(body, bird)
    thick = 0.5 * body.head_radius
    canvas.fill(np.concatenate([upper, lower[::-1]]), pigment, NEUTRAL - 2)
    canvas.fill(np.concatenate([gape, lower[::-1]]), None, NEUTRAL - 22)
    ridge = 0.86 * upper + 0.14 * gape
    canvas.fill(np.concatenate([ridge, (0.5 * upper + 0.5 * gape)[::-1]]), None, NEUTRAL + 18)
    canvas.fill(ribbon(gape[:-2], np.full(18, thick * 0.045)), None, NEUTRAL - 62)
    nostril = 0.6 * upper[5] + 0.4 * gape[5]
    canvas.fill(ellipse(nostril, (thick * 0.08, thick * 0.045), bird.gaze), None, NEUTRAL - 60)


def draw_eyes(canvas: Canvas, body: Body, bird: Bird) -> None:
    """Draw the near eye, or both eyes of an owl."""
    for at in _OWL_EYES if bird.shape == "owl-like" else [EYE]:
        _draw_eye(canvas, body, bird, at)


def _draw_eye(canvas: Canvas, body: Body, bird: Bird, at: Points) -> None:
    """Draw an eye with iris, pupil and a glint, centred `at` in head radii."""
    radius = eye_radius(body, bird)
    centre = body.on_head(at)
    iris = canvas.pigment("eye", bird.coats["eye"].base, relief=0.0)
    rim = canvas.pigment("eyelid", (26, 22, 22), relief=0.0)
    pupil = canvas.pigment("eye", _PUPIL, relief=0.0)
    glint = canvas.pigment("eye", _GLINT, relief=0.0)
    canvas.fill(ellipse(centre, (radius * 1.22, radius * 1.16)), rim)
    canvas.fill(ellipse(centre, (radius, radius)), iris, NEUTRAL - 14)
    canvas.fill(
        ellipse(centre - (0, radius * 0.2), (radius * 0.85, radius * 0.75)), None, NEUTRAL + 14
    )
    canvas.fill(ellipse(centre, (radius * 0.46, radius * 0.46)), pupil)
    canvas.fill(ellipse(centre + np.array([0.3, 0.36]) * radius, (radius * 0.22,) * 2), glint)


def eye_radius(body: Body, bird: Bird) -> float:
    """The iris's radius in bird units; small heads have larger eyes, for they must be seen."""
    return max(0.19 * body.head_radius, 0.036)


def draw_owl_face(canvas: Canvas, body: Body, bird: Bird, rng: np.random.Generator) -> None:
    """Draw the owl's two discs of fine feathers, which shade to a dark rim."""
    pigment = canvas.pigment("face", bird.coats["face"].base, 0.6)
    for x, y in _OWL_EYES:
        wide = 0.40 if x > 0.3 else 0.50
        for size, tone in ((1.06, -46), (0.96, -4), (0.75, 4)):
            disc = ellipse((x * 0.94 + 0.02, y - 0.08), (wide * size, 0.55 * size))
            canvas.fill(body.on_head(disc), pigment, NEUTRAL + tone)
        for angle in rng.uniform(0, 2 * np.pi, 90):
            ray = np.array([np.cos(angle) * wide, np.sin(angle) * 0.55])
            line = np.array([x * 0.94, y - 0.08]) + ray * np.array([[0.45], [0.7], [0.95]])
            widths = np.array([0.01, 0.025, 0.01]) * body.head_radius
            canvas.fill(ribbon(body.on_head(line), widths), None, NEUTRAL + int(rng.normal(-8, 9)))


def draw_head_marks(canvas: Canvas, body: Body, bird: Bird) -> None:
    """Draw eyebrow, mask and the like, as bands that follow the head."""
    pigment = canvas.pigment("face", bird.head_mark_colour)
    ring = eye_radius(body, bird) / body.head_radius

    def band(path: list[tuple[float, float]], widths: list[float]) -> None:
        width = spline(np.array(widths)[:, None], 24)[:, 0] * body.head_radius
        canvas.fill(ribbon(body.on_head(spline(path, 24)), np.maximum(width, 0)), pigment, None)

    match bird.head_mark:
        case "eyebrow":
            band([(0.82, 0.26), (0.4, 0.50), (-0.05, 0.46), (-0.5, 0.2)], [0.12, 0.24, 0.22, 0.05])
        case "eyeline":
            band([(0.9, 0.02), (0.36, 0.13), (-0.1, 0.10), (-0.6, -0.08)], [0.14, 0.24, 0.22, 0.06])
        case "masked":
            band([(0.92, 0.0), (0.36, 0.08), (-0.05, 0.02), (-0.45, -0.12)], [0.5, 0.66, 0.56, 0.2])
        case "malar":
            band(
                [(0.8, -0.28), (0.45, -0.48), (0.1, -0.68), (-0.15, -0.84)], [0.1, 0.24, 0.3, 0.12]
            )
        case "eyering":
            canvas.fill(
                ellipse(body.on_head(EYE), (body.head_radius * (ring * 1.2 + 0.15),) * 2), pigment
            )
        case "striped":
            band([(0.72, 0.48), (0.3, 0.74), (-0.2, 0.76), (-0.7, 0.5)], [0.08, 0.18, 0.18, 0.06])
            band([(0.85, 0.08), (0.36, 0.16), (-0.2, 0.14), (-0.75, -0.1)], [0.1, 0.2, 0.2, 0.06])
        case "spotted":
            for x, y in _SPOTS:
                centre = body.on_head(np.array([x, y]))
                canvas.fill(ellipse(centre, (body.head_radius * 0.1,) * 2, count=14), pigment, None)
        case _:
            pass


_SPOTS = (
    [(x, 0.72 - 0.10 * abs(i)) for i, x in enumerate((-0.5, -0.15, 0.2))]
    + [(-0.62, 0.28), (-0.3, 0.36), (0.02, 0.42), (-0.45, 0.0), (-0.12, 0.06)]
    + [(-0.28, -0.28), (0.05, -0.26), (0.36, -0.32), (-0.1, -0.56), (0.25, -0.6)]
)


def draw_crest(canvas: Canvas, body: Body, bird: Bird, rng: np.random.Generator) -> None:
    """Raise a tuft of long feathers from the crown."""
    pigment = canvas.pigment("crown", bird.coats["crown"].base, relief=0.5)
    count = 9
    t = np.linspace(0, 1, count)
    root = np.stack([0.35 - 0.75 * t, 0.72 + 0.12 * np.sin(np.pi * t)], axis=1)
    lean = np.stack([-0.55 - 0.6 * t, 1.0 - 0.75 * t], axis=1) + rng.normal(0, 0.05, (count, 2))
    base = body.on_head(root)
    direction = unit(body.on_head(lean) - body.head)
    length = body.head_radius * (0.95 + 0.15 * np.sin(np.pi * t))
    shape = feathers(base, direction, length, body.head_radius * 0.26, pointed=1.0)
    shade = feathers(base, direction, length * 0.98, body.head_radius * 0.10, pointed=1.0)
    for i in range(count):
        canvas.fill(shape[i], pigment, int(NEUTRAL - 16 + 26 * (1 - t[i])))
        canvas.fill(shade[i], None, int(NEUTRAL + 6 + 20 * (1 - t[i])))
