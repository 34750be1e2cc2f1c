"""What there is: catalogues, their attributes, their images, small and under heat."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response

from finetag_model.errors import UsageError
from retrieval.catalog import Catalog
from retrieval.service.access import Calling, Readable
from retrieval.service.callers import Caller
from retrieval.service.catalogs import Served
from retrieval.service.models import (
    AttributeGroup,
    AttributeValue,
    CatalogInfo,
    Id,
    Image,
    Probability,
)
from retrieval.service.openapi import JPEG
from retrieval.service.search_routes import jpeg
from retrieval.service.service import Service, Serving
from retrieval.service.sizes import AttributeName, Side
from retrieval.target import stored

router = APIRouter(prefix="/v1/catalogs", tags=["catalogues"])

ImageId = Annotated[Id, Path(description="of an image, as hits have it", examples=[17])]


@router.get("")
def catalogs(service: Serving, caller: Calling) -> list[CatalogInfo]:
    """List the catalogues that can be searched, of those that the key opens."""
    return [
        _info(served, service, caller)
        for served in service.catalogs
        if served.is_open and caller.sees(served.name)
    ]


@router.get("/{catalog}")
def catalog(served: Readable, service: Serving, caller: Calling) -> CatalogInfo:
    """Describe a catalogue."""
    return _info(served, service, caller)


@router.get("/{catalog}/attributes")
def attributes(served: Readable) -> list[AttributeGroup]:
    """List the groups of attributes, with how many images have each value."""
    opened = served.newest()
    model = opened.index.manifest.model
    thresholds = model.thresholds.tolist()
    return [
        AttributeGroup(
            group=group,
            values=tuple(
                AttributeValue(value=value, images=images, threshold=thresholds[at])
                for at, (value, images) in zip(model.vocabulary.groups[group], values, strict=True)
            ),
        )
        for group, values in opened.attributes()
    ]


@router.get("/{catalog}/images/{image}")
def image(image: ImageId, served: Readable) -> Image:
    """Describe an image: its size, fields and attributes."""
    opened = served.newest()
    index = opened.index
    row = _row(opened, image)
    (record,) = index.images([row])
    target, model = stored(index, row), index.manifest.model
    return Image(
        id=record.id,
        name=record.path,
        width=record.width,
        height=record.height,
        fields=dict(record.fields),
        attributes=tuple(
            Probability(name=model.vocabulary.names[at], probability=float(target.scores[at]))
            for at in target.attributes(model.thresholds)
        ),
    )


@router.get("/{catalog}/images/{image}/thumbnail", response_class=Response, responses=JPEG)
def image_thumbnail(
    image: ImageId, served: Readable, service: Serving, side: Side = 400
) -> Response:
    """Return an image, small, as JPEG."""
    opened = served.newest()
    (record,) = opened.index.images([_row(opened, image)])
    return jpeg(service.decoder.jpeg(record.absolute, side))


@router.get("/{catalog}/images/{image}/heatmap", response_class=Response, responses=JPEG)
def image_heatmap(
    image: ImageId,
    attribute: AttributeName,
    served: Readable,
    service: Serving,
    side: Side = 400,
) -> Response:
    """Return an image under the heat of an attribute, as JPEG."""
    opened = served.newest()
    (record,) = opened.index.images([_row(opened, image)])
    model = opened.index.manifest.model
    return jpeg(service.heat.jpeg(record.absolute, attribute, side, None, model))


def _row(opened: Catalog, image: int) -> int:
    try:
        return opened.index.row_of(image)
    except UsageError as error:
        raise HTTPException(404, str(error)) from None


def _info(served: Served, service: Service, caller: Caller) -> CatalogInfo:
    index = served.newest().index
    return CatalogInfo(
        name=served.name,
        images=index.rows,
        generation=index.manifest.generation,
        model=index.manifest.model.name,
        fields=tuple(index.columns.names),
        writable=caller.writes(served.name),
        fetches_urls=service.settings.fetch_urls,
        problem=served.problem,
    )
