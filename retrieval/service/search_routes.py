"""Searching: one JSON request, or the same with images beside it, and pictures to be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response, UploadFile
from fastapi import Path as Parameter
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from retrieval.query import QueryImage, fetched
from retrieval.service.access import Readable
from retrieval.service.catalogs import Served
from retrieval.service.metrics import count_search
from retrieval.service.models import MOST_PICTURES, Answer, Picture, SearchRequest, Token
from retrieval.service.openapi import JPEG
from retrieval.service.service import Service, Serving
from retrieval.service.sizes import AttributeName, CropText, Side, read_crop_text

router = APIRouter(prefix="/v1/catalogs/{catalog}", tags=["search"])

PathToken = Annotated[Token, Parameter(examples=["Zm9vYmFyYmF6cXV4MTIzNA"])]


@router.post("/search", response_model=Answer)
def search(asked: SearchRequest, served: Readable, service: Serving, request: Request) -> Response:
    """Find images like a picture, passing a filter, or both."""
    return _search(asked, served, service, [], request)


@router.post("/search/upload", response_model=Answer)
def search_with_upload(
    image: list[UploadFile],
    served: Readable,
    service: Serving,
    request: Request,
    query: Annotated[str, Form(description="a search as JSON, as `search` takes it")] = "{}",
) -> Response:
    """Find images like those uploaded, which are not kept."""
    if len(image) > MOST_PICTURES:
        raise HTTPException(422, f"at most {MOST_PICTURES} images make one search")
    try:
        asked = SearchRequest.model_validate_json(query)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False)) from None
    return _search(asked, served, service, [each.file.read() for each in image], request)


@router.post("/pictures", status_code=201)
def keep_picture(image: UploadFile, served: Readable, service: Serving) -> Picture:
    """Keep a picture for a while, to search with it, page, refine, and share by link."""
    data = image.file.read()
    width, height = service.decoder.size(data)
    kept = service.pictures.keep(served.name, data)
    return Picture(token=kept.token, width=width, height=height, expires=kept.expires)


@router.get("/pictures/{token}/thumbnail", response_class=Response, responses=JPEG)
def picture_thumbnail(
    token: PathToken,
    served: Readable,
    service: Serving,
    side: Side = 400,
    crop: CropText = None,
) -> Response:
    """Return a kept picture, small, as JPEG."""
    path = _kept(service, served, token)
    return jpeg(service.decoder.jpeg(path, side, read_crop_text(crop)))


@router.get("/pictures/{token}/heatmap", response_class=Response, responses=JPEG)
def picture_heatmap(
    token: PathToken,
    attribute: AttributeName,
    served: Readable,
    service: Serving,
    side: Side = 400,
    crop: CropText = None,
) -> Response:
    """Return a kept picture under the heat of an attribute, as JPEG."""
    path = _kept(service, served, token)
    model = served.newest().index.manifest.model
    return jpeg(service.heat.jpeg(path, attribute, side, read_crop_text(crop), model))


def jpeg(data: bytes) -> Response:
    """Return the response that is a picture, which a browser may keep for an hour."""
    return Response(
        data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"}
    )


def _kept(service: Service, served: Served, token: str) -> Path:
    return service.pictures.path(served.name, token)


def _search(
    asked: SearchRequest,
    served: Served,
    service: Service,
    uploaded: list[bytes],
    request: Request,
) -> Response:
    if asked.urls and not service.settings.fetch_urls:
        raise HTTPException(403, "this service fetches no URLs; upload the picture instead")
    images: list[QueryImage] = [
        *uploaded,
        *(_kept(service, served, token) for token in asked.pictures),
        *(fetched(url) for url in asked.urls),
    ]
    options = asked.model_dump(exclude={"pictures", "urls", "where"})
    where = asked.where
    catalog = served.at(asked.cursor)
    with service.turns.one():
        found = catalog.search(images or None, where=where, **options)
    count_search(found.milliseconds)
    request.state.generation = found.generation  # for the log
    # FastAPI would check it once more, and make JSON of it in a slower way.
    answer = Answer.model_validate(found).model_dump_json()
    return Response(answer, media_type="application/json")
