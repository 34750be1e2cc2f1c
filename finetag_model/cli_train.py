"""`finetag-train`: annotated pictures in, one checkpoint out."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from finetag_model.config import Head, Pretrained
from finetag_model.console import Command
from finetag_model.labels import Unknown
from finetag_model.train_options import (
    check_options,
    deciding_options,
    train_options,
)


@click.command(cls=Command)
@train_options
def main(
    data: Path | None,
    annotated: tuple[Path, ...],
    validation: Path | None,
    reference: Path | None,
    unknown: Unknown | None,
    certainty: bool,
    species_share: float,
    start_from: tuple[Path, ...],
    trunk: str,
    trunk_weights: Path | None,
    pretrained: Pretrained,
    head: Head,
    hidden: int,
    input_size: int,
    normalise: str,
    head_epochs: int,
    thaw: int | None,
    epochs: int,
    trunk_rate: float,
    descriptor_rate: float,
    classify_rate: float | None,
    dropout: float | None,
    presence_weight: float,
    shift: int,
    crop: float,
    ema: float,
    mixed_precision: bool,
    visual_dim: int | None,
    seed: int,
    name: str,
    run_path: Path | None,
    output: Path,
) -> None:
    """Train FineTag, or the paper's rival, on a pretrained trunk and write the checkpoint.

    A tenth of the training images is held out to calibrate the scores. `finetag-eval` measures
    the result on images that neither saw.
    """
    # torch takes seconds to import; --help should not.
    from finetag_model import recipe  # noqa: PLC0415
    from finetag_model.annotations import read_vocabulary  # noqa: PLC0415
    from finetag_model.checkpoint import (  # noqa: PLC0415
        Checkpoint,
        write_checkpoint,
    )
    from finetag_model.config import NORMALISATIONS, FineTagConfig  # noqa: PLC0415
    from finetag_model.cub import read_cub, read_full_labels  # noqa: PLC0415
    from finetag_model.pretrained import (  # noqa: PLC0415
        continued_network,
        pretrained_network,
        read_averaged,
    )
    from finetag_model.run_folder import opened_run  # noqa: PLC0415
    from finetag_model.training import Stage  # noqa: PLC0415

    context = click.get_current_context()
    check_options(context)
    started = time.monotonic()

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - started:7.1f} s  {line}", err=True)

    photographs = []
    unknown = unknown or ("conditional" if reference else "ignored")
    if data:
        cub = read_cub(data)
        vocabulary = cub.vocabulary
        full_labels = read_full_labels(reference, len(vocabulary)) if reference else None
        policy = recipe.LabelPolicy(unknown, full_labels, certainty, species_share)
        photographs = [recipe.photographs(cub, cub.validation(validation), policy)]
    else:
        vocabulary = read_vocabulary(annotated)
    folders = recipe.annotated(annotated, vocabulary)
    if start_from:
        network = continued_network(read_averaged(start_from), vocabulary, seed)
    else:
        mean, std = NORMALISATIONS[normalise]
        config = FineTagConfig(
            attributes=len(vocabulary),
            trunk=trunk,
            input_size=input_size,
            mean=mean,
            std=std,
            head=head,
            hidden=hidden,
        )
        network = pretrained_network(config, trunk_weights, pretrained, seed)
    fixed_trunk = Stage(
        layer=len(network.trunk),
        epochs=head_epochs,
        trunk_rate=trunk_rate,
        descriptor_rate=descriptor_rate,
        classify_rate=1e-2 if classify_rate is None else classify_rate,
        dropout=0.3 if dropout is None else dropout,
        presence_weight=presence_weight,
    )
    stages = [fixed_trunk] if head_epochs else []
    if thaw is not None:
        stages.append(
            replace(
                fixed_trunk,
                layer=thaw,
                epochs=epochs,
                classify_rate=3e-3 if classify_rate is None else classify_rate,
                dropout=0.2 if dropout is None else dropout,
                batch=32,
                shift=shift,
                crop=crop,
                ema=ema,
                mixed_precision=mixed_precision,
            )
        )
    settings = recipe.Recipe(stages, visual_dim=visual_dim, seed=seed, continued=bool(start_from))
    with opened_run(run_path, deciding_options(context)) as run:
        calibration, projection = recipe.train(network, photographs + folders, settings, run, say)
    notes: dict[str, Any] = {
        "photographs": sum(len(source.pictures) for source in photographs),
        "annotated": sum(len(source.pictures) for source in folders),
        "unknown": unknown,
        "certainty": certainty,
        "species_share": species_share,
        "recipe": asdict(settings),
    }
    if start_from:
        notes["start_from"] = [path.name for path in start_from]
    else:
        notes["pretrained"] = pretrained
        notes["trunk_weights"] = trunk_weights.name if trunk_weights else "torchvision"
    weights = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    write_checkpoint(
        Checkpoint(name, network.config, vocabulary, weights, calibration, projection, notes),
        output,
    )
    say("done")
    click.echo(f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB)")
