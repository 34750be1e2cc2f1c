"""How fast pictures are embedded on a CPU: decoding, resizing and the network, apart and together.

    python benchmarks/embed.py --data CUB_200_2011 --validation fully_labelled.txt

The photographs listed are read whole, as an index reads them; W_MAP and AVGPREC are measured on
the same cut to the bird's box, as `finetag-eval` does. Without --validation, FOLDER is any folder
of images and only speed is measured. The int8 graph is calibrated on other pictures than those.
Everything runs on all cores, and each time is the median of --repeats after a run to warm up. A
runtime that cannot be run here has the reason in its row. ncnn comes with the extra `bench`.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter

import click
import numpy as np
import torch
from embed_runtimes import RUNTIMES, TRUNK_RUNTIMES, Floats, Pixels, Run, Vgg16
from rich.console import Console
from rich.table import Table
from tables import figures_table

from finetag_model.ahead import ahead
from finetag_model.checkpoint import read_checkpoint
from finetag_model.console import Command, data_option, model_option
from finetag_model.cub import CubDataset, read_cub
from finetag_model.embedder import Embedding, ModelInfo
from finetag_model.errors import UsageError
from finetag_model.evaluation import measure
from finetag_model.images import load_rgb, to_pixels
from finetag_model.pictures import Picture, cropped
from indexer.building import BATCH
from indexer.readers import read_all
from indexer.scan import Candidate, Scan

CALIBRATION = 64
"""Pictures that the ranges of int8 activations are taken from."""


@dataclass(frozen=True)
class Sample:
    """Files below `root` to measure on, and other pictures to calibrate on."""

    root: Path
    candidates: Sequence[Candidate]
    calibration: Sequence[Picture]


@dataclass(frozen=True)
class Runtime:
    """The network in one runtime; an `Embedder`."""

    model: ModelInfo
    run: Run

    def embed(self, pixels: Pixels) -> Embedding:
        """Embed B images given as uint8 pixels of shape (B, input_size, input_size, 3)."""
        return Embedding(*self.run(pixels))


@dataclass(frozen=True)
class Figures:
    """What was measured of a runtime.

    Attributes:
        network: images a second, of pixels in memory.
        all_of_it: the same from files, read ahead in threads as indexing does.
        scores: float32 (M, N), of the measured pictures.
    """

    network: float
    all_of_it: float
    scores: Floats


@click.command(cls=Command)
@data_option
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Ids of fully labelled images of CUB_200_2011.  [default: FOLDER is any folder of images]",
)
@model_option
@click.option("--images", type=click.IntRange(min=1), default=373, show_default=True)
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of pictures and weights.")
@click.option(
    "--runtime",
    "names",
    type=click.Choice(list(RUNTIMES)),
    multiple=True,
    help="Measure only these beside eager; repeatable.  [default: all]",
)
@click.option(
    "--trunk-size",
    "sizes",
    type=click.IntRange(min=32),
    multiple=True,
    default=(224, 448),
    show_default=True,
    help="Side in pixels of what VGG16's trunk is shown; repeatable.",
)
def main(
    data: Path,
    validation: Path | None,
    model: Path | None,
    images: int,
    repeats: int,
    seed: int,
    names: tuple[str, ...],
    sizes: tuple[int, ...],
) -> None:
    """Time decoding, resizing, the network and all of it in each runtime, and VGG16's trunk."""
    checkpoint = read_checkpoint(model)
    cub = read_cub(data) if validation else None
    sample = sample_of(data, cub, validation, images, seed)
    console = Console()
    console.print(
        f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads in torch; "
        f"{len(sample.candidates):,} pictures in batches of {BATCH}, medians of {repeats}"
    )
    reading, pixels = read_pictures(sample, checkpoint.config.input_size, repeats)
    console.print(reading)
    size = checkpoint.config.input_size
    calibration = np.stack([picture.pixels(size) for picture in sample.calibration])
    table = figures_table(
        f"{checkpoint.name}, images/s",
        [
            *("runtime", "network", "end to end", "of eager", "of network"),
            *("W_MAP", "AVGPREC", "W_MAP lost", "score off by"),
        ],
    )
    of_eager: Figures | None = None
    w_map_of_eager = 0.0
    for name, make in RUNTIMES.items():
        if names and name not in {"eager", *names}:
            continue
        try:
            runtime = Runtime(checkpoint.model, make(checkpoint, calibration))
            figures = time_runtime(runtime, sample, pixels, repeats)
        except Exception as error:  # what cannot run here must not cost the others their rows
            table.add_row(name, _reason(error))
            continue
        of_eager = of_eager or figures
        cells = [
            f"{figures.network:.1f}",
            f"{figures.all_of_it:.1f}",
            f"{figures.all_of_it / of_eager.all_of_it:.2f}x",
            f"{figures.all_of_it / figures.network:.0%}",
        ]
        if cub:
            overall = measure(runtime, cub, validation).overall
            w_map_of_eager = w_map_of_eager or overall.w_map
            lost = w_map_of_eager - overall.w_map
            cells += [f"{overall.w_map:.4f}", f"{overall.avgprec:.4f}", f"{lost:+.4f}"]
        else:
            cells += [""] * 3
        table.add_row(name, *cells, f"{np.abs(figures.scores - of_eager.scores).max():.1e}")
    console.print(table)
    console.print(time_trunk(sizes, repeats, seed))


