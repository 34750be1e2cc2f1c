"""Changing a catalogue: each change is a job, which is queued, looked at, and can be cancelled."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Header, HTTPException, Query, Request, UploadFile
from fastapi import Path as Parameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError

from finetag_model.errors import UsageError
from retrieval.service.access import Readable, Writable
from retrieval.service.catalog_routes import ImageId
from retrieval.service.catalogs import Served
from retrieval.service.job_files import discard, folder_of, keep
from retrieval.service.job_models import MOST_IMAGES, DeleteRequest, ImageFields, Job, JobKind
from retrieval.service.job_uploads import keep_fields, keep_images
from retrieval.service.models import Token
from retrieval.service.service import Service, Serving

router = APIRouter(prefix="/v1/catalogs/{catalog}", tags=["changes"])

JobId = Annotated[Token, Parameter(examples=["Zm9vYmFyYmF6cXV4MTIzNA"])]

TABLES = (".csv", ".jsonl", ".ndjson", ".parquet")

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        examples=["prices-2026-01-31"],
        description="of one's own choice: sent again, it makes no other job, but names the first",
    ),
]


@dataclass(frozen=True)
class _Change:
    """What the routes that change something have in common."""

    request: Request
    response: Response
    served: Served
    service: Service
    key: str | None

    def queue(self, kind: JobKind, prepare: Callable[[Path], Mapping[str, Any]]) -> Job:
        """Queue a job, unless one is there for the idempotency key.

        Args:
            kind: of the job.
            prepare: keeps the files of the job in its folder, and returns what it must know.
        """
        queue, state, catalog = self.service.queue, self.service.settings.state, self.served.name
        job = queue.known(catalog, self.key) if self.key else None
        if job is None:
            id_ = secrets.token_urlsafe(16)
            try:
                job = queue.put(catalog, kind, id_, prepare(folder_of(state, id_)), self.key)
            except BaseException:
                discard(state, id_)
                raise
            if job.id != id_:  # the same request at the same time was quicker
                discard(state, id_)
        if job.kind != kind:
            raise HTTPException(422, "this Idempotency-Key was used to ask for something else")
        self.service.runners.start(catalog)
        place = self.request.app.url_path_for("job", catalog=catalog, job=job.id)
        self.response.headers["Location"] = str(place)
        return job


def _change(
    request: Request,
    response: Response,
    served: Writable,
    service: Serving,
    idempotency_key: IdempotencyKey = None,
) -> _Change:
    return _Change(request, response, served, service, idempotency_key)


Change = Annotated[_Change, Depends(_change)]


@router.post("/images", status_code=202)
def add_images(
    image: list[UploadFile],
    change: Change,
    fields: Annotated[
        str | None,
        Form(description="JSON: a list with the fields of each image as an object, or null"),
    ] = None,
) -> Job:
    """Add images, with fields if there are some; those that cannot be read are left out."""
    if len(image) > MOST_IMAGES:
        raise HTTPException(422, f"at most {MOST_IMAGES:,} images go into one request")
    said = None if fields is None else _fields_of(len(image), fields)

    def prepare(folder: Path) -> Mapping[str, Any]:
        items = keep_images(image, change.service.decoder, folder)
        if not any("file" in item for item in items):
            raise HTTPException(422, f"no image can be read: {items[0]['problem']}")
        if said is not None:
            keep_fields(items, said, folder)
        return {"images": items}

    return change.queue("add", prepare)


@router.delete("/images/{image}", status_code=202)
def delete_image(image: ImageId, change: Change) -> Job:
    """Delete an image."""
    index = change.served.newest().index
    if not index.is_current():
        change.served.refresh()
        index = change.served.newest().index
    try:
        index.row_of(image)
    except UsageError as error:
        raise HTTPException(404, str(error)) from None
    return change.queue("delete", lambda _: {"ids": [image]})


@router.post("/images/delete", status_code=202)
def delete_images(asked: DeleteRequest, change: Change) -> Job:
    """Delete images."""
    return change.queue("delete", lambda _: {"ids": list(dict.fromkeys(asked.ids))})


@router.post("/update", status_code=202)
def update(change: Change) -> Job:
    """Look through the catalogue's folder for what is new, changed, moved or gone."""
    return change.queue("update", lambda _: {})


@router.post("/fields", status_code=202)
def import_fields(table: UploadFile, change: Change) -> Job:
    """Import a table of fields: CSV, JSON lines or Parquet, with a column `path` or `id`."""
    suffix = Path(table.filename or "").suffix.lower()
    if suffix not in TABLES:
        raise HTTPException(422, f"the name of a table ends in one of {', '.join(TABLES)}")
    file = f"table{suffix}"

    def prepare(folder: Path) -> Mapping[str, Any]:
        keep(folder / file, table.file)
        return {"table": file}

    return change.queue("fields", prepare)


@router.get("/jobs")
def jobs(
    served: Readable,
    service: Serving,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[Job]:
    """List the jobs of a catalogue, the newest first, without their results."""
    return service.queue.newest(served.name, limit)


@router.get("/jobs/{job}")
def job(job: JobId, served: Readable, service: Serving) -> Job:
    """Tell how a job stands."""
    return _found(service.queue.get(served.name, job))


@router.delete("/jobs/{job}")
def cancel_job(job: JobId, served: Writable, service: Serving) -> Job:
    """Cancel a job: at once if it waits, else at its next good moment; not if it has ended."""
    cancelled, at_once = service.queue.cancel(served.name, job)
    if at_once:
        discard(service.settings.state, job)
    return _found(cancelled)


def _found(job: Job | None) -> Job:
    if job is None:
        raise HTTPException(404, "there is no such job, or no longer")
    return job


def _fields_of(images: int, text: str) -> list[dict[str, Any] | None]:
    try:
        said = ImageFields.model_validate_json(text).root
    except ValidationError as error:
        found = error.errors(include_context=False)
        raise RequestValidationError(
            [{**each, "loc": ("body", "fields", *each["loc"])} for each in found]
        ) from None
    if len(said) != images:
        raise HTTPException(422, f"there are fields for {len(said):,} images, not for {images:,}")
    if any("path" in each for each in said if each):
        raise HTTPException(422, "no field can be called path")
    return list(said)
