"""What each kind of job does to an index; every one can be begun again after it was killed."""

from __future__ import annotations

import json
import shutil
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetag_model.embedder import Embedder
from finetag_model.errors import Stopped, UsageError
from finetag_model.files import replacing
from indexer import Index, add, delete_images, import_fields, update
from indexer.control import Progress, ShouldStop
from indexer.importing import ImportReport
from indexer.layout import fsync
from retrieval.service.job_files import keep
from retrieval.service.job_models import (
    MOST_LISTED,
    AddedImage,
    AddResult,
    DeleteResult,
    FieldsResult,
    JobKind,
    Result,
    Skipped,
    UpdateResult,
)
from retrieval.service.job_uploads import FIELDS_TABLE, is_ours, place_of

_PLAN = "plan.json"


@dataclass(frozen=True)
class Place:
    """Where a job is done, and with what.

    Attributes:
        index_dir: the index.
        folder: with the files that belong to the job.
        embedder: loads the network, or returns the loaded one.
        progress: see `indexer.build`, as the next.
        should_stop: see there.
    """

    index_dir: Path
    folder: Path
    embedder: Callable[[], Embedder]
    progress: Progress
    should_stop: ShouldStop


Done = tuple[Result, int]
"""What a job has done, and the generation that shows it."""


def do(kind: JobKind, request: Mapping[str, Any], place: Place) -> Done:
    """Do a job.

    Raises:
        InUse: another command is changing the index.
        Stopped: as asked; done again, it goes on.
        FineTagError: it cannot be done.
        OSError: the catalogue folder cannot be written.
    """
    return _KINDS[kind](request, place)


def undo(kind: JobKind, request: Mapping[str, Any], index_dir: Path) -> None:
    """Take away the files that a job brought which did not make it into the index."""
    if kind == "add":
        files = {item["file"] for item in request["images"] if "file" in item}
        with Index.open(index_dir) as index:
            _remove_unindexed(index, [place_of(file) for file in files])


def root_of(index_dir: Path) -> Path:
    """Return the catalogue folder of an index."""
    with Index.open(index_dir) as index:
        return index.root


def _add(request: Mapping[str, Any], place: Place) -> Done:
    items: list[dict[str, str]] = request["images"]
    paths = {item["file"]: place_of(item["file"]) for item in items if "file" in item}
    root = root_of(place.index_dir)
    for file, path in paths.items():
        _bring(place.folder / file, root / path)
    problems: list[str] = []
    table = place.folder / FIELDS_TABLE
    if table.exists():
        # First, so that no search sees the images without; what is not indexed yet waits.
        imported = _import(table, place, key="path")
        problems = [_about_image(each, table) for each in imported.problems[:MOST_LISTED]]
    report = add(
        [root / path for path in paths.values()],
        place.index_dir,
        place.embedder(),
        progress=place.progress,
        should_stop=place.should_stop,
    )
    reasons = {each.path: each.reason for each in report.skipped}
    with Index.open(place.index_dir) as index:
        ids = _remove_unindexed(index, paths.values())
    images = []
    for i, item in enumerate(items):
        path = paths.get(item.get("file", ""), "")
        id_ = ids.get(path)
        problem = item.get("problem") or reasons.get(path, "it was deleted meanwhile")
        images.append(AddedImage(index=i, id=id_, problem=problem if id_ is None else None))
    result = AddResult(
        images=tuple(images), new=report.new, embedded=report.embedded, problems=tuple(problems)
    )
    return result, report.generation


def _delete(request: Mapping[str, Any], place: Place) -> Done:
    plan = _plan(request["ids"], place)
    with Index.open(place.index_dir) as index:
        left = [id_ for id_ in plan if _path_of(index, id_) is not None]
        if left and len(left) == index.rows:
            raise UsageError("that would leave no image in the catalogue; leave one at least")
    if left:
        delete_images(place.index_dir, ids=left, progress=place.progress)
    with Index.open(place.index_dir) as index:
        # Not before searches can do without them.
        _remove_unindexed(index, filter(is_ours, plan.values()))
        unknown = tuple(id_ for id_ in request["ids"] if id_ not in plan)
        result = DeleteResult(deleted=len(plan), left=index.rows, unknown=unknown)
        return result, index.manifest.generation


