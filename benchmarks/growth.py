"""What an index of many rows costs: filled with synthetic vectors, published, opened, searched."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.table import Table
from tables import figures_table

from finetag_model.checkpoint import read_checkpoint
from finetag_model.embedder import ModelInfo
from indexer import Index
from indexer.approximation import Plan
from indexer.publish import publication
from indexer.removing import delete_images
from indexer.schema import embedding, image
from indexer.verifying import verify
from indexer.writer import open_writer

_BLOCK = 5_000
_DIRECTIONS = 2_000
_JITTER = 0.7


@dataclass(frozen=True)
class Growth:
    """The figures of one size; times in seconds unless they say otherwise, sizes in bytes."""

    rows: int
    fill: float
    publish: float
    delete_one: float
    verify: float
    open_ms: float
    exact_ms: float
    planned_ms: float
    plan: str
    database: int
    generation: int
    peak_mib: float


def measure(folder: Path, rows: int, seed: int) -> Growth:
    """Make an index of so many rows in a folder and time what is done with it."""
    model = read_checkpoint().model
    index_dir = folder / "index"
    (folder / "catalogue").mkdir()
    start = perf_counter()
    with open_writer(index_dir, root=folder / "catalogue") as writer:
        for images, embeddings in _rows(rows, seed, model):
            with writer.changing() as connection:
                connection.execute(embedding.insert(), embeddings)
                connection.execute(image.insert(), images)
        filled = perf_counter()
        with publication(writer, model):
            pass
        published = perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    database = (index_dir / "catalogue.db").stat().st_size
    open_ms, exact_ms, planned_ms, plan, generation = _search(index_dir)
    begun = perf_counter()
    delete_images(index_dir, ["000000/00000000.jpg"])
    deleted = perf_counter()
    assert verify(index_dir).is_whole
    return Growth(
        rows=rows,
        fill=filled - start,
        publish=published - filled,
        delete_one=deleted - begun,
        verify=perf_counter() - deleted,
        open_ms=open_ms,
        exact_ms=exact_ms,
        planned_ms=planned_ms,
        plan=plan.kind,
        database=database,
        generation=generation,
        peak_mib=peak,
    )


def _rows(
    rows: int, seed: int, model: ModelInfo
) -> Iterator[tuple[list[dict[str, object]], list[dict[str, object]]]]:
    """Yield rows of the image and embedding tables: vectors in clusters, scores at random."""
    random = np.random.default_rng(seed)
    spectrum = 1 / np.sqrt(np.arange(1, model.visual_dim + 1))  # as a PCA's, nearly
    directions = random.standard_normal((_DIRECTIONS, model.visual_dim)) * spectrum
    for start in range(0, rows, _BLOCK):
        number = min(_BLOCK, rows - start)
        jitter = _JITTER * random.standard_normal((number, model.visual_dim)) * spectrum
        visual = directions[random.integers(_DIRECTIONS, size=number)] + jitter
        visual /= np.linalg.norm(visual, axis=1, keepdims=True)
        visual = visual.astype("<f4")
        scores = random.integers(0, 256, (number, len(model.vocabulary)), dtype=np.uint8)
        yield table_rows(start, visual, scores, model)


def table_rows(
    start: int, visual: np.ndarray, scores: np.ndarray, model: ModelInfo
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return rows of the image and embedding tables, for made-up files numbered from `start`.

    Args:
        start: the number of the first; in the index, rows have these numbers too.
        visual: little-endian float32 (rows, D).
        scores: uint8 (rows, N).
        model: what seems to have made them.
    """
    names = [f"{start + i:064x}" for i in range(len(visual))]
    images: list[dict[str, object]] = [
        {
            "path": f"{(start + i) // 1000:06}/{start + i:08}.jpg",
            "content_hash": name,
            "bytes": 100_000,
            "mtime_ns": 1_700_000_000_000_000_000 + i,
        }
        for i, name in enumerate(names)
    ]
    embeddings: list[dict[str, object]] = [
        {
            "content_hash": name,
            "model_digest": model.digest,
            "width": 640,
            "height": 480,
            "scores": scores[i].tobytes(),
            "visual": visual[i].tobytes(),
        }
        for i, name in enumerate(names)
    ]
    return images, embeddings


def _search(index_dir: Path) -> tuple[float, float, float, Plan, int]:
    """Return milliseconds to open, to search exactly and as planned; the plan; the files' bytes."""
    start = perf_counter()
    index = Index.open(index_dir)
    opened = perf_counter() - start
    query = index.vectors(0, 1)

    def milliseconds(plan: Plan) -> float:
        index.search(query, 10, plan=plan)  # the first one brings what it needs into memory
        seconds = []
        for _ in range(9):
            begun = perf_counter()
            index.search(query, 10, plan=plan)
            seconds.append(perf_counter() - begun)
        return 1000 * float(np.median(seconds))

    plan = index.plan(index.rows, 10)
    exact, planned = milliseconds(Plan()), milliseconds(plan)
    size = sum(each.bytes for each in index.manifest.files.values())
    index.close()
    return 1000 * opened, exact, planned, plan, size


def table_of(measured: Sequence[Growth]) -> Table:
    """Return the figures as a table, a column a size."""
    table = figures_table("Growth", ["", *(f"{each.rows:,} rows" for each in measured)])
    for name, show in (
        ("fill the database, s", lambda g: f"{g.fill:,.1f}"),
        ("publish, s", lambda g: f"{g.publish:,.2f}"),
        ("publish, µs a row", lambda g: f"{1e6 * g.publish / g.rows:,.0f}"),
        ("delete one image and publish, s", lambda g: f"{g.delete_one:,.2f}"),
        ("verify, s", lambda g: f"{g.verify:,.2f}"),
        ("open, ms", lambda g: f"{g.open_ms:,.1f}"),
        ("exact search, ms", lambda g: f"{g.exact_ms:,.1f}"),
        ("search as planned, ms", lambda g: f"{g.planned_ms:,.1f}"),
        ("the plan", lambda g: g.plan),
        ("database, bytes a row", lambda g: f"{g.database / g.rows:,.0f}"),
        ("generation, bytes a row", lambda g: f"{g.generation / g.rows:,.0f}"),
        ("peak memory so far, MiB", lambda g: f"{g.peak_mib:,.0f}"),
    ):
        table.add_row(name, *(show(each) for each in measured))
    return table


def plot(measured: Sequence[Growth], path: Path) -> None:
    """Draw seconds and bytes against rows."""
    from matplotlib.figure import Figure  # noqa: PLC0415  (an extra)

    rows = [each.rows for each in measured]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    times, sizes = figure.subplots(1, 2)
    times.loglog(rows, [each.publish for each in measured], "o-", label="publish")
    times.loglog(rows, [each.delete_one for each in measured], "o-", label="delete one image")
    times.loglog(rows, [each.verify for each in measured], "o-", label="verify")
    times.set(xlabel="rows", ylabel="seconds")
    sizes.loglog(rows, [each.database for each in measured], "o-", label="database")
    sizes.loglog(rows, [each.generation for each in measured], "o-", label="generation")
    sizes.set(xlabel="rows", ylabel="bytes")
    for axes in (times, sizes):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)
