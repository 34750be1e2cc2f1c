"""The process that does the jobs of one catalogue, one after another, and ends when all are done.

    python -m retrieval.service.job_runner CATALOG

Its settings come by `Settings.hand_down`. Only one is at work for a catalogue: it holds a lock.
SIGTERM lets it finish its batch, and leaves what remains in the queue.
"""

from __future__ import annotations

import logging
import logging.config
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType

from finetag_model.embedder import Embedder, load_embedder
from finetag_model.errors import FineTagError, InUse, Stopped
from indexer.control import ShouldStop, never
from indexer.lock import writer_lock
from retrieval.service.job_files import discard, discard_abandoned, folder_of, lock_of, locked
from retrieval.service.job_queue import Queue, Task
from retrieval.service.job_watch import Watch
from retrieval.service.job_work import Place, do, root_of, undo
from retrieval.service.logs import log_config
from retrieval.service.settings import Settings
from retrieval.service.store import open_store

WAITING = "waiting for another command"
WAIT_SECONDS = 300.0
"""For another command that is changing the index; then the job has failed."""
MOST_LOST = 3
"""How often a job is begun again after the process that worked on it was lost."""

_LOCK_SECONDS = 1.0  # whoever only looks whether the lock is held holds it for a moment
_LOOK_SECONDS = 0.5  # between two looks whether another command has finished

_log = logging.getLogger("finetag.jobs")


def run(
    settings: Settings,
    catalog: str,
    load: Callable[[], Embedder],
    should_stop: ShouldStop = never,
) -> None:
    """Do a catalogue's jobs until there are none, unless another process is at them.

    Args:
        settings: of the service.
        catalog: its name.
        load: gives the network, when the first job needs it.
        should_stop: asked now and then.
    """
    queue = Queue(open_store(settings.state), settings.catalogs)
    runner = _Runner(settings, catalog, queue, cache(load), should_stop)
    # Whoever queues a job while the lock is held relies on this process to see it: so it looks
    # once more after it has let go.
    while catalog in queue.catalogs() and not should_stop():
        with locked(lock_of(settings.state, catalog), _LOCK_SECONDS) as held:
            if not held:
                return
            queue.forget()
            queue.recover(catalog)
            discard_abandoned(settings.state, queue.unfinished())
            runner.work_off()


@dataclass
class _Runner:
    settings: Settings
    catalog: str
    queue: Queue
    embedder: Callable[[], Embedder]
    should_stop: ShouldStop

    def work_off(self) -> None:
        while not self.should_stop():
            busy = self._wait()
            if self.should_stop():
                return
            task = self.queue.take(self.catalog)
            if task is None:
                return
            if task.cancel:
                self._cancel(task)
            elif task.lost > MOST_LOST:
                self._fail(task, f"the process that worked on it was lost {task.lost} times")
            elif busy is not None:
                self._fail(task, str(busy))
            else:
                self._do(task)

    def _wait(self) -> InUse | None:
        """Wait for another command that is changing the index; it is returned if it goes on."""
        until = time.monotonic() + WAIT_SECONDS
        while busy := _is_in_use(self._index_dir):
            if time.monotonic() >= until or self.should_stop():
                return busy
            if not self.queue.waits(self.catalog, WAITING):
                return None
            time.sleep(_LOOK_SECONDS)
        return None

    def _do(self, task: Task) -> None:
        watch = Watch(self.queue, task, self.should_stop)
        folder = folder_of(self.settings.state, task.id)
        place = Place(self._index_dir, folder, self.embedder, watch.progress, watch.should_stop)
        _log.info("job begun", extra={"job": task.id, "kind": task.kind, "catalog": self.catalog})
        try:
            result, generation = do(task.kind, task.request, place)
        except InUse:  # it was quicker
            self.queue.put_back(task.id, WAITING)
        except Stopped:
            if watch.cancelled:
                self._cancel(task)
            else:
                self.queue.put_back(task.id)
        except (FineTagError, OSError) as error:
            self._fail(task, _line(error))
        except Exception:
            _log.exception("a job failed unexpectedly", extra={"job": task.id})
            self._fail(task, "something unexpected went wrong; the service's log has it")
        else:
            self.queue.end(task.id, "done", result=result, generation=generation)
            discard(self.settings.state, task.id)
            _log.info("job done", extra={"job": task.id, "generation": generation})

    def _cancel(self, task: Task) -> None:
        self._undo(task)
        self.queue.end(task.id, "cancelled")
        discard(self.settings.state, task.id)

    def _fail(self, task: Task, problem: str) -> None:
        _log.error("job failed: %s", problem, extra={"job": task.id})
        self._undo(task)
        self.queue.end(task.id, "failed", problem=self._without_paths(task, problem))
        discard(self.settings.state, task.id)

    def _undo(self, task: Task) -> None:
        try:
            undo(task.kind, task.request, self._index_dir)
        except (FineTagError, OSError) as error:
            _log.error("what a job left cannot be removed: %s", error, extra={"job": task.id})

    def _without_paths(self, task: Task, problem: str) -> str:
        """Say the same without telling where files are on this machine."""
        folder = folder_of(self.settings.state, task.id)
        names = {f"{folder}/{task.request.get('table')}": "the table", str(folder): "the job"}
        names[str(self._index_dir)] = names[str(self._index_dir.resolve())] = self.catalog
        root = self._root()
        if root is not None:
            names |= {f"{root}/": "", str(root): "the catalogue folder"}
        for path in sorted(names, key=len, reverse=True):
            problem = problem.replace(path, names[path])
        return problem

    def _root(self) -> Path | None:
        try:
            return root_of(self._index_dir)
        except FineTagError:
            return None

    @property
    def _index_dir(self) -> Path:
        return self.settings.catalogs[self.catalog]


def _is_in_use(index_dir: Path) -> InUse | None:
    try:
        with writer_lock(index_dir):
            return None
    except InUse as error:
        return error
    except OSError:  # the job will say what is wrong
        return None


def _line(error: Exception) -> str:
    told = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    if isinstance(error, OSError):
        told = f"the catalogue folder cannot be written: {told.lower()}"
    return " ".join(told.split())


def main() -> None:
    """Do the jobs of the catalogue that the command line names."""
    asked: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    signal.signal(signal.SIGTERM, stop)
    settings, (catalog,) = Settings.inherited(), sys.argv[1:]
    logging.config.dictConfig(log_config(settings.log_format))
    try:
        run(
            settings,
            catalog,
            lambda: load_embedder(settings.model, settings.runtime),
            lambda: bool(asked),
        )
    except FineTagError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
