"""The calls that change a catalogue, and look after the jobs that do; nothing is sent.

A change has an Idempotency-Key, so that sending it again after an answer was lost makes no second
job.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import httpx2
from pydantic import ValidationError

from finetag_model.errors import UsageError
from retrieval.client.calls import Call, file_part, json_body, reader
from retrieval.client.connection import CONNECT_SECONDS
from retrieval.client.errors import ServiceError
from retrieval.client.images import Upload, read_file
from retrieval.request import ids as as_ids
from retrieval.service.job_models import MOST_IMAGES, DeleteRequest, ImageFields, Job
from retrieval.service.models import CatalogInfo

FIRST_WAIT = 0.2
LONGEST_WAIT = 2.0
"""Seconds between two looks at a job, growing from one to the other."""
SHOWN_WITHIN = 5.0
"""Seconds within which a service that is well shows a new generation."""

TableKind = Literal["csv", "jsonl", "parquet"]
Progress: TypeAlias = Callable[[Job], None]

# The service reads every image before it answers.
_UPLOAD = httpx2.Timeout(600.0, connect=CONNECT_SECONDS)


class JobError(ServiceError):
    """A job failed, was cancelled, or has not ended in time.

    Attributes:
        job: as it stands.
    """

    def __init__(self, detail: str, job: Job | None = None) -> None:
        super().__init__(detail)
        self.job = job


class JobCalls:
    """The calls about the jobs of one catalogue."""

    def __init__(self, catalog: str) -> None:
        """Make calls to the catalogue of this name, which `CatalogCalls` has checked."""
        self._path = f"/v1/catalogs/{catalog}"

    def add(self, images: Sequence[bytes], fields: Sequence[Any] | None) -> Call[Job]:
        """Return the call that adds images.

        Raises:
            UsageError: there are none, or too many, or the fields are not as they must be.
        """
        if not 0 < len(images) <= MOST_IMAGES:
            raise UsageError(
                f"{len(images):,} images cannot be added in one call, but 1 to {MOST_IMAGES:,}"
            )
        parts: dict[str, Any] = {"files": [file_part("image", each) for each in images]}
        if fields is not None:
            parts["data"] = {"fields": _fields(len(images), fields)}
        return self._change("/images", {**parts, "timeout": _UPLOAD})

    def delete(self, ids: int | Iterable[int]) -> Call[Job]:
        """Return the call that deletes images.

        Raises:
            UsageError: there is no id, or too many, or one cannot be.
        """
        try:
            asked = DeleteRequest(ids=as_ids(ids))
        except ValidationError as error:
            raise UsageError(f"ids: {error.errors()[0]['msg']}") from None
        return self._change("/images/delete", json_body(asked.model_dump_json()))

    def update(self) -> Call[Job]:
        """Return the call that looks through the catalogue's folder."""
        return self._change("/update", {})

    def import_fields(self, table: bytes, kind: TableKind) -> Call[Job]:
        """Return the call that imports a table of fields."""
        part = file_part("table", table, f"table.{kind}")
        return self._change("/fields", {"files": [part], "timeout": _UPLOAD})

    def job(self, job: Job | str) -> Call[Job]:
        """Return the call that tells how a job stands."""
        return Call("GET", self._place(job), reader(Job))

    def jobs(self, limit: int) -> Call[tuple[Job, ...]]:
        """Return the call that lists the newest jobs."""
        read = reader(tuple[Job, ...])
        return Call("GET", f"{self._path}/jobs", read, {"params": {"limit": limit}})

    def cancel(self, job: Job | str) -> Call[Job]:
        """Return the call that cancels a job; twice is as good as once."""
        return Call("DELETE", self._place(job), reader(Job))

    def _place(self, job: Job | str) -> str:
        id_ = job.id if isinstance(job, Job) else job
        if not id_.replace("-", "").replace("_", "").isalnum():
            raise UsageError(f"{id_[:60]!r} is no id of a job")
        return f"{self._path}/jobs/{id_}"

    def _change(self, place: str, parts: Mapping[str, Any]) -> Call[Job]:
        headers = {**parts.get("headers", {}), "Idempotency-Key": secrets.token_urlsafe(16)}
        return Call("POST", f"{self._path}{place}", reader(Job), {**parts, "headers": headers})


class Wait:
    """Waiting for a job: what to do after each look at it; whoever waits does the sleeping."""

    def __init__(self, timeout: float, on_progress: Progress | None) -> None:
        """Wait for so many seconds, and tell of every change."""
        self._until = time.monotonic() + timeout
        self._tell = on_progress
        self._pause = FIRST_WAIT
        self._told: Job | None = None
        self._shown_until: float | None = None

    def pause(self, job: Job) -> float | None:
        """Return the seconds until the next look; None: the job is done.

        Raises:
            JobError: it failed, was cancelled, or took too long.
        """
        if self._tell is not None and job != self._told:
            self._tell(job)
        self._told = job
        if job.state == "done":
            return None
        if job.state in {"failed", "cancelled"}:
            reason = f": {job.problem}" if job.problem else ""
            raise JobError(f"the job {job.id} ({job.kind}) {_ENDED[job.state]}{reason}", job)
        left = self._until - time.monotonic()
        if left <= 0:
            raise JobError(f"the job {job.id} ({job.kind}) has not ended in time; it goes on", job)
        pause = min(self._pause, left)
        self._pause = min(self._pause * 1.5, LONGEST_WAIT)
        return pause

    def pause_until_shown(self, job: Job, catalog: CatalogInfo) -> float | None:
        """Return the seconds until the next look at the catalogue; None: it shows the job's work.

        A service that cannot show it is not waited for any longer: the work is done.
        """
        if job.generation is None or catalog.generation >= job.generation:
            return None
        if self._shown_until is None:
            self._shown_until = time.monotonic() + SHOWN_WITHIN
        return FIRST_WAIT if time.monotonic() < self._shown_until else None


def read_images(images: Iterable[Upload] | Upload) -> list[bytes]:
    """Read the images to add.

    Raises:
        ImageError: a file cannot be read.
        UsageError: something is no image.
    """
    if isinstance(images, str | os.PathLike | bytes) or hasattr(images, "read"):
        raise UsageError("add takes a list of images; put the one in brackets")
    return [read_file(each) for each in images]


def kind_of(table: Upload, kind: TableKind | None) -> TableKind:
    """Return what a table is: as told, or by the ending of its path.

    Raises:
        UsageError: neither says.
    """
    known: tuple[TableKind, ...] = ("csv", "jsonl", "parquet")
    if kind is None and isinstance(table, str | os.PathLike):
        ending = os.fspath(table).rpartition(".")[2].lower()
        kind = next((each for each in known if each == ending), None)
    if kind not in known:
        raise UsageError(f"say what the table is: kind= one of {', '.join(known)}")
    return kind


_ENDED = {"failed": "failed", "cancelled": "was cancelled"}


def _fields(images: int, fields: Sequence[Any]) -> str:
    if len(fields) != images:
        raise UsageError(f"there are fields for {len(fields):,} images, not for {images:,}")
    try:
        return ImageFields.model_validate(list(fields)).model_dump_json()
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"fields.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
