"""What a search gives back, as plain frozen data; how it is shown is decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Hit:
    """One image found.

    Attributes:
        rank: 1 for the best.
        id: the image's number in the catalogue, the same in every answer.
        path: the file, absolute.
        name: the file relative to the catalogue's root, with forward slashes.
        similarity: cosine of the angle between the looks of query and hit, in [-1, 1]; None
            if there was no query image.
        attributes: probability in [0, 1] of each attribute that the filter asks for, by
            `group=value`.
        width: in pixels, upright.
        height: in pixels, upright.
        fields: what was imported about the image: price, brand, own attributes.
        near_duplicates: how many hits that look the same it stands for, if asked for.
    """

    rank: int
    id: int
    path: Path
    name: str
    similarity: float | None
    attributes: Mapping[str, float]
    width: int
    height: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    near_duplicates: int = 0


@dataclass(frozen=True)
class Answer:
    """The hits of one search, best first, and how they were found.

    Attributes:
        hits: at most as many as asked for.
        total: how many images of the catalogue pass the filter, shown or not.
        where: the attributes that the filter asks for, as the model names them.
        plan: the way the search took, such as `exact over 41 of 7,084 images`.
        exact: whether no better hit can have been missed.
        reason: why there are no hits; None if there are some.
        generation: number of the index generation that answered.
        milliseconds: time taken by each stage that ran: `load` (the model, once for each
            catalogue opened), `decode`, `embed`, `filter`, `search`.
        filter: the whole filter as text, in its shortest spelling; empty without one.
    """

    hits: tuple[Hit, ...]
    total: int
    where: tuple[str, ...]
    plan: str
    exact: bool
    reason: str | None
    generation: int
    milliseconds: Mapping[str, float]
    filter: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as JSON takes it; the keys are the names of the attributes."""
        return {
            "total": self.total,
            "where": list(self.where),
            "filter": self.filter,
            "plan": self.plan,
            "exact": self.exact,
            "reason": self.reason,
            "generation": self.generation,
            "milliseconds": dict(self.milliseconds),
            "hits": [_as_dict(hit) for hit in self.hits],
        }


def _as_dict(hit: Hit) -> dict[str, Any]:
    return {
        **vars(hit),
        "path": str(hit.path),
        "attributes": dict(hit.attributes),
        "fields": dict(hit.fields),
    }
