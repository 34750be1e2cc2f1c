"""What a search gives back, as plain frozen data; how it is shown is decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from retrieval.facets import Facet


@dataclass(frozen=True)
class Part:
    """What one attribute says of a hit.

    Attributes:
        name: as `underparts_color=grey`.
        query: its probability in what was searched for; None if that was no picture.
        hit: its probability in the hit.
        part: what it adds to the hit's score, or is a factor of it without a picture.
    """

    name: str
    query: float | None
    hit: float
    part: float


@dataclass(frozen=True)
class Explanation:
    """Why a hit has its score.

    Attributes:
        looks: what the likeness of the pictures adds to the score; None without a picture.
        attributes: what attributes say, those that say most first. The parts and `looks` add up
            to the score; without a picture, the score is the product of the parts, where one of
            several is enough that of the most probable alone.
    """

    looks: float | None
    attributes: tuple[Part, ...]


@dataclass(frozen=True)
class Hit:
    """One image found.

    Attributes:
        rank: 1 for the best, going on from page to page.
        id: the image's number in the catalogue, the same in every answer.
        path: the file, absolute.
        name: the file relative to the catalogue's root, with forward slashes.
        score: by which hits are ranked. With a picture it is the similarity, or as much of it as
            the visual weight says and attribute similarity for the rest; without one, the
            joint probability of the attributes that the filter asks for, 1 if it asks for none.
        similarity: cosine of the angle between the looks of query and hit, in [-1, 1]; None
            if there was no picture.
        attributes: probability in [0, 1] of each attribute that the filter asks for, by
            `group=value`.
        width: in pixels, upright.
        height: in pixels, upright.
        fields: what was imported about the image: price, brand, own attributes.
        near_duplicates: how many hits that look the same it stands for, if asked for.
        group: its value of what hits are grouped by; None if it has none, or they are not.
        grouped: how many other images of that group pass the filter.
        explanation: if asked for.
    """

    rank: int
    id: int
    path: Path
    name: str
    score: float
    similarity: float | None
    attributes: Mapping[str, float]
    width: int
    height: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    near_duplicates: int = 0
    group: str | float | None = None
    grouped: int = 0
    explanation: Explanation | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the hit as JSON takes it; the keys are the names of the attributes."""
        return {
            **vars(self),
            "path": str(self.path),
            "attributes": dict(self.attributes),
            "fields": dict(self.fields),
            "explanation": self.explanation and asdict(self.explanation),
        }


@dataclass(frozen=True)
class Answer:
    """The hits of one search, best first, and how they were found.

    Attributes:
        hits: at most as many as asked for.
        total: how many images of the catalogue pass the filter, shown or not.
        where: the attributes that the filter asks for, as the model names them.
        filter: the whole filter as text, in its shortest spelling; empty without one.
        plan: the way the search took, such as `exact over 41 of 7,084 images`.
        exact: whether no better hit can have been missed.
        recall: the share of the best that is expected to be found, by what was measured when
            the index was written; 1.0 if the answer is exact.
        reason: why there are no hits; None if there are some.
        generation: number of the index generation that answered.
        milliseconds: time taken by each stage that ran: `load` (the model, once for each
            catalogue opened), `decode`, `embed`, `filter`, `search`, `facets`.
        next: the cursor that the next page is asked for with; None if there is none.
        facets: counts of values, if asked for.
    """

    hits: tuple[Hit, ...]
    total: int
    where: tuple[str, ...]
    filter: str
    plan: str
    exact: bool
    recall: float
    reason: str | None
    generation: int
    milliseconds: Mapping[str, float]
    next: str | None = None
    facets: tuple[Facet, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as JSON takes it; the keys are the names of the attributes."""
        fields = {name: value for name, value in vars(self).items() if name != "hits"}
        return {
            **fields,
            "where": list(self.where),
            "milliseconds": dict(self.milliseconds),
            "facets": [asdict(facet) for facet in self.facets],
            "hits": [hit.as_dict() for hit in self.hits],
        }
