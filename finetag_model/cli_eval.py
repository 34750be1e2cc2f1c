"""`finetag-eval`: how well a checkpoint knows the attributes of annotated pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
from finetag_model.errors import UsageError


@click.command(cls=Command)
@data_option
@click.option(
    "--annotated",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Instead of --data: CSV or Parquet of image,group,value beside the images.",
)
@validation_option
@model_option
@runtime_option
@click.option(
    "--whole",
    is_flag=True,
    help="With --data: show the network whole photographs, not the bird's box.",
)
@click.option(
    "--reliability",
    "diagram",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Draw how often what has a probability is so; needs the extra `plots`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(
    data: Path | None,
    annotated: Path | None,
    validation: Path | None,
    model: Path | None,
    runtime: Runtime,
    whole: bool,
    diagram: Path | None,
    as_json: bool,
) -> None:
    """Measure rankings, probabilities and yes-or-no decisions against labels that are known.

    Rankings by W_MAP, AVGPREC and macro mAP, over all attributes and by group; probabilities by
    their calibration error (ECE) and Brier score, before and after calibration; decisions by F1,
    at the model's thresholds and at 0.5.
    """
    # scikit-learn and torch take seconds to import; --help should not.
    from finetag_model.checkpoint import read_checkpoint  # noqa: PLC0415
    from finetag_model.cub import read_cub  # noqa: PLC0415
    from finetag_model.evaluation import measure, measure_annotated  # noqa: PLC0415
    from finetag_model.metrics import evaluate_decisions  # noqa: PLC0415
    from finetag_model.reliability import calibration_error, reliability  # noqa: PLC0415

    if annotated and (data or validation or whole):
        raise UsageError(
            "--annotated stands alone; --data, --validation and --whole do not go with it"
        )
    if diagram:  # what cannot be drawn is said before the work
        if diagram.suffix.lower() != ".png":
            raise UsageError(f"the diagram is a PNG, but {diagram} does not end in .png")
        from finetag_model.plots import draw_reliability  # noqa: PLC0415
    if annotated:
        embedder = load_embedder(model, runtime)
        measured = measure_annotated(embedder, annotated)
    elif data:
        cub = read_cub(data)
        embedder = load_embedder(model, runtime)
        measured = measure(embedder, cub, validation, whole=whole)
    else:
        raise UsageError("nothing to measure on; name --data or --annotated")
    name = embedder.model.name
    scores, presence = measured.scores, measured.presence
    calibration = read_checkpoint(model).calibration
    raw = calibration.undone(scores)
    # Where it cannot be undone, or no label is known, there is nothing to compare.
    known = ~np.isnan(raw).any(axis=0) & ~np.isnan(presence).all(axis=0)
    stages = {"before": raw[:, known], "after": scores[:, known]} if known.any() else {}
    report = {
        "model": name,
        "images": len(scores),
        "known": 1 - float(np.isnan(presence).mean()),
        "all": asdict(measured.overall),
        "groups": {group: asdict(metrics) for group, metrics in measured.groups.items()},
        "calibration": {
            "attributes": int(known.sum()),
            **{
                stage: asdict(calibration_error(probabilities, presence[:, known]))
                for stage, probabilities in stages.items()
            },
        },
        "f1": {
            "default": asdict(evaluate_decisions(scores, presence, calibration.thresholds)),
            "0.5": asdict(evaluate_decisions(scores, presence, 0.5)),
        },
    }
    if as_json:
        click.echo(json.dumps(report))
    else:
        for table in _tables(report):
            Console().print(table)
    if diagram:
        diagrams = {
            f"{stage} calibration": reliability(probabilities, presence[:, known])
            for stage, probabilities in stages.items()
        }
        draw_reliability(diagrams, f"{name} on {len(scores):,} images", diagram)


def _tables(report: Mapping[str, Any]) -> Iterator[Table]:
    known = f", {report['known']:.0%} of their labels known" if report["known"] < 1 else ""
    yield _table(
        f"{report['model']} on {report['images']:,} images{known}",
        ("attributes", "W_MAP", "AVGPREC", "macro mAP"),
        {"all": report["all"], **report["groups"]},
    )
    calibration = dict(report["calibration"])
    yield _table(
        f"Probabilities of {calibration.pop('attributes')} attributes",
        ("calibration", "ECE", "macro ECE", "Brier"),
        calibration,
    )
    yield _table("Decisions", ("thresholds", "micro F1", "macro F1"), report["f1"])


def _table(title: str, headings: tuple[str, ...], rows: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == headings[0] else "right")
    for label, figures in rows.items():
        table.add_row(label, *(f"{value:.3f}" for value in figures.values()))
    return table
