"""The fifteen plumage colours: their reference RGB and which of them look well together.

Not for scenery: leaves, water and sky have colours of their own in the scene modules.
"""

from collections.abc import Mapping
from types import MappingProxyType

RGB = tuple[int, int, int]

COLOURS: Mapping[str, RGB] = MappingProxyType(
    {
        "blue": (46, 106, 194),
        "brown": (104, 68, 42),
        "iridescent": (44, 112, 138),
        "purple": (120, 56, 152),
        "rufous": (172, 80, 36),
        "grey": (138, 142, 148),
        "yellow": (246, 208, 54),
        "olive": (126, 124, 42),
        "green": (52, 148, 70),
        "pink": (238, 146, 172),
        "orange": (244, 136, 30),
        "black": (34, 34, 38),
        "white": (244, 242, 236),
        "red": (204, 32, 38),
        "buff": (224, 188, 134),
    }
)
"""Reference sRGB of each colour. Iridescent is a sheen; its entry is only the mean of it."""

SHEEN: tuple[RGB, ...] = ((18, 150, 142), (52, 70, 176), (128, 44, 168), (36, 168, 82))
"""The colours an iridescent feather passes through as the surface turns to the light."""

PARTNERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "blue": ("white", "rufous", "grey", "orange", "black", "buff", "yellow", "purple"),
        "brown": ("buff", "white", "rufous", "grey", "pink", "yellow", "black", "orange"),
        "iridescent": ("white", "black", "rufous", "grey", "green", "buff", "purple", "red"),
        "purple": ("white", "grey", "black", "iridescent", "blue", "pink", "yellow", "buff"),
        "rufous": ("white", "grey", "blue", "black", "buff", "olive", "brown", "orange"),
        "grey": ("white", "yellow", "black", "rufous", "pink", "red", "olive", "blue", "orange"),
        "yellow": ("black", "olive", "grey", "white", "green", "blue", "brown", "rufous"),
        "olive": ("yellow", "buff", "white", "grey", "orange", "red", "brown", "purple"),
        "green": ("yellow", "white", "red", "blue", "black", "buff", "iridescent", "olive"),
        "pink": ("grey", "white", "brown", "black", "red", "buff", "purple", "iridescent"),
        "orange": ("black", "white", "grey", "blue", "olive", "brown", "buff", "yellow"),
        "black": ("white", "red", "orange", "yellow", "iridescent", "blue", "grey", "pink"),
        "white": ("black", "grey", "blue", "brown", "pink", "red", "iridescent", "olive", "green"),
        "red": ("black", "grey", "white", "brown", "olive", "green", "pink", "buff", "purple"),
        "buff": ("brown", "rufous", "black", "olive", "white", "purple", "blue", "green", "red"),
    }
)
"""For each colour the others that real birds wear beside it."""
