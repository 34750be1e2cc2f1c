"""How far a job is, told now and then; and whether it shall stop, asked as often."""

from __future__ import annotations

import logging
import time

from sqlalchemy.exc import DatabaseError

from indexer.control import ShouldStop
from retrieval.service.job_queue import Queue, Step, Task

SECONDS = 0.5
"""Between two reports."""

_log = logging.getLogger("finetag.jobs")


class Watch:
    """What a job is given as `progress` and `should_stop`.

    Attributes:
        cancelled: whether it shall stop for good.
    """

    def __init__(self, queue: Queue, task: Task, should_stop: ShouldStop) -> None:
        """Begin; `should_stop` is whether the whole process shall."""
        self.cancelled = task.cancel
        self._queue, self._id, self._process_should_stop = queue, task.id, should_stop
        self._step = Step()
        self._begun = time.monotonic()
        self._reported = 0.0  # so the first step is told at once
        self._first: int | None = None

    def progress(self, done: int, total: int | None, phase: str = "") -> None:
        """Take notice; see `indexer.control.Progress`."""
        now = time.monotonic()
        if self._first is None or phase != self._step.phase:
            self._begun, self._first = now, done  # what was done before tells no rate
        seconds = now - self._begun
        rate = (done - self._first) / seconds if seconds > 0 else None
        self._step = Step(phase, done, total, rate)
        self._report()

    def should_stop(self) -> bool:
        """Say whether to stop at the next good moment."""
        self._report()
        return self.cancelled or self._process_should_stop()

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported < SECONDS:
            return
        self._reported = now
        try:
            self.cancelled = self._queue.report(self._id, self._step)
        except DatabaseError as error:  # the work goes on
            _log.warning("progress cannot be written: %s", error.orig, extra={"job": self._id})
