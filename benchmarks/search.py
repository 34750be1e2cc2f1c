"""Filtered vector search: FineTag and every embeddable engine, on the same rows and queries.

    python benchmarks/search.py --index .finetag --output search.jsonl --plot search.png

Rows are grown from a real index, filters let known shares of them pass, and every engine is taken
at its cheapest setting that finds 95% of the ten nearest. The engines are the extra `bench-search`;
those that are not installed are named as not measured. `search_data` says what the data are,
`engines` how each engine is used, and `search_worker` what is measured. Linux only.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
from engines import NAMES
from rich.console import Console
from search_data import KINDS, RATES, Data, is_made, make
from search_report import plot, read, tables
from search_worker import BUILT, Task
from threadpoolctl import threadpool_limits

from finetag_model.console import Command
from finetag_model.drawn.catalogue import write_catalogue
from finetag_model.embedder import load_embedder
from finetag_model.errors import UsageError
from indexer import Index, build

_WORKER = Path(__file__).with_name("search_worker.py")


@click.command(cls=Command)
@click.option("--rows", default=1_000_000, show_default=True, help="Grow so many rows.")
@click.option("--queries", default=200, show_default=True, help="Queries a filter.")
@click.option("--seed", default=0, show_default=True)
@click.option("--index", "index_dir", type=click.Path(path_type=Path), help="Grow from this index.")
@click.option(
    "--images", type=click.Path(path_type=Path, exists=True), help="Or from these pictures."
)
@click.option("--draw", default=300, show_default=True, help="Or from so many drawn birds.")
@click.option("--engines", default=",".join(NAMES), show_default=True, help="Names, with commas.")
@click.option("--kinds", default=";".join(KINDS), show_default=True, help="Names, with semicolons.")
@click.option(
    "--rates", default=",".join(f"{100 * r:g}" for r in RATES), show_default=True, help="Per cent."
)
@click.option("--cores", default=2, show_default=True, help="What each engine may use.")
@click.option("--repeats", default=3, show_default=True, help="Take medians of so many rounds.")
@click.option("--seconds", default=20.0, show_default=True, help="Cut a round off after this.")
@click.option("--limit", default=7200.0, show_default=True, help="Seconds to build, or measure.")
@click.option("--bandwidth-mib", default=1024, show_default=True, help="Measure by so much.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep data and indexes, and reuse.")
@click.option("--output", type=click.Path(path_type=Path), help="Append JSON lines to this file.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Write a PNG.")
@click.option(
    "--from",
    "measured",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Measure nothing: show what is in this file of JSON lines.",
)
def main(
    rows: int,
    queries: int,
    seed: int,
    index_dir: Path | None,
    images: Path | None,
    draw: int,
    engines: str,
    kinds: str,
    rates: str,
    cores: int,
    repeats: int,
    seconds: float,
    limit: float,
    bandwidth_mib: int,
    keep: Path | None,
    output: Path | None,
    picture: Path | None,
    measured: Path | None,
) -> None:
    """Measure filtered search; see the top of this file."""
    console = Console(width=max(Console().width, 130))  # the tables are wide
    if measured:
        lines = read(measured)
    else:
        chosen = _listed(engines, ",", NAMES)
        shares = tuple(float(each) / 100 for each in rates.split(","))
        with room(keep) as folder:
            found = output.resolve() if output else Path(tempfile.mkstemp(dir=folder)[1])
            source, parents = parents_of(folder, index_dir, images, draw, seed)
            data = data_of(folder, parents, rows, queries, seed)
            header = _header(data, source, cores, bandwidth_mib, rows, queries, seed)
            with found.open("a") as file:
                file.write(json.dumps(header) + "\n")
            for name in chosen:
                task = Task(
                    engine=name,
                    data=str(data),
                    folder=str(data / "engines" / name),
                    output=str(found),
                    kinds=_listed(kinds, ";", KINDS),
                    rates=shares,
                    cores=cores,
                    repeats=repeats,
                    seconds=seconds,
                )
                start = perf_counter()
                reason = run_worker("build", task, limit) or run_worker("measure", task, limit)
                if reason:
                    task.say(type="missing", reason=reason)
                outcome = reason or f"done in {perf_counter() - start:,.0f} s"
                console.print(f"{name}: {outcome}", highlight=False)
            lines = read(found)
            if not output:
                found.unlink()
    for table in tables(lines):
        console.print(table)
    if picture:
        plot(lines, picture)


def _listed(text: str, comma: str, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(comma))
    for name in names:
        if name not in known:
            raise UsageError(f"{name!r} is none of {', '.join(map(repr, known))}")
    return names


@contextmanager
def room(keep: Path | None) -> Iterator[Path]:
    """Give a folder, and remove it unless it is to be kept."""
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="finetag-bench-"))
    folder.chmod(0o755)  # pgvector's server may run as another user
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def parents_of(
    folder: Path, index_dir: Path | None, images: Path | None, draw: int, seed: int
) -> tuple[str, Index]:
    """Return what the rows are grown from, in words and as an index."""
    if index_dir:
        index = Index.open(index_dir)
        return f"the {index.rows:,} images of an index", index
    if images is None:
        images = folder / f"drawn-{draw}-{seed}"
        if not images.exists():
            write_catalogue(images, draw, seed)
    index_dir = folder / f"index-{sha256(str(images.resolve()).encode()).hexdigest()[:12]}"
    build(images, index_dir, load_embedder())
    index = Index.open(index_dir)
    what = "drawn birds" if images.parent == folder else f"pictures of {images.name}"
    return f"{index.rows:,} {what}", index


def data_of(folder: Path, parents: Index, rows: int, queries: int, seed: int) -> Path:
    """Make the data, unless they are there; return their folder."""
    code = _WORKER.with_name("search_data.py").read_bytes()  # other code makes other data
    vectors = parents.vectors(0, parents.rows)
    digest = sha256(code + vectors.tobytes()).hexdigest()[:12]
    made = folder / f"rows-{rows}-{queries}-{seed}-{digest}"
    if not is_made(made):
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        make(made, parents, rows, queries, seed)
    return made


def _header(
    folder: Path, source: str, cores: int, mib: int, rows: int, queries: int, seed: int
) -> dict[str, Any]:
    data = Data(folder, cores)
    return {
        "type": "run",
        "source": source,
        "rows": rows,
        "dim": data.dim,
        "tags": len(data.tags),
        "queries": queries,
        "seed": seed,
        "cores": cores,
        "processor": processor(),
        "load": os.getloadavg()[0],
        "bytes_per_second": _bandwidth(mib, data.dim, cores),
    }


def processor() -> str:
    """Return what this machine's processor calls itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _bandwidth(mib: int, dim: int, cores: int) -> float:
    """Return the bytes a second that a product of many vectors with one reads, the best of 9."""
    vectors = np.ones((mib * 2**20 // (4 * dim), dim), dtype=np.float32)
    query = np.ones(dim, dtype=np.float32)
    best = np.inf
    with threadpool_limits(cores):
        for _ in range(9):
            start = perf_counter()
            vectors @ query
            best = min(best, perf_counter() - start)
    return vectors.nbytes / best


def _threads(cores: int) -> dict[str, str]:
    names = ("OMP", "OPENBLAS", "MKL", "RAYON")
    return {f"{name}_NUM_THREADS": str(cores) for name in names}


def run_worker(what: str, task: Task, limit: float) -> str | None:
    """Run a worker; return why it failed, if it did. What is built already is not built again."""
    folder = Path(task.folder)
    if what == "build" and (folder / BUILT).exists():
        return None
    folder.parent.mkdir(exist_ok=True)
    log = folder.parent / f"{task.engine}-{what}.log"
    with log.open("w") as file:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, str(_WORKER), what, json.dumps(asdict(task))],
            env={**os.environ, **_threads(task.cores)},
            stdout=file,
            stderr=file,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            return f"to {what} it took more than {limit:,.0f} s"
        finally:
            # The servers that it may have started go with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code == 0:
        return None
    lines = log.read_text(errors="replace").split("\n")
    told = [line for line in lines if line and not line.startswith(" ")]
    return f"{what}: {told[-1] if told else f'exit code {code}'}"


if __name__ == "__main__":
    main()
