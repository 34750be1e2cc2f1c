"""Building an index: scan, read, embed, store, publish; each stage timed on its own.

Embeddings are committed batch by batch under their content hash, so a killed build goes on
where it stopped. The images table and the generation change in one transaction at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.orm import Session

from finetag_model.embedder import Embedder
from finetag_model.errors import CatalogueError, DataError
from indexer.decode import Content, read_all
from indexer.generation import write_generation
from indexer.index import Index
from indexer.layout import generation_dir, prepare, sweep
from indexer.lock import build_lock
from indexer.quantise import to_bytes
from indexer.scan import Candidate, Failure, Scan, scan
from indexer.store import (
    CatalogueRow,
    EmbeddingRow,
    FailureRow,
    ImageRow,
    open_for_writing,
    plain_errors,
    the_catalogue,
)

BATCH = 16
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class BuildReport:
    """What a build did, counted in image files.

    Attributes:
        generation: the one that is current now.
        images: how many it holds.
        added: files that were not in the index before.
        changed: files whose content was another before.
        unchanged: files that are as before.
        gone: files that were in the index and are no longer there.
        duplicates: files whose content another file has too, beyond the first of each.
        embedded: contents that the network had to look at.
        ignored: files whose name no image would have.
        failures: files that were skipped, by path.
        seconds: time by stage; reading overlaps with the others, and its parts are the sums
            over its threads.
    """

    generation: int
    images: int
    added: int
    changed: int
    unchanged: int
    gone: int
    duplicates: int
    embedded: int
    ignored: int
    failures: tuple[Failure, ...]
    seconds: dict[str, float]


def build(
    catalogue: Path, index_dir: Path, embedder: Embedder, *, progress: Progress = lambda *_: None
) -> BuildReport:
    """Bring the index of a catalogue folder up to date, or make it.

    Args:
        catalogue: folder of images, with subfolders.
        index_dir: folder of the index; made if it is not there.
        embedder: the network; with another one than before, every image is embedded anew.
        progress: called with the files done and the files to do, as they get done.

    Raises:
        DataError: the catalogue is not a folder or holds no image that can be read.
        CatalogueError: the index is another catalogue's, another build is running, or the
            disk failed. The generation that was current is so still.
    """
    root = catalogue.absolute().resolve()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"the catalogue {catalogue} {what}")
    with plain_errors(index_dir):
        prepare(index_dir)
        with build_lock(index_dir):
            return _Build(root, index_dir, embedder, progress).run()


@dataclass
class _Build:
    root: Path
    index_dir: Path
    embedder: Embedder
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    embedded: int = 0

    def run(self) -> BuildReport:
        engine = open_for_writing(self.index_dir, self.root)
        with Session(engine) as session:
            current = the_catalogue(session, self.index_dir).current_generation
            before = {image.path: image for image in session.scalars(select(ImageRow))}
            known = self._known_contents(session)
        sweep(self.index_dir, keep=current)
        with self._timed("scan"):
            found = scan(self.root, self.index_dir)
        self.failures += found.failures
        hashes = self._hashes(engine, found, before, known)
        if not hashes:
            raise DataError(self._nothing_to_index(found))
        added = hashes.keys() - before.keys()
        same = {path for path in hashes.keys() - added if hashes[path] == before[path].content_hash}
        gone = before.keys() - hashes.keys()
        is_new = bool(added or gone or len(same) < len(hashes) - len(added))
        candidates = {candidate.path: candidate for candidate in found.candidates}
        images = [(candidates[path], hashes[path]) for path in sorted(hashes)]
        with self._timed("publish"), Session(engine) as session, session.begin():
            self._store_images(session, images, gone)
            if is_new or not self._serves():
                current = (current or 0) + 1
                write_generation(session, self.index_dir, current, self.embedder.model)
                self._publish(session, current)
        assert current is not None  # noqa: S101  (an index that serves has a generation)
        sweep(self.index_dir, keep=current)
        return BuildReport(
            generation=current,
            images=len(hashes),
            added=len(added),
            changed=len(hashes) - len(added) - len(same),
            unchanged=len(same),
            gone=len(gone),
            duplicates=len(hashes) - len(set(hashes.values())),
            embedded=self.embedded,
            ignored=found.ignored,
            failures=tuple(sorted(self.failures, key=lambda failure: failure.path)),
            seconds=self.seconds,
        )

    def _known_contents(self, session: Session) -> set[str]:
        """Return the contents that this model has embedded already."""
        query = select(EmbeddingRow.content_hash)
        return set(
            session.scalars(query.where(EmbeddingRow.model_digest == self.embedder.model.digest))
        )

    def _hashes(
        self, engine: Engine, found: Scan, before: dict[str, ImageRow], known: set[str]
    ) -> dict[str, str]:
        """Return the content hash of every image by path; embed contents that are not known."""
        hashes: dict[str, str] = {}
        to_read = []
        for candidate in found.candidates:
            row = before.get(candidate.path)
            if row and row.content_hash in known and _looks_same(candidate, row):
                hashes[candidate.path] = row.content_hash
            else:
                to_read.append(candidate)
        total = len(found.candidates)
        self.progress(len(hashes), total)
        batch: list[Content] = []
        done = len(hashes)
        for content in read_all(self.root, to_read, self.embedder.model.input_size, known):
            self._add_time("hash", content.hashing)
            self._add_time("decode", content.decoding)
            if content.problem is not None:
                self.failures.append(Failure(content.candidate.path, content.problem))
            elif content.hash is not None:
                hashes[content.candidate.path] = content.hash
                if content.picture is not None and content.hash not in known:
                    known.add(content.hash)
                    batch.append(content)
            done += 1
            if len(batch) == BATCH:
                self._embed(engine, batch)
                batch = []
            self.progress(done, total)
        if batch:
            self._embed(engine, batch)
        return hashes

    def _embed(self, engine: Engine, batch: list[Content]) -> None:
        pictures = [content.picture for content in batch if content.picture]
        with self._timed("embed"):
            embedding = self.embedder.embed(np.stack([picture.pixels for picture in pictures]))
        with self._timed("store"), Session(engine) as session, session.begin():
            session.execute(
                insert(EmbeddingRow),
                [
                    {
                        "content_hash": content.hash,
                        "model_digest": self.embedder.model.digest,
                        "width": picture.width,
                        "height": picture.height,
                        "scores": scores.tobytes(),
                        "visual": visual.tobytes(),
                    }
                    for content, picture, scores, visual in zip(
                        batch,
                        pictures,
                        to_bytes(embedding.scores),
                        embedding.visual.astype("<f4"),
                        strict=True,
                    )
                ],
            )
        self.embedded += len(batch)

    def _store_images(
        self, session: Session, images: list[tuple[Candidate, str]], gone: set[str]
    ) -> None:
        rows = {image.path: image for image in session.scalars(select(ImageRow))}
        for path in gone:
            session.delete(rows[path])
        for candidate, content_hash in images:
            row = rows.get(candidate.path)
            if row is None:
                row = ImageRow(path=candidate.path)
                session.add(row)
            row.content_hash = content_hash
            row.bytes = candidate.bytes
            row.mtime_ns = candidate.mtime_ns
        session.execute(delete(FailureRow))
        session.add_all(FailureRow(path=f.path, reason=f.reason) for f in self.failures)
        session.flush()

    def _serves(self) -> bool:
        """Say whether the current generation is undamaged and of the same model."""
        try:
            manifest = Index.open(self.index_dir).manifest
            manifest.verify(generation_dir(self.index_dir, manifest.generation))
        except (CatalogueError, ValueError):
            return False
        return manifest.model.digest == self.embedder.model.digest

    def _publish(self, session: Session, number: int) -> None:
        catalogue = session.get_one(CatalogueRow, 1)
        catalogue.current_generation = number
        in_use = select(ImageRow.content_hash)
        session.execute(
            delete(EmbeddingRow).where(
                EmbeddingRow.content_hash.not_in(in_use)
                | (EmbeddingRow.model_digest != self.embedder.model.digest)
            )
        )

    def _nothing_to_index(self, found: Scan) -> str:
        if not self.failures:
            return f"the catalogue {self.root} holds no images ({found.ignored:,} other files)"
        first = min(self.failures, key=lambda failure: failure.path)
        return (
            f"none of the {len(self.failures):,} images of {self.root} can be read; "
            f"the first, {first.path}: {first.reason}"
        )

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._add_time(stage, time.perf_counter() - start)

    def _add_time(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


def _looks_same(candidate: Candidate, row: ImageRow) -> bool:
    return (candidate.bytes, candidate.mtime_ns) == (row.bytes, row.mtime_ns)
