"""Building an index: scan -> read and decode -> embed -> write -> publish.

Content hash is identity: what the database holds already is not embedded again. Each batch is
committed, with what was read, so a build that is stopped anywhere goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from time import perf_counter

import numpy as np
from sqlalchemy import select

from finetag_model.embedder import Embedder
from finetag_model.errors import CatalogueError, CheckpointError, Stopped
from indexer import staging
from indexer.catalogue_folder import candidate_of, checked, nothing_in
from indexer.control import Progress, ShouldStop, never, no_progress
from indexer.decode import Picture
from indexer.known import Known
from indexer.publish import publish_found, record_failures
from indexer.quantise import to_bytes
from indexer.readers import Content, read_all
from indexer.report import BuildReport, Stages, timed
from indexer.scan import Candidate, Failure, Scan
from indexer.schema import embedding, reading
from indexer.writer import Writer, open_writer

BATCH = 16
"""Images the network takes at a time."""
READINGS = 256
"""Files read, at most, before a transaction says so."""


def build(
    catalogue: Path,
    index_dir: Path,
    embedder: Embedder,
    *,
    database: str | None = None,
    moved: bool = False,
    reembed: bool = False,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> BuildReport:
    """Make an index describe a folder of images, embedding only what it does not hold yet.

    The index goes on serving its current generation until the new one is complete. Files that
    are not readable images are skipped and reported.

    Args:
        catalogue: the folder; its subfolders are walked too.
        index_dir: where the index is or shall be.
        embedder: the network.
        database: URL of the PostgreSQL database of a new index; None for SQLite in its folder.
        moved: the catalogue of this index now lies at `catalogue`.
        reembed: `embedder` may be another model than before; it embeds every image again.
        progress: told how many files are done, and then how far publishing is.
        should_stop: asked after every file; True finishes the batch and raises Stopped.

    Raises:
        DataError: the catalogue folder is missing or holds no readable image.
        CatalogueError: the index belongs to another catalogue, model or version, is being
            changed already, or cannot be written.
        CheckpointError: the network gives numbers that cannot be used.
        Stopped: `should_stop` said so; the next build goes on.
    """
    start = perf_counter()
    root = checked(catalogue)
    with open_writer(
        index_dir, root=root, moved=moved, database=database, progress=progress
    ) as writer:
        run = _Build(writer, embedder, reembed, should_stop)
        scan = Scan(root, index_dir)
        return run.run(scan, lambda: scan.ignored, start)


def update(
    index_dir: Path,
    embedder: Embedder,
    *,
    database: str | None = None,
    reembed: bool = False,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> BuildReport:
    """Do as `build`, for the folder that an existing index is of."""
    start = perf_counter()
    with open_writer(index_dir, database=database, progress=progress) as writer:
        checked(writer.root, indexed=True)
        run = _Build(writer, embedder, reembed, should_stop)
        scan = Scan(writer.root, index_dir)
        return run.run(scan, lambda: scan.ignored, start)


def add(
    paths: Iterable[Path],
    index_dir: Path,
    embedder: Embedder,
    *,
    database: str | None = None,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> BuildReport:
    """Take files of the catalogue folder into its index without looking for others.

    Files that had been deleted from the index are taken back.

    Raises:
        DataError: a path is not a file in the catalogue folder.
        CatalogueError, CheckpointError, Stopped: as `build`.
    """
    start = perf_counter()
    with open_writer(index_dir, database=database, progress=progress) as writer:
        candidates = [candidate_of(path, writer.root) for path in paths]
        run = _Build(writer, embedder, False, should_stop)
        staging.take_back(writer, [each.path for each in candidates])
        return run.run(dict.fromkeys(candidates), lambda: 0, start, partial=True)


class _Build:
    """The state of one run."""

    def __init__(
        self,
        writer: Writer,
        embedder: Embedder,
        reembed: bool,
        should_stop: ShouldStop,
    ) -> None:
        _check_model(writer, embedder, reembed)
        self.writer = writer
        self.embedder = embedder
        self.progress = writer.progress
        self.should_stop = should_stop
        self.stages = Stages()
        self.failures: list[Failure] = []
        self.read: list[Content] = []
        self.batch: dict[str, Picture] = {}
        self.embedded = 0

    def run(
        self,
        items: Iterable[Candidate | Failure],
        ignored: Callable[[], int],
        start: float,
        *,
        partial: bool = False,
    ) -> BuildReport:
        connection, model = self.writer.connection, self.embedder.model
        with timed(self.stages.scan) as stage:
            self.failures += staging.stage(connection, items)
            excluded = staging.leave_out_excluded(connection)
            if not partial:  # who names a file wants it tried again
                self.failures += staging.leave_out_quarantined(connection)
            staging.take_known(connection, model.digest)
            unreachable = staging.keep_unreachable(connection, model.digest, self.failures)
            total, to_read = staging.count(connection)
            stage.images = total
        self._read(total, to_read)
        staging.drop_failed(connection)
        self.failures.sort(key=lambda failure: failure.path)
        images, _ = staging.count(connection)
        if not images:
            record_failures(self.writer, self.failures, partial=partial)
            raise nothing_in(self.writer.root, self.failures)
        duplicates = images - staging.contents(connection)
        with timed(self.stages.publish) as stage:
            published, changes = publish_found(self.writer, model, self.failures, partial=partial)
            stage.images = images if published else 0
        staging.drop(connection)
        assert self.writer.generation is not None  # noqa: S101
        return BuildReport(
            catalogue=self.writer.root,
            index=self.writer.index_dir,
            generation=self.writer.generation,
            published=published,
            images=images,
            **vars(changes),
            unchanged=images - changes.new - changes.changed - changes.moved,
            embedded=self.embedded,
            duplicates=duplicates,
            ignored=ignored(),
            excluded=excluded,
            unreachable=unreachable,
            skipped=tuple(self.failures),
            stages=self.stages,
            seconds=perf_counter() - start,
        )

    def _read(self, total: int, to_read: int) -> None:
        done = total - to_read
        self.progress(done, total)
        if not to_read:
            return
        connection, model = self.writer.connection, self.embedder.model
        known = Known(connection, model.digest)
        contents = read_all(
            self.writer.root,
            staging.unread(connection),
            model.input_size,
            lambda digest: digest not in known,
        )
        with closing(contents):
            for content in contents:
                self._take(content)
                done += 1
                if len(self.batch) == BATCH or len(self.read) == READINGS:
                    self._commit()
                self.progress(done, total)
                if self.should_stop():
                    self._commit()
                    raise Stopped(
                        f"stopped, with {done:,} of {total:,} files done and kept; "
                        "run the same command again to go on from there"
                    )
        self._commit()

    def _take(self, content: Content) -> None:
        self.stages.hash.seconds += content.hashing
        self.stages.hash.images += content.hash is not None
        self.stages.decode.seconds += content.decoding
        self.stages.decode.images += content.picture is not None
        candidate = content.candidate
        if content.hash is None or content.problem is not None:
            self.failures.append(
                Failure(
                    candidate.path,
                    content.problem or "",
                    candidate.bytes,
                    candidate.mtime_ns,
                    content.quarantined,
                )
            )
            return
        self.read.append(content)
        if content.picture is not None:
            self.batch[content.hash] = content.picture

    def _commit(self) -> None:
        """Embed the batch, and write it and what was read in one transaction."""
        if not self.read:
            return
        rows = self._embed() if self.batch else []
        with timed(self.stages.write) as stage, self.writer.changing() as connection:
            if rows:
                connection.execute(embedding.insert(), rows)
            paths = [content.candidate.path for content in self.read]
            connection.execute(reading.delete().where(reading.c.path.in_(paths)))
            read = [
                {
                    "path": content.candidate.path,
                    "bytes": content.candidate.bytes,
                    "mtime_ns": content.candidate.mtime_ns,
                    "content_hash": content.hash,
                }
                for content in self.read
            ]
            connection.execute(reading.insert(), read)
            staging.enter_hashes(connection, read)
            stage.images += len(self.read)
        self.read = []

    def _embed(self) -> list[dict[str, object]]:
        """Run the network on the batch; return the rows of what it made."""
        model, pictures = self.embedder.model, self._new_of_batch()
        self.batch = {}
        if not pictures:
            return []
        with timed(self.stages.embed) as stage:
            result = self.embedder.embed(np.stack([each.pixels for each in pictures.values()]))
            stage.images += len(pictures)
        if (
            result.scores.shape != (len(pictures), len(model.vocabulary))
            or result.visual.shape != (len(pictures), model.visual_dim)
            or not (np.isfinite(result.scores).all() and np.isfinite(result.visual).all())
        ):
            raise CheckpointError(
                f"the model {model.name} gives numbers that cannot be indexed; take another one"
            )
        self.embedded += len(pictures)
        return [
            {
                "content_hash": content_hash,
                "model_digest": model.digest,
                "width": picture.width,
                "height": picture.height,
                "scores": scores.tobytes(),
                "visual": visual.astype("<f4").tobytes(),
                "perceptual": picture.perceptual,
            }
            for (content_hash, picture), scores, visual in zip(
                pictures.items(), to_bytes(result.scores), result.visual, strict=True
            )
        ]

    def _new_of_batch(self) -> dict[str, Picture]:
        """Leave out contents that an earlier batch of this run has embedded."""
        query = select(embedding.c.content_hash).where(
            embedding.c.model_digest == self.embedder.model.digest,
            embedding.c.content_hash.in_(self.batch),
        )
        with self.writer.connection.begin():
            before = set(self.writer.connection.scalars(query))
        return {key: value for key, value in self.batch.items() if key not in before}


def _check_model(writer: Writer, embedder: Embedder, reembed: bool) -> None:
    before, now = writer.model, embedder.model
    if before is None or before["digest"] == now.digest or reembed:
        return
    raise CatalogueError(
        f"the index {writer.index_dir} was made with the model {before['name']} "
        f"({before['digest'][:12]}), and this is {now.name} ({now.digest[:12]}): name the other "
        "checkpoint with --model, or have every image embedded again with "
        "'finetag-index update --reembed'"
    )
