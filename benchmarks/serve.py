"""The HTTP service under load, while generations are swapped and clients misbehave.

    python benchmarks/serve.py --index .finetag --keep search-data --json serve.json

A million rows, grown from a real index as in benchmarks/search.py, are served by
`finetag-serve`. Many clients ask without a pause, every answer is compared with what
the library says of its generation, and a new generation is published every few seconds.
`serve_questions` says what is asked, `serve_load` how, `serve_index` how generations are
swapped, and `serve_report` what is told. Linux only.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import httpx2
import serve_load
import serve_questions
from rich.console import Console
from search import data_of, parents_of, processor, room, run_worker
from search_worker import Task
from serve_index import TwoContents, open_contents, prepare
from serve_questions import PARENTS, ROWS, SHARES, Checker
from serve_report import figures, markdown, tables
from serve_watch import cpu_seconds, family, having_mapped, memory

from finetag_model.console import Command
from finetag_model.errors import FineTagError
from indexer import Index
from indexer.manifest import VISUAL

_SERVER = "from retrieval.service.cli import main; main()"
_QUERIES = 200  # of the data, which are those of benchmarks/search.py
_PATIENCE = 600.0  # seconds until the service is ready, with an index that is not in memory


@click.command(cls=Command)
@click.option("--rows", default=1_000_000, show_default=True, help="Grow so many rows.")
@click.option("--index", "index_dir", type=click.Path(path_type=Path), help="Grow from this index.")
@click.option(
    "--images", type=click.Path(path_type=Path, exists=True), help="Or from these pictures."
)
@click.option("--draw", default=300, show_default=True, help="Or from so many drawn birds.")
@click.option("--clients", default=50, show_default=True, help="That ask at once.")
@click.option("--seconds", default=60.0, show_default=True, help="For which they ask.")
@click.option("--swap", default=10.0, show_default=True, help="Seconds between generations.")
@click.option("--workers", default=2, show_default=True, help="Processes that serve.")
@click.option("--questions", default=300, show_default=True, help="Different ones of each kind.")
@click.option("--seed", default=0, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep data and index, and reuse.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print tables for a page.")
def main(
    rows: int,
    index_dir: Path | None,
    images: Path | None,
    draw: int,
    clients: int,
    seconds: float,
    swap: float,
    workers: int,
    questions: int,
    seed: int,
    keep: Path | None,
    output: Path | None,
    as_markdown: bool,
) -> None:
    """Measure the service under load; see the top of this file."""
    console = Console(width=max(Console().width, 110))
    output = output and output.absolute()
    with room(keep) as folder:
        source, parents = parents_of(folder, index_dir, images, draw, 0)
        prepared = _prepared(data_of(folder, parents, rows, _QUERIES, 0))
        contents = open_contents(prepared)
        asked = serve_questions.make(contents[1], parents, questions, seed)
        with _temporary(prepared.parent) as work:
            served = TwoContents(prepared, work / "index")
            catalogs = {ROWS: served.folder, PARENTS: parents.folder.parents[1]}
            with _service(catalogs, workers, work) as (url, pid):
                _warm_up(url, asked)
                plan = serve_load.Plan(url, clients, seconds, seed, SHARES, asked)
                run = _load(plan, served, swap, pid, work / "load")
            run |= {
                "source": source,
                "rows": contents[0].rows,
                "second_rows": contents[1].rows,
                "clients": clients,
                "workers": workers,
                "processor": processor(),
                "cores": len(os.sched_getaffinity(0)),
                "load": os.getloadavg()[0],
            }
            told = figures(run, work / "load", Checker(contents, asked))
    if output:
        output.write_text(json.dumps(told, indent=1) + "\n")
    if as_markdown:
        click.echo(markdown(told))
    else:
        for table in tables(told):
            console.print(table)
    if told["wrong"] or told["lost"] or told["errors"]:
        raise FineTagError(f"not every answer was right: {'; '.join(told['complaints'])}")


def _prepared(data: Path) -> Path:
    """Return the folder of the two contents; they are made unless they are there."""
    engine = data / "engines" / "finetag"
    task = Task("finetag", str(data), str(engine), os.devnull, (), (), 2, 1, 1.0)
    reason = run_worker("build", task, 7200.0)
    if reason:
        raise FineTagError(f"the index of the rows cannot be made: {reason}")
    with Index.open(engine / "index") as index:
        some = range(50, index.rows, 100)
        ids = [each.id for each in index.images(some)]
    prepare(engine / "index", data / "serve", ids)
    return data / "serve"


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """Give a folder on the file system of another, for links into that one."""
    made = Path(tempfile.mkdtemp(prefix="serve-", dir=folder))
    try:
        yield made
    finally:
        shutil.rmtree(made)


@contextmanager
def _service(catalogs: dict[str, Path], workers: int, work: Path) -> Iterator[tuple[str, int]]:
    """Start `finetag-serve`; give its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {"--port": port, "--workers": workers, "--state": work / "state"}
    options["--rate"] = 0  # for all clients have one address here
    command = [sys.executable, "-c", _SERVER]
    command += [f"--catalog={name}={folder}" for name, folder in catalogs.items()]
    command += [f"{name}={value}" for name, value in options.items()]
    log = work / "service.log"
    with log.open("w") as file:
        process = subprocess.Popen(  # noqa: S603
            command, stdout=file, stderr=file, stdin=subprocess.DEVNULL
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process, log)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = perf_counter() + _PATIENCE
    while perf_counter() < end and process.poll() is None:
        try:
            if httpx2.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.1)
    told = log.read_text().strip().splitlines()
    raise FineTagError(f"the service did not start: {told[-1] if told else 'it says nothing'}")


def _warm_up(url: str, asked: serve_questions.Questions) -> None:
    """Ask one question of each kind, so that what is made once is there."""
    with httpx2.Client(base_url=url, timeout=60) as client:
        for every in asked.values():
            each = every[0]
            options: dict[str, Any] = {name: each[name] for name in ("json",) if name in each}
            if "file" in each:
                picture = Path(each["file"]).read_bytes()
                options = {"files": {"image": picture}, "data": each["form"]}
            client.request(each["method"], each["path"], **options).raise_for_status()


def _load(
    plan: serve_load.Plan, served: TwoContents, swap: float, pid: int, folder: Path
) -> dict[str, Any]:
    """Let the clients ask while generations are swapped; return what it cost."""
    before, busy = cpu_seconds(family(pid)), time.process_time()
    swaps = [(served.generation, 0.0)]
    with subprocess.Popen(serve_load.start(plan, folder)) as clients:  # noqa: S603
        while True:
            try:
                clients.wait(swap)
                break
            except subprocess.TimeoutExpired:
                served.swap()
                swaps.append((served.generation, perf_counter()))
    if clients.returncode:
        raise FineTagError("the clients failed; see above")
    every = family(pid)
    serving = having_mapped(every, VISUAL)
    return {
        "swaps": swaps,
        "service_cpu_seconds": cpu_seconds(every) - before,
        "publisher_cpu_seconds": time.process_time() - busy,
        "memory": vars(memory(every)),
        "workers_memory": [vars(memory([each])) for each in serving],
        "processes": len(every),
    }


if __name__ == "__main__":
    main()
