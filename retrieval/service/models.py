"""What goes over the wire, checked on the way in and typed on the way out; the client's too.

Answers are those of `retrieval.answer`, without the places of files on the server.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
)

PROBLEM_TYPE = "application/problem+json"
MOST_HITS = 200
MOST_PICTURES = 8

_SURROGATE = re.compile("[\ud800-\udfff]")

Id = Annotated[int, Field(ge=0, lt=2**63)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
FilterText = Annotated[str, StringConstraints(max_length=10_000)]


def _characters_alone(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse halves of surrogate pairs, which JSON can escape but no answer could repeat.

    Texts of a known place are refused by pydantic itself.
    """
    left: list[Any] = [value]
    while left:  # not by recursion: how deep it is, is not known yet
        each = left.pop()
        if isinstance(each, str) and _SURROGATE.search(each):
            raise ValueError("it holds half a surrogate pair, which is no character")
        if isinstance(each, dict):
            left += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            left += each
    return value


Filter = FilterText | Annotated[dict[str, Any], AfterValidator(_characters_alone)]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$")]
CatalogName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class _Incoming(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Outgoing(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class SearchRequest(_Incoming):
    """One search; all of `pictures`, `urls`, `like` and uploaded images together are the picture.

    Attributes:
        pictures: tokens of kept pictures.
        urls: of images, if the service fetches any.
        like: ids of images of the catalogue.
        unlike: ids of images that hits shall not be like.
        where: a filter as text, such as `wing_color=grey AND price<50`, or in its JSON form;
            of several, all must hold.
        limit: the greatest number of hits of this page.
        crop: left, top, width and height of the part of `pictures`, `urls` and uploaded images
            that is meant: shares of their sides if none is above 1, else pixels.
        weight: how much looks count, from 0 to 1; the rest is for attributes.
        min_score: leave out hits with a lower score.
        sort: order by this imported field; after a `-`, the greatest first.
        cursor: `next` of the page before, with all else the same but `limit`.
        dedup: show of near duplicates the best alone.
        group_by: show of each value of this field or group the best alone.
        facets: count the values of these groups and fields; an empty list: of every one.
        facets_at_least: the confidence from which facets count an image as having an attribute,
            from 0 to 1; without it, the attribute's threshold.
        explain: say what each score is made of.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"where": "wing_color=grey AND NOT crown_color=red", "limit": 10},
                {"pictures": ["Zm9vYmFyYmF6cXV4MTIzNA"], "crop": [0.2, 0.1, 0.5, 0.8]},
                {"like": [17], "where": {"attr": "wing_color", "in": ["grey", "white"]}},
            ]
        }
    )

    pictures: Annotated[tuple[Token, ...], Field(max_length=MOST_PICTURES)] = ()
    urls: Annotated[tuple[str, ...], Field(max_length=MOST_PICTURES)] = ()
    like: Annotated[tuple[Id, ...], Field(max_length=MOST_PICTURES)] = ()
    unlike: Annotated[tuple[Id, ...], Field(max_length=MOST_PICTURES)] = ()
    where: Filter | Annotated[list[Filter], Field(max_length=100)] = Field(default_factory=list)
    limit: int = Field(20, ge=1, le=MOST_HITS)
    crop: tuple[float, float, float, float] | None = None
    weight: float = Field(1.0, ge=0, le=1)
    min_score: float | None = Field(None, allow_inf_nan=False)
    sort: Name | None = None
    cursor: Name | None = None
    dedup: bool = False
    group_by: Name | None = None
    facets: Annotated[tuple[Name, ...], Field(max_length=100)] | None = None
    facets_at_least: float | None = Field(None, ge=0, le=1)
    explain: bool = False


class SignIn(_Incoming):
    """An API key, to begin a session of the page with."""

    key: SecretStr = Field(max_length=200)


class Part(_Outgoing):
    """What one attribute says of a hit; see `retrieval.answer.Part`."""

    name: str
    query: float | None
    hit: float
    part: float


class Explanation(_Outgoing):
    """Why a hit has its score; see `retrieval.answer.Explanation`."""

    looks: float | None
    attributes: tuple[Part, ...]


class Hit(_Outgoing):
    """One image found; see `retrieval.answer.Hit`."""

    rank: int
    id: int
    name: str
    score: float
    similarity: float | None
    attributes: dict[str, float]
    width: int
    height: int
    fields: dict[str, Any]
    near_duplicates: int
    group: str | float | None
    grouped: int
    explanation: Explanation | None


class Facet(_Outgoing):
    """One group of attributes or one field; see `retrieval.facets.Facet`."""

    name: str
    kind: Literal["attribute", "text", "number"]
    values: tuple[tuple[str, int], ...]
    images: int
    different: int
    least: float | None
    greatest: float | None


class Answer(_Outgoing):
    """The hits of one search and how they were found; see `retrieval.answer.Answer`."""

    hits: tuple[Hit, ...]
    total: int
    where: tuple[str, ...]
    filter: str
    plan: str
    exact: bool
    recall: float
    reason: str | None
    generation: int
    milliseconds: dict[str, float]
    next: str | None
    facets: tuple[Facet, ...]


class CatalogInfo(_Outgoing):
    """A catalogue.

    Attributes:
        name: by which URLs call it.
        images: how many it has.
        generation: of its index.
        model: that embeds its images.
        fields: imported ones, to filter and sort by.
        writable: whether whoever asks may change it.
        fetches_urls: whether pictures may be named by URL.
        problem: why it is not at its newest, or cannot be searched; None if all is well.
    """

    name: str
    images: int
    generation: int
    model: str
    fields: tuple[str, ...]
    writable: bool
    fetches_urls: bool
    problem: str | None


class AttributeValue(_Outgoing):
    """A value of a group.

    Attributes:
        value: as filters call it.
        images: how many images have it.
        threshold: the probability from which on an image counts as having it.
    """

    value: str
    images: int
    threshold: float


class AttributeGroup(_Outgoing):
    """A group of attributes."""

    group: str
    values: tuple[AttributeValue, ...]


class Probability(_Outgoing):
    """An attribute that an image has, or is the likeliest to have."""

    name: str
    probability: float


class Image(_Outgoing):
    """An image of a catalogue; `attributes` are those it has, most probable first."""

    id: int
    name: str
    width: int
    height: int
    fields: dict[str, Any]
    attributes: tuple[Probability, ...]


class Picture(_Outgoing):
    """A picture that is kept for a while, to be searched with.

    Attributes:
        token: names it, in searches and in links to share; who has it can see the picture.
        width: in pixels, upright.
        height: in pixels, upright.
        expires: until when it is kept, unless others need the room.
    """

    token: str
    width: int
    height: int
    expires: datetime


class Problem(_Outgoing):
    """What went wrong, as RFC 9457 has it.

    Attributes:
        title: the HTTP status in words.
        status: the HTTP status.
        detail: one line for people; of a wrong filter, two more that point into it.
        request_id: by which the service's log calls the request.
        errors: of a request with wrong fields, what is wrong where.
    """

    title: str
    status: int
    detail: str
    request_id: str | None = None
    errors: tuple[str, ...] = ()
