"""The last step of a build: the database and the generation files change over together.

Everything happens in one transaction. Whatever goes wrong before its commit, the generation
that was current stays so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from finetag_model.embedder import ModelInfo
from indexer.generation import write_generation
from indexer.layout import generation_dir, sweep
from indexer.manifest import Manifest
from indexer.scan import Candidate, Failure
from indexer.store import EmbeddingRow, FailureRow, ImageRow, the_catalogue


@dataclass(frozen=True)
class Publication:
    """What changed; the counts are of images."""

    generation: int
    published: bool
    new: int
    changed: int
    gone: int


def publish(
    engine: Engine,
    index_dir: Path,
    model: ModelInfo,
    entries: Sequence[tuple[Candidate, str]],
    failures: Iterable[Failure],
) -> Publication:
    """Make the index describe these files, each given with its content hash.

    A new generation is written if its rows, the model, or damage to the current one ask for it.

    Raises:
        OSError, SQLAlchemyError: nothing has been published.
    """
    with Session(engine) as session, session.begin():
        catalogue = the_catalogue(session, index_dir)
        number = catalogue.current_generation
        new, changed, gone = _update_images(session, entries)
        session.execute(delete(FailureRow))
        # By path, for two undecodable names may be shown alike.
        rows = {item.path: FailureRow(path=item.path, reason=item.reason) for item in failures}
        session.add_all(rows.values())
        _drop_unused_embeddings(session, model.digest)
        published = bool(new or changed or gone) or not _serves(
            index_dir, number, model, len(entries)
        )
        if published or number is None:
            number = (number or 0) + 1
            write_generation(session, index_dir, number, model)
            catalogue.current_generation = number
    sweep(index_dir, keep=number)
    return Publication(number, published, new, changed, gone)


def _update_images(
    session: Session, entries: Sequence[tuple[Candidate, str]]
) -> tuple[int, int, int]:
    """Bring the image table up to date; return how many are new, changed and gone."""
    before = {image.path: image for image in session.execute(select(*ImageRow.__table__.columns))}
    new: list[dict[str, Any]] = []
    touched: list[dict[str, Any]] = []
    changed = 0
    for candidate, content_hash in entries:
        fields = {
            "path": candidate.path,
            "content_hash": content_hash,
            "bytes": candidate.bytes,
            "mtime_ns": candidate.mtime_ns,
        }
        known = before.pop(candidate.path, None)
        if known is None:
            new.append(fields)
        elif known._asdict() != (fields := {"id": known.id, **fields}):
            touched.append(fields)
            changed += known.content_hash != content_hash
    for image in before.values():
        session.execute(delete(ImageRow).where(ImageRow.id == image.id))
    if touched:
        session.execute(update(ImageRow), touched)
    if new:
        session.execute(insert(ImageRow), new)
    return len(new), changed, len(before)


def _drop_unused_embeddings(session: Session, digest: str) -> None:
    in_use = select(ImageRow.content_hash)
    unused = or_(EmbeddingRow.model_digest != digest, EmbeddingRow.content_hash.not_in(in_use))
    session.execute(
        delete(EmbeddingRow).where(unused), execution_options={"synchronize_session": False}
    )


def _serves(index_dir: Path, number: int | None, model: ModelInfo, rows: int) -> bool:
    """Say whether the current generation is of this model and size, and undamaged."""
    if number is None:
        return False
    folder = generation_dir(index_dir, number)
    try:
        Manifest.load(folder).verify(folder, model, rows)
    except (ValueError, OSError):
        return False
    return True
