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
        self._accepted: set[str] = set()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="jobs", daemon=True)
        self._thread.start()

    def start(self, catalog: str) -> None:
        """See to it at once that somebody does the jobs of a catalogue."""
        self._accepted.add(catalog)
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
                for catalog in self._with_jobs():
                    self._start(catalog)
            except (DatabaseError, OSError) as error:
                _log.error("jobs cannot be looked after: %s", error)
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

    def _with_jobs(self) -> set[str]:
        accepted, self._accepted = self._accepted, set()
        old = self._queue.catalogs(for_seconds=PATIENCE_SECONDS)
        return accepted & self._queue.catalogs() | old

    def _start(self, catalog: str) -> None:
        process = self._processes.get(catalog)
        if process is not None and process.poll() is None:
            return  # if it is just about to end, the next look will tell
        if process is not None and (process.returncode or 0) > 0:  # not killed, but unable
            self._not_before[catalog] = time.monotonic() + _FAILED_SECONDS
            _log.error("the process that does jobs has failed", extra={"catalog": catalog})
        self._processes.pop(catalog, None)
        if time.monotonic() < self._not_before.get(catalog, 0.0):
            return
        with locked(lock_of(self._settings.state, catalog)) as is_free:
            pass
        if is_free:
            self._processes[catalog] = spawn(self._settings, catalog)
