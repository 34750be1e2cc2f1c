"""How alike lookalikes are: Recall@K and MAP@R by species, for each vector one could search by.

    python benchmarks/lookalikes.py --data CUB_200_2011 --list measured.txt
    finetag-train --data CUB_200_2011 --validation measured.txt --output half.safetensors
    python benchmarks/lookalikes.py --data CUB_200_2011 --model half.safetensors

The species are split into halves. PCAs are fitted on photographs of one half and everything is
measured on those of the other, so that no PCA has seen a species it is measured on. Nor has a
network trained as above. The shipped one has, which makes its figures too good. The halves
depend on the data and --seed alone, not on --images or --model.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.preprocessing import normalize
from torch.nn import functional as F

from finetag_model.checkpoint import Checkpoint, read_checkpoint
from finetag_model.console import Command, data_option, model_option, progress_console
from finetag_model.cub import read_cub
from finetag_model.errors import UsageError
from finetag_model.inference import load_network
from finetag_model.pictures import Picture, cropped
from finetag_model.projection import fit_projection
from finetag_model.retrieval_metrics import evaluate_retrieval

Array = NDArray[np.float32]
BATCH = 16
KS = (1, 2, 4, 8)
DIMS = (64, 128, 256, 512, 1024)
"""Lengths of the PCAs; those that the images to fit on are too few for are left out."""
WHITENING = (0.0, 0.5)
"""Powers of a component's deviation that it is divided by; 0 is the PCA itself."""


@click.command(cls=Command)
@data_option
@model_option
@click.option("--images", type=click.IntRange(min=1), help="Take so many at random; all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of halves and images.")
@click.option(
    "--list",
    "measured_ids",
    type=click.Path(path_type=Path),
    help="Only write the ids of the photographs of the measured half there.",
)
def main(
    data: Path, model: Path | None, images: int | None, seed: int, measured_ids: Path | None
) -> None:
    """Measure the visual vector at several lengths, the raw feature and the attributes."""
    cub = read_cub(data)
    if measured_ids:
        ids = cub.image_ids[~np.isin(cub.class_ids, first_half(cub.class_ids, seed))]
        measured_ids.write_text("".join(f"{image}\n" for image in ids.tolist()))
        click.echo(f"{measured_ids} lists {len(ids):,} photographs to leave out of a training")
        return
    checkpoint = read_checkpoint(model)
    rows = np.sort(np.random.default_rng(seed).permutation(len(cub))[:images])
    classes = cub.class_ids[rows]
    fit_on = np.isin(classes, first_half(cub.class_ids, seed))
    measured = classes[~fit_on]
    if not fit_on.any() or len(np.unique(measured)) == len(measured):
        raise UsageError(
            f"{len(rows)} images are too few: one half of the species needs some, "
            "the other two of one species"
        )
    bilinear, logits = features(checkpoint, [cropped(cub, row) for row in rows.tolist()])
    table = Table(title_justify="left", caption_justify="left")
    table.caption = "Too good where the network was trained on these species, as the shipped was."
    table.add_column("vector")
    for heading in ("length", *(f"R@{k}" for k in KS), "MAP@R"):
        table.add_column(heading, justify="right")
    for name, vectors in candidates(checkpoint, bilinear, logits, fit_on):
        metrics = evaluate_retrieval(normalize(vectors), measured, KS)
        figures = (*metrics.recall.values(), metrics.map_at_r)
        table.add_row(name, str(vectors.shape[1]), *(f"{figure:.3f}" for figure in figures))
    table.title = (
        f"{checkpoint.name}: {metrics.queries:,} queries among {len(measured):,} photographs of "
        f"{len(np.unique(measured))} species; PCA fitted on {fit_on.sum():,} of others"
    )
    Console().print(table)


def first_half(class_ids: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the half of the classes that PCAs are fitted on, drawn with the seed."""
    each = np.unique(class_ids)
    return np.random.default_rng(seed).permutation(each)[: len(each) // 2]


def features(checkpoint: Checkpoint, pictures: list[Picture]) -> tuple[Array, Array]:
    """Return the descriptors (M, F), bilinear in FineTag, and the logits (M, N) of pictures."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = load_network(checkpoint).to(device)
    size = checkpoint.config.input_size
    bilinear, logits = [], []
    starts = range(0, len(pictures), BATCH)
    with torch.inference_mode():
        for start in track(starts, "Looking", console=progress_console(), transient=True):
            batch = pictures[start : start + BATCH]
            pixels = torch.from_numpy(np.stack([picture.pixels(size) for picture in batch]))
            x = network.descriptor(network.features(pixels.to(device)))
            bilinear.append(F.normalize(x).cpu().numpy())
            logits.append(network.classify(x).cpu().numpy())
    return np.concatenate(bilinear), np.concatenate(logits)


def candidates(
    checkpoint: Checkpoint, bilinear: Array, logits: Array, fit_on: NDArray[np.bool_]
) -> Iterator[tuple[str, NDArray[np.floating]]]:
    """Yield names and vectors to search by, those of the rows not in `fit_on`."""
    measured = ~fit_on
    yield "bilinear feature", bilinear[measured]
    own = checkpoint.projection
    yield "the model's own PCA", (bilinear[measured] - own.mean) @ own.components.T
    dims = [dim for dim in DIMS if dim <= fit_on.sum()]
    for power in WHITENING if dims else ():
        # One PCA has all the shorter ones in its first components.
        pca = fit_projection(bilinear[fit_on], max(dims), whitening=power)
        projected = (bilinear[measured] - pca.mean) @ pca.components.T
        for dim in dims:
            yield f"PCA, whitening {power:g}", projected[:, :dim]
    yield "attribute scores", checkpoint.calibration.probabilities(logits[measured])
    yield "attribute logits", logits[measured]


if __name__ == "__main__":
    main()
