"""How fast an index is built, brought up to date and published, and how large it gets.

    python benchmarks/index.py build CUB_200_2011/images
    python benchmarks/index.py update
    python benchmarks/index.py growth --plot growth.png

`build` compares images a second with the network alone, on the same pictures in memory, in one
run. `update` times an update of a catalogue in which nothing has changed. `growth` fills the
database with synthetic rows of the real dimensions and times what a publication does with them;
its plot needs the extra `plots`. Everything is written below --work, and removed.
"""

from __future__ import annotations

import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

import click
import numpy as np
from growth import measure, plot, table_of
from PIL import Image
from rich.console import Console
from tables import figures_table

from finetag_model.embedder import Embedding, ModelInfo, load_embedder
from finetag_model.vocabulary import Vocabulary
from indexer.building import BATCH, build, update
from indexer.decode import read_bytes, read_picture
from indexer.scan import Candidate, Scan


class MeanColour:
    """A stand-in for the network that costs nothing, for catalogues of tiny files."""

    model = ModelInfo(
        name="mean-colour",
        digest="0c" * 32,
        vocabulary=Vocabulary(("tone=light", "tone=dark")),
        thresholds=np.full(2, 0.5, dtype=np.float32),
        input_size=8,
        visual_dim=4,
    )

    def embed(self, pixels: np.ndarray) -> Embedding:
        """Embed pictures of shape (B, 8, 8, 3) by their mean colour and a constant."""
        mean = np.pad(pixels.mean(axis=(1, 2)) / 255, ((0, 0), (0, 1)), constant_values=1.0)
        light = mean[:, :3].mean(axis=1)
        visual = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        scores = np.stack([light, 1 - light], axis=1)
        return Embedding(scores.astype(np.float32), visual.astype(np.float32))


@click.group()
def main() -> None:
    """Measure the index; see the top of this file."""


work_option = click.option(
    "--work",
    type=click.Path(path_type=Path),
    help="Folder for temporary files.  [default: the system's]",
)


@contextmanager
def room(work: Path | None) -> Iterator[Path]:
    """Give an empty folder, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="finetag-bench-", dir=work))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@main.command("build")
@click.argument("images", type=click.Path(path_type=Path, exists=True))
@click.option("--count", default=1000, show_default=True, help="Take this many images.")
@click.option("--repeats", default=3, show_default=True)
@click.option("--seed", default=0, show_default=True)
@work_option
def build_command(images: Path, count: int, repeats: int, seed: int, work: Path | None) -> None:
    """Compare a whole build with the network alone."""
    embedder = load_embedder()
    files = sorted(each.path for each in Scan(images) if isinstance(each, Candidate))
    chosen = np.random.default_rng(seed).permutation(len(files))[:count]
    console = Console()
    with room(work) as folder:
        catalogue = folder / "catalogue"
        catalogue.mkdir()
        for number in chosen:
            source = images / files[number]
            shutil.copyfile(source, catalogue / f"{number}{source.suffix}")
        paths = list(catalogue.iterdir())
        side = embedder.model.input_size
        pixels = np.stack([read_picture(read_bytes(path, 0), side).pixels for path in paths])
        build(catalogue, folder / "warm", embedder)  # starts the decoding processes
        alone, whole, report = [], [], None
        for number in range(repeats):
            start = perf_counter()
            for at in range(0, len(pixels), BATCH):
                embedder.embed(pixels[at : at + BATCH])
            alone.append(len(pixels) / (perf_counter() - start))
            start = perf_counter()
            report = build(catalogue, folder / f"index-{number}", embedder)
            whole.append(report.images / (perf_counter() - start))
    table = figures_table(
        f"{len(pixels):,} images, medians of {repeats}", ["", "images/s", "of the network"]
    )
    table.add_row("network alone", f"{median(alone):,.1f}", "")
    ratio = median([b / a for a, b in zip(alone, whole, strict=True)])
    table.add_row("finetag-index build", f"{median(whole):,.1f}", f"{ratio:.0%}")
    console.print(table)
    assert report is not None
    console.print(f"the last build's stages: {report.as_text().splitlines()[3].strip()}")


@main.command("update")
@click.option("--count", default=100_000, show_default=True, help="Files in the catalogue.")
@click.option("--repeats", default=3, show_default=True)
@click.option("--database", envvar="FINETAG_DATABASE", help="A PostgreSQL URL; else SQLite.")
@work_option
def update_command(count: int, repeats: int, database: str | None, work: Path | None) -> None:
    """Time an update with nothing changed, over many tiny files."""
    embedder = MeanColour()
    console = Console()
    with room(work) as folder:
        for number in range(count):
            path = folder / "catalogue" / f"{number // 1000:05}" / f"{number:08}.ppm"
            path.parent.mkdir(parents=True, exist_ok=True)
            colour = (number % 256, number // 256 % 256, number // 65536)
            Image.new("RGB", (2, 2), colour).save(path)
        start = perf_counter()
        build(folder / "catalogue", folder / "index", embedder, database=database)
        first = perf_counter() - start
        seconds = []
        for _ in range(repeats):
            start = perf_counter()
            report = update(folder / "index", embedder, database=database)
            seconds.append(perf_counter() - start)
            assert not report.published
    table = figures_table(f"{count:,} files, median of {repeats}", ["", "seconds"])
    table.add_row("first build, without a network", f"{first:.1f}")
    table.add_row("update, nothing changed", f"{median(seconds):.2f}")
    console.print(table)
    stages = ", ".join(
        f"{n} {s.seconds:.2f} s" for n, s in vars(report.stages).items() if s.seconds
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"the last update's stages: {stages}; peak memory of it all {peak:,.0f} MiB")


@main.command("growth")
@click.option(
    "--rows", multiple=True, type=int, default=(10_000, 100_000, 1_000_000), show_default=True
)
@click.option("--seed", default=0, show_default=True)
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Write a PNG.")
@work_option
def growth_command(
    rows: tuple[int, ...], seed: int, picture: Path | None, work: Path | None
) -> None:
    """Time and weigh indexes of synthetic rows."""
    measured = []
    for number in rows:
        with room(work) as folder:
            measured.append(measure(folder, number, seed))
        Console().print(table_of(measured))
    if picture:
        plot(measured, picture)


if __name__ == "__main__":
    main()
