"""What is counted, for Prometheus; right also where several worker processes share a port.

Worker processes then count into files of their own (`server`), and whichever is asked adds them
up. No label takes what a client made up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

OTHER = "other"
"""The label of what is none of those known."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

_REQUESTS = Counter(
    "finetag_requests",
    "Requests that were answered; the status is 499 if the client went away before.",
    ["route", "method", "status"],
)
_DURATIONS = Histogram(
    "finetag_request_seconds", "Time until the answer was sent.", ["route"], buckets=_SECONDS
)
IN_FLIGHT = Gauge(
    "finetag_requests_in_flight", "Requests being answered.", multiprocess_mode="livesum"
)
WORKING = Gauge(
    "finetag_requests_working",
    "Requests being worked on, with those whose clients were told to come back.",
    multiprocess_mode="livesum",
)
_STAGES = Histogram(
    "finetag_search_stage_seconds", "Time of each stage of a search.", ["stage"], buckets=_SECONDS
)
EMBEDDER_IMAGES = Histogram(
    "finetag_embedder_run_images",
    "Images of each run of the network.",
    buckets=(1, 2, 4, 8, 16),
)
DECODE_FAILURES = Counter(
    "finetag_decode_failures",
    "Pictures that could not be read: damaged, or it took too much time or memory, or it crashed.",
    ["reason"],
)
CATALOG_IMAGES = Gauge(
    "finetag_catalog_images", "Images.", ["catalog"], multiprocess_mode="livemostrecent"
)
CATALOG_GENERATION = Gauge(
    "finetag_catalog_generation",
    "The newest generation that is open.",
    ["catalog"],
    multiprocess_mode="livemin",
)
CATALOG_PROBLEM = Gauge(
    "finetag_catalog_problem",
    "1 if a catalogue is not at its newest, or cannot be searched.",
    ["catalog"],
    multiprocess_mode="livemax",
)
PICTURES_BYTES = Gauge(
    "finetag_pictures_bytes",
    "Kept pictures, when one was last kept.",
    ["catalog"],
    multiprocess_mode="mostrecent",
)


def count_request(route: str | None, method: str, status: int, seconds: float) -> None:
    """Count a request.

    Args:
        route: the template of its path; None if there is no such route.
        method: as the client has it.
        status: of the answer.
        seconds: until it was sent.
    """
    known = route or OTHER
    _REQUESTS.labels(known, method if method in _METHODS else OTHER, str(status)).inc()
    _DURATIONS.labels(known).observe(seconds)


def count_search(milliseconds: Mapping[str, float]) -> None:
    """Count the stages of a search."""
    for stage, taken in milliseconds.items():
        _STAGES.labels(stage).observe(taken / 1000)


def exposition(jobs: Mapping[tuple[str, str], int]) -> bytes:
    """Return all that was counted, of all worker processes, as Prometheus reads it.

    Args:
        jobs: how many there are, by catalogue and state; these are counted in their table, which
            all worker processes share.
    """
    shared = CollectorRegistry()
    shared.register(_Jobs(jobs))
    folder = os.environ.get(_FOLDER)
    if folder is None:
        return generate_latest(REGISTRY) + generate_latest(shared)
    _forget_dead(Path(folder))
    MultiProcessCollector(shared, folder)  # type: ignore[no-untyped-call]
    return generate_latest(shared)


@dataclass(frozen=True, eq=False)
class _Jobs(Collector):
    counts: Mapping[tuple[str, str], int]

    def collect(self) -> Iterator[Metric]:
        told = "Jobs by state; those that ended 30 days ago are forgotten."
        family = GaugeMetricFamily("finetag_jobs", told, labels=["catalog", "state"])
        for labels, number in self.counts.items():
            family.add_metric(labels, number)
        yield family


def _forget_dead(folder: Path) -> None:
    """Drop the gauges of worker processes that ended; what they counted stays."""
    for path in folder.glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):  # another worker process was faster
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
