"""Jobs that change a catalogue, as they go over the wire; the client's too."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints

from retrieval.service.models import Id, Token

MOST_IMAGES = 1000
"""Of one request that adds some."""
MOST_DELETED = 10_000
MOST_LISTED = 1000
"""Problems of one job that are listed one by one."""

JobKind = Literal["add", "delete", "update", "fields"]
JobState = Literal["queued", "running", "done", "failed", "cancelled"]

FieldName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
FieldText = Annotated[str, StringConstraints(max_length=10_000)]
FieldNumber = Annotated[float, Field(allow_inf_nan=False)]
FieldInteger = Annotated[int, Field(ge=-(2**63), lt=2**63)]
FieldValue = (
    bool
    | FieldInteger
    | FieldNumber
    | FieldText
    | Annotated[list[FieldText], Field(max_length=100)]
    | None
)


class ImageFields(
    RootModel[list[Annotated[dict[FieldName, FieldValue], Field(max_length=200)] | None]]
):
    """What is imported with images: for each of them its fields, or null."""


class DeleteRequest(BaseModel):
    """The images to delete, by id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ids: Annotated[tuple[Id, ...], Field(min_length=1, max_length=MOST_DELETED)]


class _Outgoing(BaseModel):
    model_config = ConfigDict(frozen=True)


class AddedImage(_Outgoing):
    """What became of one image that was sent.

    Attributes:
        index: its place among those sent, from 0.
        id: it has in the catalogue; None if it is not in there.
        problem: why it is not; None if it is.
    """

    index: int
    id: int | None
    problem: str | None


class AddResult(_Outgoing):
    """What became of images that were sent.

    Attributes:
        images: all of them, in the order sent.
        new: how many the catalogue did not have.
        embedded: how many contents the network was run on.
        problems: values of fields that were left out, with the reason.
    """

    kind: Literal["add"] = "add"
    images: tuple[AddedImage, ...]
    new: int
    embedded: int
    problems: tuple[str, ...]


class DeleteResult(_Outgoing):
    """What deleting has done.

    Attributes:
        deleted: how many images.
        left: how many images the catalogue has now.
        unknown: ids of no image.
    """

    kind: Literal["delete"] = "delete"
    deleted: int
    left: int
    unknown: tuple[int, ...]


class Skipped(_Outgoing):
    """A file that is no image that can be read; `name` as it lies in the catalogue."""

    name: str
    reason: str


class UpdateResult(_Outgoing):
    """What looking through the folder has found; numbers as of `indexer.BuildReport`.

    Attributes:
        skipped: how many files could not be read.
        first_skipped: the first of them.
    """

    kind: Literal["update"] = "update"
    images: int
    new: int
    changed: int
    moved: int
    unchanged: int
    gone: int
    embedded: int
    duplicates: int
    ignored: int
    excluded: int
    unreachable: int
    skipped: int
    first_skipped: tuple[Skipped, ...]


class FieldsResult(_Outgoing):
    """What importing a table has done; see `indexer.importing.ImportReport`.

    Attributes:
        rows: of the table.
        images: rows about an image.
        waiting: rows about a name that no image has yet; they are kept for it.
        fields: columns taken as fields.
        attributes: columns taken as groups of attributes.
        left_out: how many cells and rows were left out.
        problems: the first of them, with place and reason.
    """

    kind: Literal["fields"] = "fields"
    rows: int
    images: int
    waiting: int
    fields: tuple[str, ...]
    attributes: tuple[str, ...]
    left_out: int
    problems: tuple[str, ...]


Result = AddResult | DeleteResult | UpdateResult | FieldsResult


class Job(_Outgoing):
    """One change of a catalogue, asked for and perhaps made.

    Attributes:
        id: names it.
        kind: what it does.
        state: how it stands; the last three are for good.
        created: when it was asked for.
        started: when work on it began; None: not yet.
        ended: when it came to its state for good.
        phase: what is being done; empty: reading and embedding images, or reading a table.
        done: how much of the phase is done.
        total: how much there is to do; None if nobody knows.
        rate: done per second.
        result: of one that is done; lists of jobs leave it out.
        problem: why it failed, in one line.
        generation: of the catalogue, from which on searches show the result.
    """

    id: Token
    kind: JobKind
    state: JobState
    created: datetime
    started: datetime | None
    ended: datetime | None
    phase: str
    done: int
    total: int | None
    rate: float | None
    result: Annotated[Result, Field(discriminator="kind")] | None
    problem: str | None
    generation: int | None
