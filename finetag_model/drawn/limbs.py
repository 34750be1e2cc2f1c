"""Tail and legs, and where on the ground or perch the feet stand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from finetag_model.drawn.bird import Bird
from finetag_model.drawn.body import Body
from finetag_model.drawn.canvas import NEUTRAL, Canvas
from finetag_model.drawn.geometry import (
    Points,
    ellipse,
    feathers,
    left_of,
    ribbon,
    spline,
    turn,
    unit,
)
from finetag_model.drawn.wing import draw_quill


def tail_feathers(body: Body, bird: Bird) -> tuple[Points, float]:
    """The tail's feathers (k, 13, 2) from the lowest to the highest, and their width."""
    build = bird.build
    profiles: dict[str, tuple[float, Callable[[Points], Points], float]] = {
        "forked_tail": (13.0, lambda a: 0.58 + 0.5 * a**1.4, 0.8),
        "notched_tail": (10.0, lambda a: 0.82 + 0.18 * a, 0.1),
        "squared_tail": (10.0, lambda a: 0.97 + 0.03 * a, -0.4),
        "rounded_tail": (13.0, lambda a: 1.0 - 0.22 * a**2, 0.0),
        "fan-shaped_tail": (30.0, lambda a: 0.92 - 0.06 * a**2, 0.0),
        "pointed_tail": (8.0, lambda a: 1.12 - 0.55 * a, 0.9),
    }
    spread, profile, pointed = profiles[bird.tail_shape]
    count = 8
    a = np.linspace(-1, 1, count)
    root = body.at(0.97)
    heading = turn(body.along[-6], -build.tail_turn)
    width = build.tail * (0.20 if spread < 25 else 0.26) + 0.02
    base = root + left_of(heading) * (-a * body.radii[-1] * 0.62)[:, None]
    direction = np.stack([turn(heading, -spread * k) for k in a])
    length = build.tail * profile(np.abs(a)) + 0.06
    return feathers(base, direction, length, width, pointed), width


def draw_tail(canvas: Canvas, body: Body, bird: Bird, rng: np.random.Generator) -> None:
    """Draw the tail: its lower feathers show the underside, its upper ones the pattern."""
    shapes, width = tail_feathers(body, bird)
    coat = bird.coats["upper_tail"]
    under = canvas.pigment("under_tail", bird.coats["under_tail"].base, 0.0)
    upper = canvas.pigment("upper_tail", coat.base, 0.0)
    mark = canvas.pigment("upper_tail", coat.mark or coat.base, 0.0)
    half = len(shapes) // 2
    for i, shape in enumerate(shapes):
        above = i >= half
        tone = NEUTRAL + (10 if above else 0) + rng.normal(0, 3)
        draw_quill(canvas, shape, upper if above else under, tone)
        if not above or not coat.mark:
            continue
        root, tip = shape[[0, -1]].mean(axis=0), shape[6]
        if coat.pattern == "multi-colored":
            end = np.concatenate([shape[3:10], [0.5 * (shape[2] + shape[10])]])
            canvas.fill(end, mark, None)
        for along in (0.42, 0.62, 0.82) if coat.pattern == "striped" else ():
            middle = root + (tip - root) * np.array([[along - 0.05], [along], [along + 0.05]])
            bar = ribbon(middle, np.full(3, width * 1.02))
            canvas.fill(bar, mark, None)
        for along in (0.5, 0.72, 0.9) if coat.pattern == "spotted" else ():
            canvas.fill(
                ellipse(root + (tip - root) * along, (width * 0.26,) * 2, count=14), mark, None
            )


def feet(body: Body, bird: Bird) -> Points:
    """Where the two feet stand, (2, 2), the far one first."""
    build = bird.build
    hips = hip_points(body)
    if bird.scene == "trunk":
        grip: Points = hips + np.array([[build.leg, 0.06], [build.leg, -0.05]])
        return grip
    ground = float((body.centres[:, 1] - body.radii).min())
    ground = min(ground, float(hips[:, 1].min())) - build.leg * 0.75
    return np.array([[hips[0, 0] + 0.07, ground], [hips[1, 0] + 0.01, ground]])


def hip_points(body: Body) -> Points:
    """Where the two legs leave the body, (2, 2), the far one first."""
    return np.stack([body.at(0.66, -0.72), body.at(0.70, -0.70)])


def draw_leg(canvas: Canvas, hip: Points, foot: Points, bird: Bird, near: bool) -> None:
    """Draw one leg from thigh to toes, bent at the heel."""
    width = bird.build.leg_width
    pigment = canvas.pigment("leg", bird.coats["leg"].base, 0.0)
    tone = NEUTRAL + (0 if near else -26)
    reach = float(np.linalg.norm(foot - hip))
    heel = hip * 0.5 + foot * 0.5 + np.array([-0.10 * reach, 0.0])
    if bird.scene == "trunk":
        heel = hip * 0.5 + foot * 0.5 + np.array([0.0, -0.18 * reach])
    path = spline([hip, heel, foot], 16)
    widths = np.interp(np.linspace(0, 1, 16), [0, 0.5, 0.9, 1], [1.35, 1.0, 0.9, 1.2]) * width
    canvas.fill(ribbon(path, widths), pigment, tone - 12)
    canvas.fill(ribbon(path + np.array([width * 0.14, 0]), widths * 0.45), None, tone + 14)
    for i in range(8, 14):  # the scales on the shank
        scale = np.stack([path[i] - (width * 0.4, 0), path[i] + (width * 0.42, -width * 0.1)])
        canvas.fill(ribbon(scale, [0.006, 0.006]), None, tone - 30)
    if bird.scene == "trunk":
        toes = np.array([[0.5, 1.0], [0.75, 0.35], [0.4, -1.0]])
    else:
        toes = np.array([[1.0, -0.16], [0.75, -0.42], [-0.8, -0.22]])
    size = width * 2.9
    for toe in toes:
        end = foot + toe * size
        curve = spline([foot, foot + toe * size * 0.55 + (0, size * 0.14), end], 10)
        canvas.fill(ribbon(curve, np.linspace(0.95, 0.5, 10) * width), pigment, tone - 16)
        glint = ribbon(curve + np.array([0, width * 0.14]), np.linspace(0.4, 0.2, 10) * width)
        canvas.fill(glint, None, tone + 8)


def draw_trousers(
    canvas: Canvas, hip: Points, foot: Points, bird: Bird, rng: np.random.Generator
) -> None:
    """Draw the long feathers that hang over the thigh of a bird of prey."""
    pigment = canvas.pigment("belly", bird.coats["belly"].base, 0.0)
    width = bird.build.leg_width
    count = 16
    side = np.sin(np.linspace(-1.5, 1.5, count) * 2.1)  # the outer ones first, now left, now right
    root = hip + np.stack([side * width * 1.1, np.full(count, width * 0.9)], axis=1)
    down = unit(foot - hip) + np.stack([-side * 0.18, np.zeros(count)], axis=1)
    length = width * (3.4 - 1.1 * np.abs(side)) + rng.normal(0, 0.006, count)
    for feather in feathers(root, down, length, width * 1.1, pointed=0.6):
        draw_quill(canvas, feather, pigment, NEUTRAL + rng.normal(-4, 4), 0.5)
