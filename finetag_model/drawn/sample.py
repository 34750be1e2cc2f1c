"""Make up birds: build, pose, plumage and place, all from one seed.

No drawing here, and no labels: those follow from the `Bird`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from types import MappingProxyType

from finetag_model.drawn.bird import Bird, Coat
from finetag_model.drawn.builds import BUILDS
from finetag_model.drawn.palette import COLOURS, PARTNERS

# Songbirds are the most usual; the other builds share the rest.
_SHAPE_WEIGHTS = [5 if shape == "perching-like" else 1 for shape in BUILDS]
_BILL_RATIOS = {
    "shorter_than_head": (0.46, 0.62),
    "about_the_same_as_head": (0.92, 1.06),
    "longer_than_head": (1.4, 1.75),
}
_HEAD_MARKS = ("eyebrow", "eyering", "eyeline", "masked", "malar", "striped", "spotted")
_SMALL_HEAD_MARKS = ("eyebrow", "eyering", "eyeline", "masked")
_SMALL_HEADED = ("long-legged-like", "upright-perching_water-like")
_CRESTED = ("perching-like", "duck-like", "long-legged-like", "upland-ground-like", "pigeon-like")
_PATTERNS = ("spotted", "striped", "multi-colored")
_QUIET = ("white", "black", "grey", "buff", "brown")
_USUAL_LEGS = ("black", "grey", "pink", "yellow", "orange", "brown", "red", "buff")
_USUAL_BILLS = ("black", "grey", "yellow", "orange", "pink", "brown", "red")
_USUAL_EYES = ("black", "brown", "black", "red", "yellow", "orange")
_CONTRAST = 105.0  # distance in RGB at which a mark stands out from its ground


class _Plumage:
    """The few colours of one bird, and the rules by which parts choose among them."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        main = rng.choice(tuple(COLOURS))
        second = rng.choice(PARTNERS[main])
        calm = rng.random() < 0.5 and not {main, second} & set(_QUIET)
        third = rng.choice(_QUIET if calm else PARTNERS[rng.choice((main, second))])
        self.main, self.second, self.third = main, second, third

    def pick(self, main: float, second: float, third: float) -> str:
        """A colour of the bird's own with the given weights, or now and then any colour."""
        if self._rng.random() < 0.04:
            return self._rng.choice(tuple(COLOURS))
        own = (self.main, self.second, self.third)
        return self._rng.choices(own, (main, second, third))[0]

    def contrasting(self, *grounds: str) -> str:
        """A colour that stands out from every ground, one of the bird's own if there is one."""
        own = [self.main, self.second, self.third]
        self._rng.shuffle(own)
        for colour in (*own, "white", "black", "yellow", "buff"):
            if all(_distance(colour, ground) >= _CONTRAST for ground in grounds):
                return colour
        return "white" if "white" not in grounds else "black"

    def coat(self, base: str, patterned: float) -> Coat:
        """A coat of `base`, with a pattern upon it with probability `patterned`."""
        if self._rng.random() >= patterned:
            return Coat(base)
        return Coat(base, self._rng.choice(_PATTERNS), self.contrasting(base))


def sample_bird(seed: int) -> Bird:
    """The bird of this seed; every seed has one, and always the same."""
    rng = random.Random(f"drawn bird {seed}")  # noqa: S311 - a picture is no secret
    shape = rng.choices(tuple(BUILDS), _SHAPE_WEIGHTS)[0]
    build = BUILDS[shape]
    plumage = _Plumage(rng)
    coats = _coats(rng, plumage)
    bill_length = rng.choice(build.bill_lengths)
    owl = shape == "owl-like"
    marks = _SMALL_HEAD_MARKS if shape in _SMALL_HEADED else _HEAD_MARKS
    return Bird(
        seed=seed,
        shape=shape,
        size=rng.choice(build.sizes),
        scene=rng.choice(build.scenes),
        faces_left=rng.random() < 0.5,
        lean=rng.uniform(-6, 8),
        gaze=rng.choice((0, 0, 0, 14, -12)) + rng.uniform(-4, 4),
        plump=rng.uniform(1.1, 1.2),
        bill_shape=rng.choice(build.bills),
        bill_length=bill_length,
        bill_ratio=rng.uniform(*_BILL_RATIOS[bill_length]),
        tail_shape=rng.choice(build.tails),
        wing_shape=rng.choice(build.wing_shapes),
        crest=shape in _CRESTED and rng.random() < 0.2,
        head_mark=rng.choice(marks) if not owl and rng.random() < 0.6 else None,
        head_mark_colour=plumage.contrasting(coats["face"].base, coats["crown"].base),
        coats=MappingProxyType(coats),
    )


def _coats(rng: random.Random, plumage: _Plumage) -> dict[str, Coat]:
    """A coat for every part; neighbours often agree, yet none decides another."""

    def like(neighbour: str, agree: float, *weights: float) -> str:
        return neighbour if rng.random() < agree else plumage.pick(*weights)

    back = plumage.pick(7, 2, 1)
    wing = like(back, 0.35, 5, 3, 2)
    breast = plumage.pick(2, 4, 3)
    belly = like(breast, 0.35, 1, 5, 3)
    nape = like(back, 0.35, 5, 2, 3)
    crown = like(nape, 0.4, 4, 2, 4)
    forehead = like(crown, 0.5, 3, 3, 4)
    throat = like(breast, 0.3, 2, 4, 4)
    upper_tail = like(back, 0.35, 5, 3, 3)
    under_tail = like(belly, 0.3, 2, 5, 3)
    return {
        "forehead": Coat(forehead),
        "crown": Coat(crown),
        "nape": Coat(nape),
        "face": Coat(rng.choice((crown, nape, nape, throat))),
        "throat": Coat(throat),
        "breast": plumage.coat(breast, 0.36),
        "belly": plumage.coat(belly, 0.32),
        "back": plumage.coat(back, 0.32),
        "wing": plumage.coat(wing, 0.45),
        "upper_tail": plumage.coat(upper_tail, 0.36),
        "under_tail": Coat(under_tail),
        "bill": Coat(_usual_or_any(rng, _USUAL_BILLS)),
        "leg": Coat(_usual_or_any(rng, _USUAL_LEGS)),
        "eye": Coat(_usual_or_any(rng, _USUAL_EYES, never=("iridescent",))),
    }


def _usual_or_any(rng: random.Random, usual: Sequence[str], never: Sequence[str] = ()) -> str:
    if rng.random() < 0.6:
        return rng.choice(usual)
    return rng.choice([colour for colour in COLOURS if colour not in never])


def _distance(a: str, b: str) -> float:
    return math.dist(COLOURS[a], COLOURS[b])
