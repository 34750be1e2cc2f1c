"""What goes over the wire: each call as a request, and how its answer is read; nothing is sent."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any, Generic, TypedDict, TypeVar

import httpx2
from pydantic import TypeAdapter, ValidationError

from finetag_model.errors import UsageError
from retrieval.client.errors import misunderstood
from retrieval.client.images import Read
from retrieval.request import Crop, ids
from retrieval.service.models import (
    Answer,
    AttributeGroup,
    CatalogInfo,
    CatalogName,
    Image,
    Picture,
    SearchRequest,
)
from retrieval.where import Filter, Where, to_json

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Call(Generic[T_co]):
    """One request, and how its answer is read.

    Attributes:
        method: of HTTP.
        path: below the service's address.
        read: makes of a success what the caller gets.
        parts: `params`, `content`, `data`, `files` and `headers`, as httpx2 has them.
        repeatable: whether sending it twice does what sending it once does.
    """

    method: str
    path: str
    read: Callable[[httpx2.Response], T_co]
    parts: Mapping[str, Any] = field(default_factory=dict)
    repeatable: bool = True


class SearchOptions(TypedDict, total=False):
    """What a search takes beside images, filter and limit.

    Attributes:
        like: ids of images of the catalogue, taken as pictures beside the images, and no hits.
        unlike: ids of images that hits shall not be like, and no hits.
        pictures: tokens of kept pictures, such as those of a shared link.
        crop: left, top, width and height of the part of every image that is meant, but not of
            `like`: shares of its sides if none is above 1, else pixels.
        weight: how much looks count, from 0 to 1; the rest is for attribute similarity.
        min_score: leave out hits with a lower score.
        sort: order by this imported field; after a `-`, the greatest first.
        cursor: `Answer.next` of the page before, with all else the same but the limit.
        dedup: show of near duplicates the best alone.
        group_by: show of each value of this field or group the best alone.
        facets: count the values of these groups and fields; none named: of every one.
        facets_at_least: the confidence from which facets count an image as having an attribute,
            from 0 to 1; None: the attribute's threshold.
        explain: have each hit say what its score is made of.
    """

    like: int | Iterable[int] | None
    unlike: int | Iterable[int] | None
    pictures: Sequence[str]
    crop: Crop | None
    weight: float
    min_score: float | None
    sort: str | None
    cursor: str | None
    dedup: bool
    group_by: str | None
    facets: Sequence[str] | None
    facets_at_least: float | None
    explain: bool


class CatalogCalls:
    """The calls to one catalogue."""

    def __init__(self, catalog: str) -> None:
        """Make calls to the catalogue of this name.

        Raises:
            UsageError: it cannot be a name.
        """
        try:
            TypeAdapter[str](CatalogName).validate_python(catalog)
        except ValidationError:
            raise UsageError(
                f"{catalog!r} is no name of a catalogue: small letters, digits, - and _"
            ) from None
        self.catalog = catalog
        self._path = f"/v1/catalogs/{catalog}"

    def search(
        self, images: Sequence[Read], where: Where, limit: int, options: SearchOptions
    ) -> Call[Answer]:
        """Return a search; its answer is the same however often it is sent.

        Raises:
            UsageError: an option is not as it must be.
        """
        asked = _asked(images, where, limit, options)
        files = [file_part("image", each) for each in images if isinstance(each, bytes)]
        if files:
            path, parts = f"{self._path}/search/upload", {"files": files, "data": {"query": asked}}
        else:
            path, parts = f"{self._path}/search", json_body(asked)
        return Call("POST", path, reader(Answer), parts)

    def keep(self, image: bytes) -> Call[Picture]:
        """Return the call that keeps a picture; sent twice, it would keep two."""
        parts = {"files": [file_part("image", image)]}
        return Call("POST", f"{self._path}/pictures", reader(Picture), parts, repeatable=False)

    def info(self) -> Call[CatalogInfo]:
        """Return the call that describes the catalogue."""
        return Call("GET", self._path, reader(CatalogInfo))

    def attributes(self) -> Call[tuple[AttributeGroup, ...]]:
        """Return the call for the groups of attributes."""
        return Call("GET", f"{self._path}/attributes", reader(tuple[AttributeGroup, ...]))

    def image(self, id: int) -> Call[Image]:
        """Return the call that describes an image."""
        return Call("GET", f"{self._path}/images/{index(id)}", reader(Image))

    def thumbnail(self, of: int | Picture, side: int) -> Call[bytes]:
        """Return the call for an image of the catalogue, or a kept picture, small."""
        return Call("GET", f"{self._path}/{_place(of)}/thumbnail", _jpeg, _params(side=side))

    def heatmap(self, of: int | Picture, attribute: str, side: int) -> Call[bytes]:
        """Return the call for an image, or a kept picture, under the heat of an attribute."""
        parts = _params(attribute=attribute, side=side)
        return Call("GET", f"{self._path}/{_place(of)}/heatmap", _jpeg, parts)


def catalogs() -> Call[tuple[CatalogInfo, ...]]:
    """Return the call that lists the catalogues."""
    return Call("GET", "/v1/catalogs", reader(tuple[CatalogInfo, ...]))


def ready() -> Call[bool]:
    """Return the call that asks whether every catalogue can be searched; it is not repeated."""
    return Call("GET", "/readyz", lambda _: True, repeatable=False)


def _asked(images: Sequence[Read], where: Where, limit: int, options: SearchOptions) -> str:
    kept = tuple(each.token for each in images if isinstance(each, Picture))
    given: dict[str, Any] = {
        **options,
        "where": _where(where),
        "limit": limit,
        "urls": tuple(each for each in images if isinstance(each, str)),
        "pictures": (*kept, *options.get("pictures", ())),
        "like": ids(options.get("like")),
        "unlike": ids(options.get("unlike")),
    }
    try:
        asked = SearchRequest.model_validate(given).model_dump(exclude_defaults=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    try:
        return json.dumps(asked, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"where: the JSON form holds what JSON does not: {error}") from None


def _where(where: Where) -> object:
    if isinstance(where, Sequence) and not isinstance(where, str):
        return [_one_where(each) for each in where]
    return _one_where(where)


def _one_where(where: object) -> object:
    if isinstance(where, Filter):
        return to_json(where)
    if isinstance(where, str):
        return where
    if isinstance(where, Mapping):
        return dict(where)
    raise UsageError(
        f"{reprlib.repr(where)} is no filter; give a text such as 'wing_color=grey', a comparison "
        "of Attr or Field, or the JSON form"
    )


def _place(of: int | Picture) -> str:
    return f"pictures/{of.token}" if isinstance(of, Picture) else f"images/{index(of)}"


def file_part(field: str, data: bytes, name: str = "file") -> tuple[str, tuple[str, bytes, str]]:
    """Return one file of a form; its own name stays here, since it would tell a path."""
    return field, (name, data, "application/octet-stream")


def json_body(text: str) -> dict[str, Any]:
    """Return the parts of a request whose body is JSON."""
    return {"content": text.encode(), "headers": {"Content-Type": "application/json"}}


def _params(**params: str | int) -> dict[str, Any]:
    return {"params": params}


def reader(kind: type[T]) -> Callable[[httpx2.Response], T]:
    """Return what makes a value of a type of a response; ServiceError if it holds none."""
    adapter = TypeAdapter(kind)

    def read(response: httpx2.Response) -> T:
        try:
            return adapter.validate_json(response.content)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "all of it"
            raise misunderstood(response, f"{place}: {first['msg']}") from None

    return read


def _jpeg(response: httpx2.Response) -> bytes:
    kind = response.headers.get("Content-Type", "nothing")
    if not kind.startswith("image/"):
        raise misunderstood(response, f"{kind[:60]} instead of an image")
    return response.content