def _plan(ids: Iterable[int], place: Place) -> dict[int, str]:
    """Return the paths by id; the same ones when the job is begun again with some deleted."""
    file = place.folder / _PLAN
    if not file.exists():
        with Index.open(place.index_dir) as index:
            paths = {id_: _path_of(index, id_) for id_ in ids}
        known = {id_: path for id_, path in paths.items() if path is not None}
        keep(file, json.dumps(list(known.items())).encode())
    return dict(json.loads(file.read_bytes()))


def _update(_request: Mapping[str, Any], place: Place) -> Done:
    report = update(
        place.index_dir,
        place.embedder(),
        progress=place.progress,
        should_stop=place.should_stop,
    )
    skipped = [Skipped(name=each.path, reason=each.reason) for each in report.skipped]
    result = UpdateResult(
        images=report.images,
        new=report.new,
        changed=report.changed,
        moved=report.moved,
        unchanged=report.unchanged,
        gone=report.gone,
        embedded=report.embedded,
        duplicates=report.duplicates,
        ignored=report.ignored,
        excluded=report.excluded,
        unreachable=report.unreachable,
        skipped=len(skipped),
        first_skipped=tuple(skipped[:MOST_LISTED]),
    )
    return result, report.generation


def _fields(request: Mapping[str, Any], place: Place) -> Done:
    table = place.folder / request["table"]
    report = _import(table, place)
    problems = [each.replace(f"{table}, ", "") for each in report.problems[:MOST_LISTED]]
    result = FieldsResult(
        rows=report.rows,
        images=report.images,
        waiting=report.waiting,
        fields=tuple(report.fields),
        attributes=tuple(report.attributes),
        left_out=len(report.problems),
        problems=tuple(problems),
    )
    return result, report.generation


_KINDS: Mapping[JobKind, Callable[[Mapping[str, Any], Place], Done]] = {
    "add": _add,
    "delete": _delete,
    "update": _update,
    "fields": _fields,
}


def _import(table: Path, place: Place, key: str | None = None) -> ImportReport:
    def progress(done: int, total: int | None, phase: str = "") -> None:
        place.progress(done, total, phase)
        # While the table is read nothing has changed yet.
        if not phase and place.should_stop():
            raise Stopped("stopped before anything of the table was taken")

    return import_fields(table, place.index_dir, key=key, progress=progress)


def _about_image(problem: str, table: Path) -> str:
    """Say which image a problem is about: line i + 1 of the table is about image i."""
    line, _, reason = problem.removeprefix(f"{table}, line ").partition(": ")
    return f"image {int(line) - 1}: {reason}"


def _bring(kept: Path, path: Path) -> None:
    """Copy a file into the catalogue folder, unless it is there."""
    size = kept.stat().st_size
    if path.exists() and path.stat().st_size == size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        shutil.copyfile(kept, partial)
        fsync(partial)


def _remove_unindexed(index: Index, paths: Iterable[str]) -> dict[str, int | None]:
    """Remove the files that are no images of the index; return the ids of all."""
    ids = {path: _id_of(index, path) for path in paths}
    for path, id_ in ids.items():
        if id_ is None:
            (index.root / path).unlink(missing_ok=True)
    return ids


def _id_of(index: Index, path: str) -> int | None:
    """Return the id of the image at a path; rows are in the order of the paths' bytes."""
    wanted = path.encode()

    def path_at(row: int) -> bytes:
        return index.images([row])[0].path.encode()

    row = bisect_left(range(index.rows), wanted, key=path_at)
    if row == index.rows or path_at(row) != wanted:
        return None
    return index.images([row])[0].id


def _path_of(index: Index, id_: int) -> str | None:
    try:
        row = index.row_of(id_)
    except UsageError:
        return None
    return index.images([row])[0].path
