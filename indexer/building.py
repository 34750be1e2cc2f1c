"""Building an index: scan -> read and decode -> embed -> write -> publish.

Content hash is identity: what the database holds already is not embedded again. Each batch
is committed, so a build that is stopped anywhere goes on from there when run again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import perf_counter

import numpy as np
from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from finetag_model.embedder import Embedder
from finetag_model.errors import CheckpointError, DataError
from indexer.decode import Content, Picture, read_all
from indexer.layout import prepare, sweep
from indexer.lock import build_lock
from indexer.publish import publish
from indexer.quantise import to_bytes
from indexer.report import BuildReport, Stages, timed
from indexer.scan import Candidate, Failure, Scan, is_utf8, scan
from indexer.store import (
    CatalogueRow,
    EmbeddingRow,
    ImageRow,
    open_for_writing,
    plain_errors,
)

BATCH = 16
"""Images the network takes at a time, and rows written in one transaction."""

Progress = Callable[[int, int], None]
"""Called with how many candidate files are done and how many there are."""


def build(
    catalogue: Path,
    index_dir: Path,
    embedder: Embedder,
    *,
    progress: Progress = lambda done, total: None,
) -> BuildReport:
    """Make an index describe a folder of images, embedding only what it does not hold yet.

    The index goes on serving its current generation until the new one is complete. Files that
    are not readable images are skipped and reported.

    Args:
        catalogue: the folder; its subfolders are walked too.
        index_dir: where the index is or shall be.
        embedder: the network; another one than before embeds every image again.
        progress: called in this thread after every file.

    Raises:
        DataError: the catalogue folder is missing or holds no readable image.
        CatalogueError: the index belongs to another catalogue or version, is being built
            already, or cannot be written.
        CheckpointError: the network gives numbers that cannot be used.
    """
    start = perf_counter()
    root = _checked(catalogue)
    with plain_errors(index_dir):
        prepare(index_dir)
        with build_lock(index_dir), open_for_writing(index_dir, root) as engine:
            return _Build(root, index_dir, embedder, engine, progress).run(start)


class _Build:
    """The state of one run."""

    def __init__(
        self, root: Path, index_dir: Path, embedder: Embedder, engine: Engine, progress: Progress
    ) -> None:
        self.root = root
        self.index_dir = index_dir
        self.embedder = embedder
        self.engine = engine
        self.progress = progress
        self.stages = Stages()
        self.entries: list[tuple[Candidate, str]] = []
        self.failures: list[Failure] = []
        self.batch: dict[str, Picture] = {}
        self.embedded = 0
        with Session(engine) as session:
            generation = session.scalar(select(CatalogueRow.current_generation))
            digest = embedder.model.digest
            self.known = set(
                session.scalars(
                    select(EmbeddingRow.content_hash).where(EmbeddingRow.model_digest == digest)
                )
            )
        sweep(index_dir, keep=generation)

    def run(self, start: float) -> BuildReport:
        with timed(self.stages.scan) as stage:
            found = scan(self.root, self.index_dir)
            stage.images = len(found.candidates)
        self.failures += found.failures
        self._read(found)
        self.failures.sort(key=lambda failure: failure.path)
        if not self.entries:
            raise _nothing(self.root, self.failures)
        self.entries.sort(key=lambda entry: entry[0].path)
        with timed(self.stages.publish) as stage:
            done = publish(
                self.engine, self.index_dir, self.embedder.model, self.entries, self.failures
            )
            stage.images = len(self.entries) if done.published else 0
        images = len(self.entries)
        return BuildReport(
            catalogue=self.root,
            index=self.index_dir,
            generation=done.generation,
            published=done.published,
            images=images,
            new=done.new,
            changed=done.changed,
            unchanged=images - done.new - done.changed,
            embedded=self.embedded,
            duplicates=images - len({content_hash for _, content_hash in self.entries}),
            gone=done.gone,
            ignored=found.ignored,
            skipped=tuple(self.failures),
            stages=self.stages,
            seconds=perf_counter() - start,
        )

    def _read(self, found: Scan) -> None:
        total = len(found.candidates)
        to_read = self._take_unchanged(found.candidates)
        self.progress(total - len(to_read), total)
        size = self.embedder.model.input_size
        with closing(read_all(self.root, to_read, size, self.known)) as contents:
            for done, content in enumerate(contents, total - len(to_read) + 1):
                self._take(content)
                if len(self.batch) == BATCH:
                    self._embed()
                self.progress(done, total)
        if self.batch:
            self._embed()

    def _take_unchanged(self, candidates: list[Candidate]) -> list[Candidate]:
        """Enter the files that need not be opened; return the others."""
        with Session(self.engine) as session:
            columns = (ImageRow.path, ImageRow.bytes, ImageRow.mtime_ns, ImageRow.content_hash)
            before = {
                Candidate(path, size, mtime_ns): content_hash
                for path, size, mtime_ns, content_hash in session.execute(select(*columns))
                if content_hash in self.known
            }
        self.entries += [(each, before[each]) for each in candidates if each in before]
        return [each for each in candidates if each not in before]

    def _take(self, content: Content) -> None:
        self.stages.hash.seconds += content.hashing
        self.stages.hash.images += content.hash is not None
        self.stages.decode.seconds += content.decoding
        self.stages.decode.images += content.picture is not None
        if content.hash is None or content.problem is not None:
            self.failures.append(Failure(content.candidate.path, content.problem or ""))
            return
        self.entries.append((content.candidate, content.hash))
        if content.hash not in self.known and content.picture is not None:
            self.batch[content.hash] = content.picture
            self.known.add(content.hash)

    def _embed(self) -> None:
        """Embed the batch and commit it."""
        model, pictures = self.embedder.model, self.batch
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
        with timed(self.stages.write) as stage, Session(self.engine) as session, session.begin():
            session.execute(
                insert(EmbeddingRow),
                [
                    {
                        "content_hash": content_hash,
                        "model_digest": model.digest,
                        "width": picture.width,
                        "height": picture.height,
                        "scores": scores.tobytes(),
                        "visual": visual.astype("<f4").tobytes(),
                    }
                    for (content_hash, picture), scores, visual in zip(
                        pictures.items(), to_bytes(result.scores), result.visual, strict=True
                    )
                ],
            )
            stage.images += len(pictures)
        self.embedded += len(pictures)
        self.batch = {}


def _checked(catalogue: Path) -> Path:
    root = catalogue.resolve()
    if not root.exists():
        raise DataError(f"the catalogue folder {catalogue} does not exist")
    if not root.is_dir():
        raise DataError(f"{catalogue} is a file; name the folder that holds the images")
    if not is_utf8(str(root)):
        raise DataError(f"the name of the catalogue folder {root!a} is not valid UTF-8; rename it")
    return root


def _nothing(root: Path, failures: list[Failure]) -> DataError:
    if not failures:
        return DataError(f"there is no image in {root} or its subfolders; nothing was indexed")
    first = failures[0]
    return DataError(
        f"none of the {len(failures):,} images in {root} can be read (the first: "
        f"{first.path}: {first.reason}); nothing was indexed"
    )
