"""`finetag-eval`: how well a checkpoint ranks the attributes of CUB-200-2011 photographs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from finetag_model.console import (
    Command,
    data_option,
    model_option,
    runtime_option,
    validation_option,
)
from finetag_model.embedder import Runtime, load_embedder


@click.command(cls=Command)
@data_option
@validation_option
@model_option
@runtime_option
@click.option(
    "--whole", is_flag=True, help="Show the network whole photographs, not the bird's box."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(
    data: Path,
    validation: Path | None,
    model: Path | None,
    runtime: Runtime,
    whole: bool,
    as_json: bool,
) -> None:
    """Measure W_MAP, AVGPREC and macro mAP, over all attributes and by group.

    All labels of the measured images must be known; the metrics mean nothing otherwise.
    """
    # scikit-learn and torch take seconds to import; --help should not.
    from finetag_model.cub import read_cub  # noqa: PLC0415
    from finetag_model.evaluation import measure  # noqa: PLC0415

    cub = read_cub(data)
    embedder = load_embedder(model, runtime)
    measured = measure(embedder, cub, validation, whole=whole)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "model": embedder.model.name,
                    "images": measured.images,
                    "all": asdict(measured.overall),
                    "groups": {
                        group: asdict(metrics) for group, metrics in measured.groups.items()
                    },
                }
            )
        )
        return
    table = Table(
        title=f"{embedder.model.name} on {measured.images:,} images", title_justify="left"
    )
    for heading in ("attributes", "W_MAP", "AVGPREC", "macro mAP"):
        table.add_column(heading, justify="left" if heading == "attributes" else "right")
    for label, metrics in [("all", measured.overall), *measured.groups.items()]:
        table.add_row(label, *(f"{value:.3f}" for value in asdict(metrics).values()))
    Console().print(table)
