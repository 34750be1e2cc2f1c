"""The fourteen builds of bird: how each CUB shape is put together and where it lives.

Pure data, in bird coordinates: the bird faces right, y is up, a body is about one unit long.
Colours, marks and pixels are decided elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Build:
    """What all birds of one shape share.

    `spine` runs from the head's centre to the vent as (x, y, radius); `neck` and `belly` are
    the fractions of its length where the neck ends and the breast turns into belly.
    """

    spine: tuple[tuple[float, float, float], ...]
    neck: float
    belly: float
    tail: float  # length
    tail_turn: float  # degrees upwards from the line of the rump
    wing: tuple[float, float, float, float]  # start on the spine, lift, depth, reach past the vent
    leg: float  # visible length below the body; 0 hides the legs
    leg_width: float
    bills: tuple[str, ...]
    bill_lengths: tuple[str, ...]
    tails: tuple[str, ...]
    sizes: tuple[str, ...]
    scenes: tuple[str, ...]
    wing_shapes: tuple[str, ...]


_ALL_TAILS = (
    "forked_tail",
    "rounded_tail",
    "notched_tail",
    "fan-shaped_tail",
    "pointed_tail",
    "squared_tail",
)

# fmt: off
BUILDS: Mapping[str, Build] = MappingProxyType(
    {
        "perching-like": Build(
            spine=(
                (0.36, 0.46, 0.215), (0.27, 0.31, 0.195), (0.13, 0.10, 0.275),
                (-0.07, -0.06, 0.27), (-0.29, -0.19, 0.165), (-0.44, -0.27, 0.085),
            ),
            neck=0.30,
            belly=0.57,
            tail=0.38,
            tail_turn=6,
            wing=(0.35, 0.02, 0.168, 0.10),
            leg=0.21,
            leg_width=0.034,
            bills=("all-purpose", "cone", "all-purpose", "cone", "curved", "dagger"),
            bill_lengths=("shorter_than_head", "shorter_than_head", "about_the_same_as_head"),
            tails=_ALL_TAILS,
            sizes=("very_small", "small", "small", "medium"),
            scenes=("branch",),
            wing_shapes=("rounded-wings", "pointed-wings"),
        ),
        "duck-like": Build(
            spine=(
                (0.46, 0.40, 0.185), (0.38, 0.22, 0.145), (0.22, 0.02, 0.225),
                (-0.06, -0.06, 0.255), (-0.36, -0.02, 0.17), (-0.53, 0.04, 0.085),
            ),
            neck=0.33,
            belly=0.58,
            tail=0.26,
            tail_turn=6,
            wing=(0.38, -0.12, 0.168, 0.06),
            leg=0.0,
            leg_width=0.05,
            bills=("spatulate",),
            bill_lengths=("about_the_same_as_head", "shorter_than_head"),
            tails=("pointed_tail", "rounded_tail"),
            sizes=("medium", "large", "large"),
            scenes=("swim",),
            wing_shapes=("pointed-wings",),
        ),
        "owl-like": Build(
            spine=(
                (0.12, 0.46, 0.312), (0.07, 0.33, 0.291), (0.02, 0.10, 0.312),
                (-0.05, -0.14, 0.286), (-0.12, -0.36, 0.187), (-0.16, -0.50, 0.104),
            ),
            neck=0.26,
            belly=0.56,
            tail=0.28,
            tail_turn=0,
            wing=(0.33, 0.34, 0.162, 0.06),
            leg=0.03,
            leg_width=0.062,
            bills=("hooked",),
            bill_lengths=("shorter_than_head",),
            tails=("rounded_tail", "squared_tail"),
            sizes=("small", "medium", "large"),
            scenes=("branch",),
            wing_shapes=("rounded-wings",),
        ),
        "hummingbird-like": Build(
            spine=(
                (0.33, 0.42, 0.194), (0.26, 0.30, 0.157), (0.13, 0.12, 0.216),
                (-0.04, -0.07, 0.200), (-0.20, -0.25, 0.130), (-0.30, -0.36, 0.076),
            ),
            neck=0.31,
            belly=0.58,
            tail=0.34,
            tail_turn=0,
            wing=(0.38, 0.22, 0.124, 0.14),
            leg=0.07,
            leg_width=0.03,
            bills=("needle",),
            bill_lengths=("longer_than_head", "longer_than_head", "about_the_same_as_head"),
            tails=("forked_tail", "rounded_tail", "fan-shaped_tail", "notched_tail"),
            sizes=("very_small",),
            scenes=("flower", "flower", "branch"),
            wing_shapes=("pointed-wings",),
        ),
        "gull-like": Build(
            spine=(
                (0.47, 0.38, 0.165), (0.39, 0.24, 0.15), (0.23, 0.05, 0.215),
                (-0.05, -0.02, 0.225), (-0.34, -0.03, 0.14), (-0.50, -0.03, 0.075),
            ),
            neck=0.31,
            belly=0.57,
            tail=0.32,
            tail_turn=-16,
            wing=(0.40, -0.10, 0.146, 0.26),
            leg=0.26,
            leg_width=0.042,
            bills=("hooked_seabird",),
            bill_lengths=("about_the_same_as_head",),
            tails=("squared_tail", "rounded_tail"),
            sizes=("medium", "large", "large"),
            scenes=("sand", "rock"),
            wing_shapes=("long-wings",),
        ),
        "pigeon-like": Build(
            spine=(
                (0.36, 0.46, 0.16), (0.30, 0.31, 0.145), (0.16, 0.08, 0.26),
                (-0.08, -0.04, 0.255), (-0.33, -0.11, 0.155), (-0.49, -0.15, 0.085),
            ),
            neck=0.33,
            belly=0.59,
            tail=0.34,
            tail_turn=2,
            wing=(0.40, -0.06, 0.173, 0.10),
            leg=0.16,
            leg_width=0.045,
            bills=("all-purpose",),
            bill_lengths=("shorter_than_head",),
            tails=("rounded_tail", "fan-shaped_tail", "squared_tail"),
            sizes=("medium", "medium", "large"),
            scenes=("sand", "grass", "branch"),
            wing_shapes=("pointed-wings",),
        ),
        "tree-clinging-like": Build(
            spine=(
                (0.06, 0.50, 0.207), (0.01, 0.35, 0.174), (-0.04, 0.14, 0.235),
                (-0.07, -0.10, 0.241), (-0.06, -0.33, 0.162), (-0.02, -0.48, 0.095),
            ),
            neck=0.30,
            belly=0.56,
            tail=0.40,
            tail_turn=-8,
            wing=(0.34, 0.34, 0.157, 0.08),
            leg=0.14,
            leg_width=0.042,
            bills=("dagger",),
            bill_lengths=("about_the_same_as_head", "shorter_than_head"),
            tails=("pointed_tail", "notched_tail"),
            sizes=("small", "small", "medium"),
            scenes=("trunk",),
            wing_shapes=("rounded-wings", "pointed-wings"),
        ),
        "hawk-like": Build(
            spine=(
                (0.19, 0.50, 0.204), (0.14, 0.36, 0.198), (0.07, 0.13, 0.286),
                (-0.05, -0.11, 0.270), (-0.15, -0.34, 0.182), (-0.21, -0.47, 0.105),
            ),
            neck=0.29,
            belly=0.56,
            tail=0.40,
            tail_turn=3,
            wing=(0.34, 0.30, 0.157, 0.18),
            leg=0.17,
            leg_width=0.062,
            bills=("hooked",),
            bill_lengths=("shorter_than_head",),
            tails=("squared_tail", "rounded_tail", "fan-shaped_tail"),
            sizes=("medium", "large", "large"),
            scenes=("branch", "rock"),
            wing_shapes=("broad-wings",),
        ),
        "sandpiper-like": Build(
            spine=(
                (0.40, 0.38, 0.165), (0.33, 0.23, 0.13), (0.18, 0.04, 0.21),
                (-0.06, -0.04, 0.215), (-0.31, -0.08, 0.13), (-0.46, -0.10, 0.075),
            ),
            neck=0.33,
            belly=0.58,
            tail=0.24,
            tail_turn=0,
            wing=(0.38, -0.08, 0.157, 0.14),
            leg=0.30,
            leg_width=0.038,
            bills=("needle", "curved", "dagger"),
            bill_lengths=("longer_than_head", "longer_than_head", "about_the_same_as_head"),
            tails=("rounded_tail", "pointed_tail", "notched_tail"),
            sizes=("small", "small", "medium"),
            scenes=("shallows", "sand"),
            wing_shapes=("pointed-wings",),
        ),
        "upland-ground-like": Build(
            spine=(
                (0.35, 0.42, 0.175), (0.28, 0.29, 0.165), (0.12, 0.05, 0.29),
                (-0.10, -0.04, 0.295), (-0.34, -0.10, 0.185), (-0.48, -0.13, 0.10),
            ),
            neck=0.31,
            belly=0.58,
            tail=0.30,
            tail_turn=8,
            wing=(0.40, -0.02, 0.184, 0.0),
            leg=0.17,
            leg_width=0.046,
            bills=("cone",),
            bill_lengths=("shorter_than_head",),
            tails=("rounded_tail", "fan-shaped_tail", "squared_tail"),
            sizes=("medium", "medium", "large"),
            scenes=("grass", "snow", "sand"),
            wing_shapes=("rounded-wings",),
        ),
        "long-legged-like": Build(
            spine=(
                (0.40, 0.62, 0.146), (0.29, 0.56, 0.099), (0.25, 0.43, 0.089),
                (0.29, 0.28, 0.099), (0.22, 0.09, 0.178), (0.00, -0.04, 0.216),
                (-0.24, -0.15, 0.151), (-0.40, -0.22, 0.081),
            ),
            neck=0.44,
            belly=0.68,
            tail=0.18,
            tail_turn=4,
            wing=(0.50, 0.00, 0.162, 0.06),
            leg=0.38,
            leg_width=0.045,
            bills=("dagger", "dagger", "curved"),
            bill_lengths=("longer_than_head",),
            tails=("squared_tail", "rounded_tail"),
            sizes=("very_large", "very_large", "large"),
            scenes=("reeds", "shallows"),
            wing_shapes=("broad-wings",),
        ),
        "chicken-like-marsh": Build(
            spine=(
                (0.38, 0.44, 0.16), (0.32, 0.29, 0.13), (0.18, 0.05, 0.225),
                (-0.06, -0.02, 0.24), (-0.32, 0.04, 0.155), (-0.45, 0.10, 0.085),
            ),
            neck=0.32,
            belly=0.58,
            tail=0.32,
            tail_turn=24,
            wing=(0.38, -0.14, 0.168, 0.0),
            leg=0.30,
            leg_width=0.044,
            bills=("cone", "dagger"),
            bill_lengths=("shorter_than_head", "about_the_same_as_head"),
            tails=("pointed_tail", "rounded_tail", "squared_tail"),
            sizes=("small", "medium", "medium"),
            scenes=("reeds",),
            wing_shapes=("rounded-wings",),
        ),
        "swallow-like": Build(
            spine=(
                (0.37, 0.38, 0.19), (0.29, 0.27, 0.17), (0.15, 0.10, 0.215),
                (-0.04, -0.04, 0.20), (-0.25, -0.16, 0.125), (-0.39, -0.24, 0.07),
            ),
            neck=0.29,
            belly=0.57,
            tail=0.46,
            tail_turn=4,
            wing=(0.36, 0.10, 0.135, 0.30),
            leg=0.12,
            leg_width=0.032,
            bills=("all-purpose",),
            bill_lengths=("shorter_than_head",),
            tails=("forked_tail", "forked_tail", "notched_tail"),
            sizes=("small", "small", "very_small"),
            scenes=("wire", "wire", "sky"),
            wing_shapes=("pointed-wings",),
        ),
        "upright-perching_water-like": Build(
            spine=(
                (0.28, 0.66, 0.161), (0.18, 0.57, 0.121), (0.14, 0.43, 0.115),
                (0.12, 0.27, 0.155), (0.04, 0.06, 0.247), (-0.06, -0.16, 0.236),
                (-0.16, -0.36, 0.155), (-0.21, -0.48, 0.086),
            ),
            neck=0.42,
            belly=0.66,
            tail=0.32,
            tail_turn=0,
            wing=(0.48, 0.30, 0.162, 0.04),
            leg=0.11,
            leg_width=0.058,
            bills=("hooked_seabird",),
            bill_lengths=("about_the_same_as_head", "longer_than_head"),
            tails=("rounded_tail", "pointed_tail"),
            sizes=("large", "large", "very_large"),
            scenes=("rock",),
            wing_shapes=("tapered-wings",),
        ),
    }
)
# fmt: on
