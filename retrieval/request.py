"""What is asked of a catalogue, checked before anything is opened or computed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finetag_model.errors import UsageError
from retrieval.where import Where

if TYPE_CHECKING:
    from retrieval.query import QueryImage

Crop = tuple[float, float, float, float]
"""Left, top, width and height of a part of an upright picture: shares of its width and height if
none is above 1, else pixels."""


@dataclass(frozen=True)
class Request:
    """One search; the attributes are the arguments of `Catalog.search`."""

    images: tuple[QueryImage, ...] = ()
    where: Where = ()
    limit: int = 20
    like: tuple[int, ...] = ()
    unlike: tuple[int, ...] = ()
    crop: Crop | None = None
    weight: float = 1.0
    min_score: float | None = None
    sort: str | None = None
    cursor: str | None = None
    dedup: bool = False
    group_by: str | None = None
    facets: tuple[str, ...] | None = None
    facets_at_least: float | None = None
    explain: bool = False

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise UsageError(f"the limit is {self.limit}, but must be at least 1")
        if not 0 <= self.weight <= 1:
            raise UsageError(f"the visual weight is {self.weight:g}, but must be from 0 to 1")
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise UsageError(f"the least score is {self.min_score}, but must be a number")
        if self.facets_at_least is not None and not 0 <= self.facets_at_least <= 1:
            raise UsageError(
                f"the confidence to count at is {self.facets_at_least:g}, but must be from 0 to 1"
            )
        if self.dedup and self.group_by is not None:
            raise UsageError("hits are either grouped or freed of near duplicates, not both")
        if not self.has_picture and (self.unlike or self.weight != 1 or self.crop is not None):
            raise UsageError(
                "unlike, a visual weight and a crop are about a picture: "
                "give an image, or the id of one"
            )
        if self.crop is not None:
            if not self.images:
                raise UsageError("a crop is of an image that is given, not of one in the index")
            _check_crop(self.crop)

    @property
    def is_browsing(self) -> bool:
        """Whether the catalogue itself is asked for: put in order, grouped or counted."""
        return self.sort is not None or self.group_by is not None or self.facets is not None

    @property
    def has_picture(self) -> bool:
        """Whether it is asked what is like a picture."""
        return bool(self.images or self.like)


def several(value: QueryImage | Sequence[QueryImage] | None) -> tuple[QueryImage, ...]:
    """Return one image, several or none as a tuple; text and bytes are one."""
    if value is None:
        return ()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(value)
    return (value,)


def ids(value: int | Iterable[int] | None) -> tuple[int, ...]:
    """Return one id, several or none as a tuple."""
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(value)


def _check_crop(crop: Crop) -> None:
    if len(crop) != 4 or not all(math.isfinite(each) and each >= 0 for each in crop):
        raise UsageError("a crop is four numbers, left, top, width and height, none below 0")
    if not (crop[2] > 0 and crop[3] > 0):
        raise UsageError("the crop is empty: its width and height must be above 0")
