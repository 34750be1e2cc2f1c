"""Build one engine, or open it and measure how it searches, in a process of its own.

Started by benchmarks/search.py alone, as `search_worker.py build|measure` with what it needs as
one JSON object. Writes JSON lines as it goes, so that what was measured outlives its being killed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from engines import Engine, load
from numpy.typing import NDArray
from search_data import Data, K

TARGET = 0.95
_PROBED = 50
BUILT = "built.json"


@dataclass(frozen=True)
class Task:
    """What a worker is told.

    Attributes:
        engine: its name.
        data: the folder of the data.
        folder: the folder of the engine.
        output: the file that JSON lines are appended to.
        kinds: the kinds of filters to measure.
        rates: and their rates.
        cores: how many cores to use.
        repeats: how often to ask all the queries.
        seconds: stop asking after so long, each time.
    """

    engine: str
    data: str
    folder: str
    output: str
    kinds: tuple[str, ...]
    rates: tuple[float, ...]
    cores: int
    repeats: int
    seconds: float

    def say(self, **line: object) -> None:
        """Append a line to the output."""
        with Path(self.output).open("a") as file:
            file.write(json.dumps({**line, "engine": self.engine}) + "\n")


def main() -> None:
    """Do what the command line says."""
    task = Task(**json.loads(sys.argv[2]))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: task.cores])
    {"build": build, "measure": measure}[sys.argv[1]](task)


def build(task: Task) -> None:
    """Build the engine in an empty folder, and leave there how long that took."""
    folder = Path(task.folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    engine = load(task.engine)
    data = Data(Path(task.data), task.cores)
    start = perf_counter()
    engine.build(folder, data)
    seconds = perf_counter() - start
    size = sum(path.lstat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
    (folder / BUILT).write_text(json.dumps({"build_seconds": seconds, "disk_bytes": size}))
    os._exit(0)  # what some engines leave to their last moments is not worth waiting for


def measure(task: Task) -> None:
    """Open the engine and search by every filter."""
    data = Data(Path(task.data), task.cores)
    _ = data.queries, data.truth
    bare = memory()["total"]
    engine = load(task.engine)
    engine.open(Path(task.folder), data)
    _say_costs(task, engine, bare)  # for the case that this is stopped
    for number, case in enumerate(data.filters):
        if case.kind in task.kinds and case.rate in task.rates:
            cell = measure_filter(engine, data, number, task)
            task.say(type="cell", kind=case.kind, rate=case.rate, passing=case.passing, **cell)
    _say_costs(task, engine, bare)
    engine.close()
    os._exit(0)


def _say_costs(task: Task, engine: Engine, bare: int) -> None:
    used = memory()
    built = json.loads((Path(task.folder) / BUILT).read_text())
    task.say(
        type="engine",
        how=engine.how,
        version=engine.version,
        memory_bytes=used["total"] - bare,
        mapped_bytes=used["mapped"],
        **built,
    )


def measure_filter(engine: Engine, data: Data, number: int, task: Task) -> dict[str, Any]:
    """Measure a filter at the cheapest effort that finds enough, or else at the best one."""
    case = data.filters[number]
    passing = data.passing(case.tags)
    queries, truth = data.queries[number], data.truth[number]

    def ask(effort: int, most: int, repeats: int, seconds: float) -> dict[str, Any]:
        def search(query: NDArray[np.float32]) -> NDArray[np.int64]:
            return engine.search(query, case.tags, K, effort)

        return _ask(search, queries[:most], truth, passing, repeats, seconds)

    def whole(effort: int) -> dict[str, Any]:
        return ask(effort, len(queries), task.repeats, task.seconds)

    tried: list[tuple[float, int]] = []
    wholes: dict[int, dict[str, Any]] = {}
    try:
        for effort in engine.efforts:
            probe = ask(effort, _PROBED, 1, task.seconds / 4)
            tried.append((probe["recall"], -effort))
            if probe["recall"] >= TARGET or effort == engine.efforts[-1]:
                wholes[effort] = whole(effort)
                if wholes[effort]["recall"] >= TARGET:
                    return {"effort": effort, **wholes[effort]}
        best = -max(tried)[1]
        return {"effort": best, **(wholes.get(best) or whole(best))}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def _ask(
    search: Callable[[NDArray[np.float32]], NDArray[np.int64]],
    queries: NDArray[np.float32],
    truth: NDArray[np.int64],
    passing: NDArray[np.bool_],
    repeats: int,
    limit: float,
) -> dict[str, Any]:
    """Ask queries one at a time; rates are medians of the repeats, times of all the queries."""
    search(queries[0])
    rates, times, answers = [], [], []
    for repeat in range(repeats):
        asked = []
        for query in queries:
            start = perf_counter()
            found = search(query)
            asked.append(perf_counter() - start)
            if repeat == 0:
                answers.append(found)
            if sum(asked) > limit:
                break
        rates.append(len(asked) / sum(asked))
        times += asked
    shares, short, wrong = [], 0, 0
    for found, right in zip(answers, truth, strict=False):
        expected = set(right[right >= 0].tolist())
        given = set(found.tolist())
        wrong += int((~passing[found]).sum())
        short += len(given) < len(expected)
        shares.append(len(given & expected) / len(expected))
    return {
        "recall": float(np.mean(shares)),
        "least_recall": min(shares),
        "qps": median(rates),
        "p50_ms": 1000 * float(np.percentile(times, 50)),
        "p99_ms": 1000 * float(np.percentile(times, 99)),
        "queries": len(answers),
        "short": short,
        "wrong": wrong,
    }


def memory() -> dict[str, int]:
    """Return bytes of memory of this process and those below it, shared pages counted once.

    `mapped` is the part of `total` that holds pages of mapped files.
    """
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:  # it has ended
            continue
    family = {os.getpid()}
    while below := {one for one, parent in parents.items() if parent in family} - family:
        family |= below
    total = mapped = 0
    for process in family:
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        sizes = {line.split(":")[0]: line.split() for line in rollup.splitlines()[1:]}
        total += 1024 * int(sizes["Pss"][1])
        mapped += 1024 * int(sizes["Pss_File"][1])
    return {"total": total, "mapped": mapped}


if __name__ == "__main__":
    main()
