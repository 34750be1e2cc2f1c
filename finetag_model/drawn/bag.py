"""What a drawn bag is: a description without pixels, its attributes, and how bags are made up.

Bags are the second domain, with a vocabulary that has nothing to do with CUB's. How they are put
on paper is in `draw_bag`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from finetag_model.drawn.palette import COLOURS

BAG_COLOURS = (
    *("black", "white", "grey", "brown", "red"),
    *("orange", "yellow", "green", "blue", "pink"),
)
STRAPS = ("none", "handles", "shoulder", "crossbody", "chain")
PATTERNS = ("solid", "striped", "checked", "dotted")
SCENES = ("room", "room", "room", "sand", "grass", "snow")
_CONTRAST = 105.0  # distance in RGB at which a pattern stands out from its ground


@dataclass(frozen=True)
class Form:
    """The front of a shape in units of about half a bag's width; the origin is on the ground.

    Attributes:
        bottom: half the width at the ground.
        top: half the width at the upper edge.
        height: of the body.
        corner: radius of the lower corners, and of the upper ones.
        round: how much its sides turn away from us, 0 flat.
    """

    bottom: float
    top: float
    height: float
    corner: tuple[float, float]
    round: float


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "tote": Form(0.84, 0.98, 1.55, (0.08, 0.02), 0.05),
        "satchel": Form(1.0, 0.96, 1.2, (0.16, 0.14), 0.08),
        "backpack": Form(0.82, 0.74, 1.75, (0.24, 0.52), 0.16),
        "clutch": Form(1.15, 1.12, 0.78, (0.07, 0.07), 0.04),
        "duffel": Form(1.28, 1.24, 0.92, (0.36, 0.40), 0.14),
        "bucket": Form(0.62, 0.80, 1.35, (0.16, 0.02), 0.30),
    }
)


@dataclass(frozen=True)
class Bag:
    """One bag in one place; everything random in its picture follows from these fields."""

    seed: int
    shape: str
    colour: str
    strap: str
    pattern: str
    mark: str | None  # the colour of the pattern, which a solid bag has not
    leather: str  # the colour of straps and belts
    scene: str
    wide: float  # factor on the width
    high: float  # factor on the height
    lean: float  # degrees it is turned anticlockwise
    size: float  # share of the picture that it fills, the greater of both ways
    light: tuple[float, float]  # how much brighter it is to the right and at the top
    exposure: float  # factor on the light of the whole picture

    @property
    def labels(self) -> dict[str, frozenset[str]]:
        """The values of each group; a bag with a pattern has two colours."""
        return {
            "shape": frozenset({self.shape}),
            "color": frozenset({self.colour} | ({self.mark} if self.mark else set())),
            "strap": frozenset({self.strap}),
            "pattern": frozenset({self.pattern}),
        }


def sample_bag(seed: int) -> Bag:
    """The bag of this seed; every seed has one, and always the same. No group decides another."""
    rng = random.Random(f"drawn bag {seed}")  # noqa: S311 - a picture is no secret
    colour = rng.choice(BAG_COLOURS)
    pattern = rng.choice(PATTERNS)
    stands_out = [
        other for other in BAG_COLOURS if math.dist(COLOURS[other], COLOURS[colour]) >= _CONTRAST
    ]
    return Bag(
        seed=seed,
        shape=rng.choice(tuple(FORMS)),
        colour=colour,
        strap=rng.choice(STRAPS),
        pattern=pattern,
        mark=None if pattern == "solid" else rng.choice(stands_out),
        leather=rng.choice((colour, colour, "brown", "black", "buff")),
        scene=rng.choice(SCENES),
        wide=rng.uniform(0.9, 1.1),
        high=rng.uniform(0.92, 1.08),
        lean=rng.gauss(0, 4),
        size=rng.uniform(0.66, 0.9),
        light=(rng.uniform(-0.16, 0.16), rng.uniform(-0.04, 0.14)),
        exposure=rng.uniform(0.84, 1.1),
    )
