"""The processes that do jobs: started when there is something to do, by whichever worker sees it.

They outlive a worker that is lost; one that is lost itself is replaced.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress

from sqlalchemy.exc import DatabaseError

from retrieval.service.job_files import lock_of, locked
from retrieval.service.job_queue import Queue
from retrieval.service.settings import Settings

LOOK_SECONDS = 1.0
"""Between two looks for jobs that nobody does."""
PATIENCE_SECONDS = 5.0
"""For which a job is left to the worker process that accepted it."""
GRACE_SECONDS = 20.0
"""For a process to finish its batch when the service ends."""

_FAILED_SECONDS = 30.0  # until another try after a process has failed as a whole

_log = logging.getLogger("finetag.serve")


def spawn(settings: Settings, catalog: str) -> subprocess.Popen[bytes]:
    """Start the process that does the jobs of a catalogue; it writes its log to stderr."""
    path = os.pathsep.join(sys.path)
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "retrieval.service.job_runner", catalog],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **settings.handed_down(), "PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C is for the service, which tells it
    )


class Runners:
    """Looks after those of one worker process."""

    def __init__(self, settings: Settings, queue: Queue) -> None:
        """Begin to look for jobs that nobody does, such as those a killed service has left."""
        self._settings, self._queue = settings, queue
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._not_before: dict[str, float] = {}
        self._accepted: set[str] = set()  # by this worker, and perhaps seen by nobody
        self._accepting = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="jobs", daemon=True)
        self._thread.start()

    def start(self, catalog: str) -> None:
        """See to it at once that somebody does the jobs of a catalogue."""
        self._accept(catalog)
        self._wake.set()

    def close(self) -> None:
        """Let the processes finish their batch; what remains is done when a service starts."""
        self._closing.set()
        self._wake.set()
        self._thread.join()
        for process in self._processes.values():
            process.terminate()
        until = time.monotonic() + GRACE_SECONDS
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))

    def _watch(self) -> None:
        while not self._closing.is_set():
            try:
                self._look()
            except (DatabaseError, OSError) as error:
                _log.error("jobs cannot be looked after: %s", error)
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

    def _look(self) -> None:
        with self._accepting:
            accepted, self._accepted = self._accepted, set()
        try:
            accepted &= self._queue.catalogs()
            for catalog in accepted | self._queue.catalogs(for_seconds=PATIENCE_SECONDS):
                if self._start(catalog):
                    accepted.discard(catalog)
        finally:
            # A process that is at work may be just about to end, and not have seen the last job.
            for catalog in accepted:
                self._accept(catalog)

    def _accept(self, catalog: str) -> None:
        with self._accepting:
            self._accepted.add(catalog)

    def _start(self, catalog: str) -> bool:
        """Start a process unless there is one; say whether one was started."""
        process = self._processes.get(catalog)
        if process is not None and process.poll() is None:
            return False
        if process is not None and (process.returncode or 0) > 0:  # not killed, but unable
            self._not_before[catalog] = time.monotonic() + _FAILED_SECONDS
            _log.error("the process that does jobs has failed", extra={"catalog": catalog})
        self._processes.pop(catalog, None)
        if time.monotonic() < self._not_before.get(catalog, 0.0):
            return False
        with locked(lock_of(self._settings.state, catalog)) as is_free:
            pass
        if is_free:
            process = self._processes[catalog] = spawn(self._settings, catalog)
            threading.Thread(target=self._await_end, args=(process,), daemon=True).start()
        return is_free

    def _await_end(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._wake.set()  # there may be a job that it did not see any more
