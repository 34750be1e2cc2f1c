"""The queue of jobs of all catalogues, as a table that every process of a service sees.

Who works on a catalogue's jobs holds a lock, see `job_files`; what that one alone may call is at
the end of the class.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Engine,
    Float,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    select,
    update,
)

from retrieval.service.job_models import Job, JobKind, JobState, Result
from retrieval.service.store import changing, metadata

KEPT_SECONDS = 30 * 24 * 60 * 60
"""For which a job is remembered after it has ended."""

job = Table(
    "job",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String(22), nullable=False, unique=True),
    Column("catalog", String(100), nullable=False),  # see `Queue`
    Column("kind", String(10), nullable=False),
    Column("state", String(10), nullable=False, default="queued"),
    Column("idempotency_key", String(200)),
    Column("request", JSON, nullable=False),
    Column("created", Float, nullable=False),  # as the others, seconds since 1970
    Column("started", Float),
    Column("ended", Float),
    Column("cancel", Boolean, nullable=False, default=False),
    Column("lost", Integer, nullable=False, default=0),
    Column("phase", Text, nullable=False, default=""),
    Column("done", Integer, nullable=False, default=0),
    Column("total", Integer),
    Column("rate", Float),
    Column("result", JSON),
    Column("problem", Text),
    Column("generation", Integer),
    UniqueConstraint("catalog", "idempotency_key"),
    Index("job_in_queue", "catalog", "state", "number"),
    sqlite_autoincrement=True,
)

_UNFINISHED = job.c.state.in_(("queued", "running"))
_SHOWN = [job.c[name] for name in Job.model_fields]
_IN_LISTS = [column for column in _SHOWN if column is not job.c.result]


@dataclass(frozen=True)
class Task:
    """A job as whoever does it sees it.

    Attributes:
        id: as of a `Job`, as the next.
        kind: see there.
        request: what the job must know.
        cancel: it shall be undone rather than done.
        lost: how many processes were lost that worked on it.
    """

    id: str
    kind: JobKind
    request: Mapping[str, Any]
    cancel: bool
    lost: int


@dataclass(frozen=True)
class Step:
    """How far a job is; see `Job`."""

    phase: str = ""
    done: int = 0
    total: int | None = None
    rate: float | None = None


class Queue:
    """The jobs; every method is one transaction.

    Services with one state folder may call different indexes by one name. So a job belongs to
    the name and the index folder together, and no other index is ever changed by it.
    """

    def __init__(self, store: Engine, catalogs: Mapping[str, Path]) -> None:
        """Take the database that `open_store` opened, and the index folders of a service."""
        self._store = store
        self._names = {_place(name, folder): name for name, folder in catalogs.items()}
        self._places = {name: place for place, name in self._names.items()}

    def put(
        self, catalog: str, kind: JobKind, id_: str, request: Mapping[str, Any], key: str | None
    ) -> Job:
        """Queue a job; or return the one that was queued for the same idempotency key."""
        with changing(self._store) as connection:
            known = None
            if key is not None:
                query = select(*_SHOWN).where(
                    job.c.catalog == self._places[catalog], job.c.idempotency_key == key
                )
                known = connection.execute(query).one_or_none()
            if known is None:
                row = {
                    "id": id_,
                    "catalog": self._places[catalog],
                    "kind": kind,
                    "idempotency_key": key,
                }
                now = time.time()
                connection.execute(job.insert().values(**row, request=request, created=now))
                known = connection.execute(select(*_SHOWN).where(job.c.id == id_)).one()
        return _job(known)

    def known(self, catalog: str, key: str) -> Job | None:
        """Return the job that was queued for an idempotency key."""
        return self._one(job.c.catalog == self._places[catalog], job.c.idempotency_key == key)

    def get(self, catalog: str, id_: str) -> Job | None:
        """Return a job."""
        return self._one(job.c.catalog == self._places[catalog], job.c.id == id_)

    def newest(self, catalog: str, limit: int) -> list[Job]:
        """Return the jobs asked for last, the newest first, without results."""
        query = select(*_IN_LISTS).where(job.c.catalog == self._places[catalog])
        with self._store.connect() as connection:
            rows = connection.execute(query.order_by(job.c.number.desc()).limit(limit)).all()
        return [_job(row) for row in rows]

    def cancel(self, catalog: str, id_: str) -> tuple[Job | None, bool]:
        """Cancel a job: at once if nothing was done for it yet, else when its worker sees it.

        Returns:
            The job, and whether it was cancelled at once.
        """
        named = (job.c.catalog == self._places[catalog], job.c.id == id_)
        untouched = (job.c.state == "queued", job.c.started.is_(None))
        ended = {"state": "cancelled", "ended": time.time(), "phase": ""}
        with changing(self._store) as connection:
            at_once = connection.execute(update(job).where(*named, *untouched).values(ended))
            if not at_once.rowcount:
                connection.execute(update(job).where(*named, _UNFINISHED).values(cancel=True))
            row = connection.execute(select(*_SHOWN).where(*named)).one_or_none()
        return None if row is None else _job(row), bool(at_once.rowcount)

    def catalogs(self, for_seconds: float = 0.0) -> set[str]:
        """Return its catalogues with jobs that came some time ago and are not finished."""
        came = job.c.created <= time.time() - for_seconds
        query = select(job.c.catalog).where(_UNFINISHED, came).distinct()
        with self._store.connect() as connection:
            places = set(connection.scalars(query))
        return {self._names[place] for place in places & self._names.keys()}

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many jobs are in each state, by catalogue and state; 0 too."""
        query = select(job.c.catalog, job.c.state, func.count()).group_by(
            job.c.catalog, job.c.state
        )
        counts = {(name, str(state)): 0 for name in self._places for state in get_args(JobState)}
        with self._store.connect() as connection:
            for place, state, number in connection.execute(query):
                if place in self._names:
                    counts[self._names[place], state] = number
        return counts

    def unfinished(self) -> set[str]:
        """Return the ids of all jobs that are not finished."""
        with self._store.connect() as connection:
            return set(connection.scalars(select(job.c.id).where(_UNFINISHED)))

    # What follows is for the process that holds the catalogue's lock.

    def recover(self, catalog: str) -> None:
        """Queue again what a lost process was at."""
        lost = (job.c.catalog == self._places[catalog], job.c.state == "running")
        with changing(self._store) as connection:
            connection.execute(update(job).where(*lost).values(state="queued", lost=job.c.lost + 1))

    def take(self, catalog: str) -> Task | None:
        """Begin the oldest job that is queued; None if there is none."""
        queued = (job.c.catalog == self._places[catalog], job.c.state == "queued")
        columns = [job.c[name] for name in ("id", "kind", "request", "cancel", "lost", "started")]
        with changing(self._store) as connection:
            query = select(*columns).where(*queued).order_by(job.c.number).limit(1)
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            begun = {"state": "running", "phase": "", "started": row.started or time.time()}
            connection.execute(update(job).where(job.c.id == row.id).values(begun))
        return Task(row.id, row.kind, row.request, row.cancel, row.lost)

    def put_back(self, id_: str, phase: str = "") -> None:
        """Queue a job again that was begun; it keeps its place."""
        self._change(id_, {"state": "queued", "phase": phase})

    def waits(self, catalog: str, phase: str) -> bool:
        """Say of the oldest job that is queued what it waits for.

        Returns:
            Whether there is one that shall wait: not so if it was cancelled.
        """
        queued = (job.c.catalog == self._places[catalog], job.c.state == "queued")
        query = select(job.c.id, job.c.cancel).where(*queued).order_by(job.c.number).limit(1)
        with changing(self._store) as connection:
            row = connection.execute(query).one_or_none()
            if row is None or row.cancel:
                return False
            connection.execute(update(job).where(job.c.id == row.id).values(phase=phase))
        return True

    def report(self, id_: str, step: Step) -> bool:
        """Say how far a job is; return whether it shall be cancelled."""
        self._change(id_, vars(step))
        with self._store.connect() as connection:
            return bool(connection.scalar(select(job.c.cancel).where(job.c.id == id_)))

    def end(
        self,
        id_: str,
        state: JobState,
        *,
        result: Result | None = None,
        generation: int | None = None,
        problem: str | None = None,
    ) -> None:
        """Bring a job to its state for good."""
        told = None if result is None else result.model_dump(mode="json")
        ended = {"state": state, "ended": time.time(), "phase": "", "result": told}
        self._change(id_, {**ended, "generation": generation, "problem": problem})

    def forget(self) -> None:
        """Forget the jobs that ended long ago."""
        with changing(self._store) as connection:
            connection.execute(job.delete().where(job.c.ended < time.time() - KEPT_SECONDS))

    def _change(self, id_: str, values: Mapping[str, Any]) -> None:
        with changing(self._store) as connection:
            connection.execute(update(job).where(job.c.id == id_).values(**values))

    def _one(self, *conditions: Any) -> Job | None:  # noqa: ANN401  (SQLAlchemy's own)
        with self._store.connect() as connection:
            row = connection.execute(select(*_SHOWN).where(*conditions)).one_or_none()
        return None if row is None else _job(row)


def _place(name: str, index_dir: Path) -> str:
    return f"{name} {hashlib.sha256(os.fsencode(index_dir)).hexdigest()[:32]}"


def _job(row: Row[Any]) -> Job:
    values = {"result": None, **row._mapping}
    for name in ("created", "started", "ended"):
        if values[name] is not None:
            values[name] = datetime.fromtimestamp(values[name], UTC)
    return Job.model_validate(values)
