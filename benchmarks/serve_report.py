"""What benchmarks/serve.py tells: how fast the answers came, whether all did, and what it took."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from serve_load import ANSWERS, BODIES, SUMMARY
from tables import figures_table

if TYPE_CHECKING:
    from serve_questions import Checker

_MIB = 1 << 20
_OK = 200
_MOST_COMPLAINTS = 5


def figures(run: dict[str, Any], folder: Path, checker: Checker) -> dict[str, Any]:
    """Check the answers that the clients got, and return all figures.

    Args:
        run: what is known of the run.
        folder: where the clients wrote what they got.
        checker: knows what is right.
    """
    seconds: dict[str, list[float]] = {}
    counts = {"lost": 0, "errors": 0, "wrong": 0}
    complaints: list[str] = []
    ends = _replaced(run["swaps"])
    generations: set[int] = set()
    lag = 0.0
    with (folder / ANSWERS).open() as lines, (folder / BODIES).open("rb") as bodies:
        for line in map(json.loads, lines):
            kind, (at, length) = line["kind"], line.get("body", (0, 0))
            bodies.seek(at)
            body = bodies.read(length)
            what, told = _judged(line, body, checker)
            if what:
                counts[what] += 1
                complaints.append(f"{kind}: {told}")
                continue
            seconds.setdefault(kind, []).append(line["seconds"])
            if kind != "thumbnail" and line["page"] == 1:
                generation = json.loads(body)["generation"]
                generations.add(generation)
                lag = max(lag, line["start"] - ends.get(generation, np.inf))
    summary = json.loads((folder / SUMMARY).read_text())
    every = [each for kind in seconds.values() for each in kind]
    times = {kind: _times(each, summary["seconds"]) for kind, each in seconds.items()}
    return {
        **run,
        **summary,
        **counts,
        "swaps": len(run["swaps"]) - 1,
        "generations_seen": sorted(generations),
        "taken_up_seconds": max(lag, 0.0),
        "times": {**times, "all": _times(every, summary["seconds"])},
        "complaints": complaints[:_MOST_COMPLAINTS],
    }


def tables(told: dict[str, Any]) -> list[Table]:
    """Return the figures as tables for a terminal."""
    made = []
    for title, rows in _shown(told):
        table = figures_table(title, rows[0])
        for row in rows[1:]:
            table.add_row(*row)
        made.append(table)
    return made


def markdown(told: dict[str, Any]) -> str:
    """Return the figures as tables for a page."""
    parts = []
    for title, rows in _shown(told):
        ruler = ["---", *["--:"] * (len(rows[0]) - 1)]
        lines = [f"| {' | '.join(row)} |" for row in (rows[0], ruler, *rows[1:])]
        parts.append("\n".join([f"{title}:", "", *lines]))
    return "\n\n".join(parts)


def _judged(line: dict[str, Any], body: bytes, checker: Checker) -> tuple[str | None, str]:
    if "lost" in line:
        return "lost", line["lost"]
    if line["status"] != _OK:
        return "errors", f"{line['status']} {body[:200].decode(errors='replace')}"
    wrong = checker.what_is_wrong(line, body)
    return ("wrong", wrong) if wrong else (None, "")


def _replaced(swaps: Sequence[tuple[int, float]]) -> dict[int, float]:
    """Return when each generation was replaced by the next."""
    return {old: when for (old, _), (_, when) in itertools.pairwise(swaps)}


def _times(seconds: Sequence[float], whole: float) -> dict[str, float]:
    p50, p95, p99, longest = 1000 * np.percentile(seconds, [50, 95, 99, 100])
    return {
        "requests": len(seconds),
        "per_second": len(seconds) / whole,
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "p99_ms": float(p99),
        "longest_ms": float(longest),
    }


def _shown(told: dict[str, Any]) -> list[tuple[str, list[list[str]]]]:
    heads = ["", "requests", "a second", "p50, ms", "p95, ms", "p99, ms", "longest, ms"]
    times = [
        [
            kind,
            f"{each['requests']:,}",
            f"{each['per_second']:,.1f}",
            *(f"{each[name]:,.0f}" for name in ("p50_ms", "p95_ms", "p99_ms", "longest_ms")),
        ]
        for kind, each in told["times"].items()
    ]
    whole, cores = told["seconds"], told["cores"]
    memory, workers = told["memory"], told["workers_memory"]
    rest = [
        ["wrong answers", f"{told['wrong']:,}"],
        ["requests without an answer", f"{told['lost']:,}"],
        ["answers that are errors", f"{told['errors']:,}"],
        ["generations published meanwhile", f"{told['swaps']:,}"],
        ["until the last request to an old one, s", f"{told['taken_up_seconds']:.1f}"],
        ["requests hung up on", f"{told['hung_up']:,}"],
        ["half bodies", f"{told['half_bodies']:,}"],
        ["cores taken by the service", f"{told['service_cpu_seconds'] / whole:.2f} of {cores}"],
        ["cores taken by the clients", f"{told['cpu_seconds'] / whole:.2f}"],
        ["cores taken by publishing", f"{told['publisher_cpu_seconds'] / whole:.2f}"],
        *(
            [
                f"worker {number}: RSS, PSS, private, MiB",
                ", ".join(f"{each[name] / _MIB:,.0f}" for name in ("rss", "pss", "private")),
            ]
            for number, each in enumerate(workers, 1)
        ),
        [f"all {told['processes']} processes: PSS, MiB", f"{memory['pss'] / _MIB:,.0f}"],
    ]
    title = (
        f"{told['rows']:,} rows grown from {told['source']}, {told['clients']} clients for "
        f"{whole:.0f} s, {told['workers']} worker(s) on {told['cores']} cores, "
        f"{told['processor']}, load {told['load']:.1f}"
    )
    return [(title, [heads, *times]), ("What became of them, and what it took", [["", ""], *rest])]
