"""How much of a bird each part covers, measured off many drawings.

It lets a bird's main colours be told without drawing it. The wing of a bird on the wing
covers more, so those that fly have rows of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

PLUMAGE = (
    *("wing", "breast", "belly", "nape", "throat", "back"),
    *("upper_tail", "under_tail", "face", "crown", "forehead"),
)
"""The feathered parts, in the order of the shares below."""

MARKED: Mapping[str, float] = {
    "wing": 0.20,
    "breast": 0.38,
    "belly": 0.42,
    "back": 0.40,
    "upper_tail": 0.52,
}
"""How much of a patterned part its marks cover."""

# fmt: off
_PERCHED: Mapping[str, tuple[float, ...]] = {
    "perching-like": (0.268, 0.111, 0.081, 0.088, 0.092, 0.064, 0.068, 0.072, 0.055, 0.061, 0.039),
    "duck-like": (0.325, 0.098, 0.090, 0.097, 0.108, 0.044, 0.033, 0.058, 0.050, 0.060, 0.038),
    "owl-like": (0.211, 0.120, 0.107, 0.084, 0.042, 0.056, 0.042, 0.055, 0.187, 0.057, 0.040),
    "hummingbird-like":
        (0.254, 0.123, 0.071, 0.084, 0.084, 0.069, 0.065, 0.080, 0.065, 0.060, 0.045),
    "gull-like": (0.341, 0.124, 0.068, 0.086, 0.090, 0.070, 0.044, 0.064, 0.040, 0.041, 0.032),
    "pigeon-like": (0.300, 0.131, 0.070, 0.087, 0.093, 0.061, 0.074, 0.080, 0.035, 0.044, 0.027),
    "tree-clinging-like":
        (0.285, 0.082, 0.065, 0.082, 0.085, 0.089, 0.074, 0.075, 0.063, 0.057, 0.042),
    "hawk-like": (0.260, 0.130, 0.097, 0.074, 0.075, 0.056, 0.085, 0.095, 0.046, 0.047, 0.034),
    "sandpiper-like":
        (0.363, 0.116, 0.066, 0.093, 0.104, 0.048, 0.031, 0.048, 0.044, 0.050, 0.037),
    "upland-ground-like":
        (0.240, 0.167, 0.088, 0.077, 0.077, 0.102, 0.056, 0.072, 0.040, 0.052, 0.029),
    "long-legged-like":
        (0.320, 0.127, 0.057, 0.121, 0.110, 0.081, 0.024, 0.053, 0.033, 0.044, 0.031),
    "chicken-like-marsh":
        (0.273, 0.139, 0.148, 0.081, 0.087, 0.042, 0.057, 0.065, 0.038, 0.041, 0.031),
    "swallow-like": (0.315, 0.106, 0.053, 0.083, 0.091, 0.042, 0.071, 0.093, 0.055, 0.051, 0.040),
    "upright-perching_water-like":
        (0.269, 0.129, 0.084, 0.121, 0.108, 0.068, 0.050, 0.068, 0.035, 0.037, 0.030),
}
_FLYING: Mapping[str, tuple[float, ...]] = {
    "hummingbird-like":
        (0.446, 0.096, 0.058, 0.046, 0.052, 0.108, 0.047, 0.053, 0.037, 0.033, 0.025),
    "swallow-like": (0.447, 0.092, 0.065, 0.046, 0.056, 0.082, 0.062, 0.058, 0.035, 0.029, 0.028),
}
# fmt: on


def shares(shape: str, flies: bool) -> dict[str, float]:
    """Part -> its share of the plumage that can be seen; the shares add up to about 1."""
    return dict(zip(PLUMAGE, (_FLYING if flies else _PERCHED)[shape], strict=True))
