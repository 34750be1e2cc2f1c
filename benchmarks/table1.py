"""Table 1 of the paper: train its three systems on CUB-200-2011 and measure them.

    python benchmarks/table1.py --data CUB_200_2011 --trunk-weights vgg16.safetensors

Each system is trained by `finetag-train --config table1/...` and measured as `finetag-eval` does,
on the official test images unless --validation lists others. All other options go to
`finetag-train` for all three systems, --trunk-weights and --epochs among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table
from tables import figures_table

from finetag_model.checkpoint import read_checkpoint
from finetag_model.cli_train import main as finetag_train
from finetag_model.config import FineTagConfig
from finetag_model.console import Command, data_option, validation_option
from finetag_model.cub import read_cub
from finetag_model.embedder import load_embedder
from finetag_model.evaluation import Measured, measure
from finetag_model.network import new_network

SYSTEMS = {
    "vgg16-rank-all": "VGG16+rank (all)",
    "vgg16-rank-conv": "VGG16+rank (conv)",
    "finetag-vgg16": "FineTag",
}
"""The shipped configurations and their names: in brackets, the layers taken from ImageNet."""

PAPER = {"VGG16+rank": (0.50, 0.58), "FineTag": (0.52, 0.60)}
"""W_MAP and AVGPREC as printed in the paper."""


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
@data_option
@validation_option
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    default=Path("runs/table1"),
    show_default=True,
    help="Where the three checkpoints go.",
)
@click.argument("train_options", nargs=-1, type=click.UNPROCESSED)
def main(data: Path, validation: Path | None, output: Path, train_options: tuple[str, ...]) -> None:
    """Train the three systems of Table 1; print it, the parameters, and W_MAP by group.

    TRAIN_OPTIONS are any other options of finetag-train, such as --trunk-weights and --epochs.
    """
    cub = read_cub(data)
    measured: dict[str, Measured] = {}
    configs: dict[str, FineTagConfig] = {}
    for config, system in SYSTEMS.items():
        click.echo(system, err=True)
        path = output / f"{config}.safetensors"
        arguments = ["--config", f"table1/{config}", "--data", str(data), "--output", str(path)]
        if validation is not None:
            arguments += ["--validation", str(validation)]
        finetag_train.main([*arguments, *train_options], standalone_mode=False)
        configs[system] = read_checkpoint(path).config
        measured[system] = measure(load_embedder(path), cub, validation)
    console = Console()
    for table in (table_1(measured), table_of_parameters(configs), table_of_groups(measured)):
        console.print(table)


def table_1(measured: Mapping[str, Measured]) -> Table:
    """Set what was measured beside what the paper prints."""
    images = len(next(iter(measured.values())).scores)
    table = figures_table(
        f"Table 1, on {images:,} images", ["system", "W_MAP", "AVGPREC", "macro mAP"]
    )
    for system, of_system in measured.items():
        table.add_row(system, *(f"{figure:.3f}" for figure in astuple(of_system.overall)))
    table.add_section()
    for system, figures in PAPER.items():
        table.add_row(f"{system}, as printed", *(f"{figure:.2f}" for figure in figures), "")
    return table


def table_of_parameters(configs: Mapping[str, FineTagConfig]) -> Table:
    """Count the parameters, and how many times FineTag's they are."""
    table = figures_table(
        "Parameters", ["system", "head", "of FineTag's", "network", "of FineTag's"]
    )
    finetag = parameters(configs["FineTag"])
    for system, config in configs.items():
        counts = parameters(config)
        cells = [
            cell
            for count, reference in zip(counts, finetag, strict=True)
            for cell in (f"{count:,}", f"{count / reference:.1f}x")
        ]
        table.add_row(system, *cells)
    return table


def table_of_groups(measured: Mapping[str, Measured]) -> Table:
    """Set W_MAP of the systems side by side, a row for each attribute group."""
    table = figures_table("W_MAP by attribute group", ["group", *measured])
    for group in measured["FineTag"].groups:
        figures = (of_system.groups[group].w_map for of_system in measured.values())
        table.add_row(group, *(f"{figure:.3f}" for figure in figures))
    return table


def parameters(config: FineTagConfig) -> tuple[int, int]:
    """Return how many parameters a network has in its head and in all."""
    with torch.device("meta"):  # shapes without memory
        network = new_network(config)
    whole, trunk, narrow = (
        sum(parameter.numel() for parameter in part.parameters())
        for part in (network, network.trunk, network.narrow)
    )
    return whole - trunk - narrow, whole


if __name__ == "__main__":
    main()
