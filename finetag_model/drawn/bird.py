"""What a drawn bird is: a description without pixels, and the CUB attributes that follow from it.

How birds are made up is in `sample`; how they are put on paper is in `draw`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from finetag_model.drawn.builds import BUILDS, Build
from finetag_model.drawn.coverage import MARKED, shares

COLOURED_PARTS = (
    "forehead",
    "crown",
    "nape",
    "throat",
    "breast",
    "belly",
    "back",
    "wing",
    "upper_tail",
    "under_tail",
    "bill",
    "leg",
    "eye",
)
"""The parts whose colour is an attribute; `face` is coated too, but CUB has no name for it."""


@dataclass(frozen=True)
class Coat:
    """The colour of one part, and the colour of the pattern upon it."""

    base: str
    pattern: str = "solid"
    mark: str | None = None

    @property
    def colours(self) -> frozenset[str]:
        """Every colour to be seen on the part."""
        return frozenset({self.base} | ({self.mark} if self.mark else set()))


@dataclass(frozen=True)
class Bird:
    """One bird in one place; everything random in its picture follows from these fields."""

    seed: int
    shape: str
    size: str
    scene: str
    faces_left: bool
    lean: float  # degrees the body is tipped backwards
    gaze: float  # degrees the head is raised
    plump: float  # factor on the girth
    bill_shape: str
    bill_length: str
    bill_ratio: float  # length of the bill over that of the head
    tail_shape: str
    wing_shape: str
    crest: bool
    head_mark: str | None
    head_mark_colour: str
    coats: Mapping[str, Coat]

    @property
    def build(self) -> Build:
        """The proportions of the bird's shape."""
        return BUILDS[self.shape]

    @property
    def shows_legs(self) -> bool:
        """Whether the legs can be seen; in the water and in the air they cannot."""
        return self.scene != "swim" and not self.flies

    @property
    def flies(self) -> bool:
        """Whether the bird is on the wing."""
        return self.scene in ("flower", "sky")

    @property
    def labels(self) -> dict[str, frozenset[str]]:
        """Attribute group -> all its true values, for every group the picture shows."""
        coats = self.coats
        labels = {
            f"{part}_color": coats[part].colours
            for part in COLOURED_PARTS
            if part != "leg" or self.shows_legs
        }
        labels["upperparts_color"] = coats["back"].colours | coats["wing"].colours
        labels["underparts_color"] = coats["breast"].colours | coats["belly"].colours
        labels["primary_color"] = self._primary_colours()
        for part in ("wing", "back", "breast", "belly"):
            labels[f"{part}_pattern"] = frozenset({coats[part].pattern})
        labels["tail_pattern"] = frozenset({coats["upper_tail"].pattern})
        labels["head_pattern"] = self._head_patterns()
        for group in ("bill_shape", "bill_length", "tail_shape", "wing_shape", "size", "shape"):
            labels[group] = frozenset({getattr(self, group)})
        return labels

    def _primary_colours(self) -> frozenset[str]:
        """The colour that covers most, and a second that covers at least half as much."""
        area: defaultdict[str, float] = defaultdict(float)
        for part, share in shares(self.shape, self.flies).items():
            coat = self.coats[part]
            marked = share * MARKED[part] if coat.mark else 0.0
            area[coat.base] += share - marked
            area[coat.mark or coat.base] += marked
        first, *others = sorted(area, key=lambda colour: -area[colour])
        return frozenset({first} | {c for c in others[:1] if area[c] >= area[first] / 2})

    def _head_patterns(self) -> frozenset[str]:
        crown, forehead, nape, face = (
            self.coats[part].colours for part in ("crown", "forehead", "nape", "face")
        )
        patterns = set()
        if self.crest:
            patterns.add("crested")
        if self.head_mark:
            patterns.add(self.head_mark)
        if crown == forehead and crown not in (nape, face):
            patterns.add("capped")
        if not patterns:
            same = crown == forehead == nape == face
            patterns.add("plain" if same else "unique_pattern")
        return frozenset(patterns)
