"""`finetag-eval`: how well a checkpoint ranks the attributes of CUB-200-2011 photographs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
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
from finetag_model.errors import DataError

BATCH = 16


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
    from finetag_model.metrics import evaluate, evaluate_groups  # noqa: PLC0415
    from finetag_model.pictures import Picture, cropped  # noqa: PLC0415

    cub = read_cub(data)
    embedder = load_embedder(model, runtime)
    if embedder.model.vocabulary != cub.vocabulary:
        raise DataError(f"{data} and the model {embedder.model.name} differ in their attributes")
    rows = np.flatnonzero(cub.validation(validation))
    presence = cub.presence[rows]
    unknown = np.isnan(presence).any(axis=1)
    if unknown.any():
        raise DataError(
            f"{unknown.sum():,} of the {len(rows):,} images have unknown labels; "
            "list fully labelled ones with --validation"
        )
    pictures = [Picture(cub.paths[row]) if whole else cropped(cub, row) for row in rows.tolist()]
    size = embedder.model.input_size
    scores = np.concatenate(
        [
            embedder.embed(np.stack([picture.pixels(size) for picture in batch])).scores
            for batch in (pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH))
        ]
    )
    overall = evaluate(scores, presence)
    groups = evaluate_groups(scores, presence, cub.vocabulary)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "model": embedder.model.name,
                    "images": len(rows),
                    "all": asdict(overall),
                    "groups": {group: asdict(metrics) for group, metrics in groups.items()},
                }
            )
        )
        return
    table = Table(title=f"{embedder.model.name} on {len(rows):,} images", title_justify="left")
    for heading in ("attributes", "W_MAP", "AVGPREC", "macro mAP"):
        table.add_column(heading, justify="left" if heading == "attributes" else "right")
    for label, metrics in [("all", overall), *groups.items()]:
        table.add_row(label, *(f"{value:.3f}" for value in asdict(metrics).values()))
    Console().print(table)