def sample_of(
    data: Path, cub: CubDataset | None, validation: Path | None, images: int, seed: int
) -> Sample:
    """Draw the files to measure on, and others to calibrate on.

    Raises:
        UsageError: there are too few images for both.
        DataError: the folder or the list cannot be read.
    """
    random = np.random.default_rng(seed)
    if cub:
        listed = cub.validation(validation)
        paths = [cub.paths[row] for row in random.permutation(np.flatnonzero(listed))]
        rows = random.permutation(np.flatnonzero(~listed))[:CALIBRATION].tolist()
        calibration = [cropped(cub, row) for row in rows]
    else:
        found = [data / each.path for each in Scan(data) if isinstance(each, Candidate)]
        paths = [found[i] for i in random.permutation(len(found))]
        calibration = [Picture(path) for path in paths[images : images + CALIBRATION]]
    if not paths or not calibration:
        raise UsageError(
            f"{len(paths):,} images to measure on and {len(calibration):,} others to calibrate on "
            "are too few"
        )
    candidates = [
        Candidate(path.relative_to(data).as_posix(), status.st_size, status.st_mtime_ns)
        for path in paths[:images]
        for status in (path.stat(),)
    ]
    return Sample(data, candidates, calibration)


def read_pictures(sample: Sample, size: int, repeats: int) -> tuple[Table, Pixels]:
    """Time decoding and resizing, apart; return the table and the pixels (M, size, size, 3)."""
    contents = [(sample.root / each.path).read_bytes() for each in sample.candidates]
    images = [load_rgb(content, at_least=size) for content in contents]
    table = figures_table("Reading, images/s", ["stage", "one core", "all cores"])
    for stage, function, items in (
        ("decode", lambda content: load_rgb(content, at_least=size), contents),
        ("resize", lambda image: to_pixels(image, size), images),
    ):
        one = rate(lambda f=function, i=items: list(map(f, i)), len(items), repeats)
        every = rate(lambda f=function, i=items: list(ahead(f, i)), len(items), repeats)
        table.add_row(stage, f"{one:,.0f}", f"{every:,.0f}")
    return table, np.stack([to_pixels(image, size) for image in images])


def rate(work: Callable[[], object], images: int, repeats: int) -> float:
    """Return images a second, by the median time of `repeats` runs after one to warm up."""
    work()
    seconds = []
    for _ in range(repeats):
        start = perf_counter()
        work()
        seconds.append(perf_counter() - start)
    return images / float(np.median(seconds))


def time_runtime(runtime: Runtime, sample: Sample, pixels: Pixels, repeats: int) -> Figures:
    """Time a runtime on pixels in memory, and from files on as `indexer.building` does it."""

    def network() -> Floats:
        batches = (pixels[i : i + BATCH] for i in range(0, len(pixels), BATCH))
        return np.concatenate([runtime.embed(batch).scores for batch in batches])

    def all_of_it() -> None:
        size = runtime.model.input_size
        with closing(read_all(sample.root, sample.candidates, size, lambda _: True)) as contents:
            while batch := list(islice(contents, BATCH)):
                runtime.embed(np.stack([each.picture.pixels for each in batch if each.picture]))

    return Figures(
        network=rate(network, len(pixels), repeats),
        all_of_it=rate(all_of_it, len(pixels), repeats),
        scores=network(),
    )


def time_trunk(sizes: Sequence[int], repeats: int, seed: int) -> Table:
    """Time VGG16's trunk, a picture at a time, as ncnn takes them; pictures are noise."""
    headings = ["runtime", *(f"{size} px" for size in sizes)]
    headings += [f"off by at {size} px" for size in sizes]
    table = figures_table("VGG16's trunk, random weights, images/s", headings)
    random = np.random.default_rng(seed)
    pictures = [random.integers(0, 256, (1, size, size, 3), dtype=np.uint8) for size in sizes]
    trunk = Vgg16(seed)
    reference: list[Floats] = []
    for name, make in TRUNK_RUNTIMES.items():
        rates, maps = [], []
        try:
            for size, pixels in zip(sizes, pictures, strict=True):
                with tempfile.TemporaryDirectory() as folder:
                    run = make(trunk, size, Path(folder))
                    rates.append(rate(lambda: run(pixels), 1, repeats))  # noqa: B023
                    maps.append(run(pixels))
        except Exception as error:  # as above; ncnn is not installed with FineTag
            table.add_row(name, _reason(error))
            continue
        reference = reference or maps
        off = [
            float(np.abs(own - other).max() / np.abs(other).max())
            for own, other in zip(maps, reference, strict=True)
        ]
        table.add_row(name, *(f"{x:.2f}" for x in rates), *(f"{x:.1e}" for x in off))
    return table


def processor() -> str:
    """Return the model of the CPU, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _reason(error: Exception) -> str:
    return f"cannot run: {type(error).__name__}: {' '.join(str(error).split())[:60]}"


if __name__ == "__main__":
    main()
