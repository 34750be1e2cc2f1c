"""`finetag-train`: annotated pictures in, one checkpoint out."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from finetag_model.console import Command, data_option, validation_option


@click.command(cls=Command)
@data_option
@click.option(
    "--annotated",
    type=click.Path(path_type=Path),
    multiple=True,
    help="CSV of image,group,value beside more images to train on; may be repeated.",
)
@validation_option
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Full labels of other images, in the format of image_attribute_labels.txt; "
    "with them unknown labels are estimated, without them they take no part.",
)
@click.option("--trunk", default="mobilenet_v2", show_default=True, help="mobilenet_v2 or vgg16.")
@click.option(
    "--trunk-weights",
    type=click.Path(path_type=Path),
    help="Safetensors of torchvision's `features.*`; by default torchvision downloads its own.",
)
@click.option(
    "--input-size", type=click.IntRange(min=64), default=224, show_default=True, help="In pixels."
)
@click.option(
    "--normalise",
    type=click.Choice(["imagenet", "unit"]),
    default="imagenet",
    show_default=True,
    help="What the trunk expects: ImageNet mean and deviation, or -1 to 1.",
)
@click.option(
    "--head-epochs", type=click.IntRange(min=1), default=4, show_default=True, help="Trunk fixed."
)
@click.option(
    "--thaw",
    type=click.IntRange(min=0),
    help="Then train the trunk's layers from this one on, too; by default the trunk stays fixed.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="With --thaw; an epoch takes equally many pictures of each source.",
)
@click.option(
    "--presence-weight",
    type=click.FloatRange(min=0),
    default=0.1,
    show_default=True,
    help="Of the cross-entropy beside the paper's ranking loss; 0 is the paper.",
)
@click.option(
    "--shift",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="With --thaw: move the maps below by up to so many cells, as if the subject stood there.",
)
@click.option(
    "--mixed-precision",
    is_flag=True,
    help="With --thaw: compute in bfloat16; twice as fast on a CPU that has instructions for it.",
)
@click.option("--visual-dim", type=click.IntRange(min=1), default=128, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--name", default="finetag", show_default=True, help="Stored in the checkpoint.")
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="The .safetensors to write."
)
def main(
    data: Path,
    annotated: tuple[Path, ...],
    validation: Path | None,
    reference: Path | None,
    trunk: str,
    trunk_weights: Path | None,
    input_size: int,
    normalise: str,
    head_epochs: int,
    thaw: int | None,
    epochs: int,
    presence_weight: float,
    shift: int,
    mixed_precision: bool,
    visual_dim: int,
    seed: int,
    name: str,
    output: Path,
) -> None:
    """Train FineTag on a pretrained trunk and write the checkpoint.

    A tenth of the training images is held out to calibrate the scores. `finetag-eval` measures
    the result on images that neither saw.
    """
    # torch takes seconds to import; --help should not.
    from finetag_model import recipe  # noqa: PLC0415
    from finetag_model.checkpoint import Checkpoint, write_checkpoint  # noqa: PLC0415
    from finetag_model.config import NORMALISATIONS, FineTagConfig  # noqa: PLC0415
    from finetag_model.cub import read_cub, read_full_labels  # noqa: PLC0415
    from finetag_model.network import FineTag  # noqa: PLC0415
    from finetag_model.training import Stage  # noqa: PLC0415
    from finetag_model.trunks import pretrained_trunk  # noqa: PLC0415

    started = time.monotonic()

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - started:7.1f} s  {line}", err=True)

    cub = read_cub(data)
    sources = [
        recipe.photographs(
            cub,
            leave_out=cub.validation(validation),
            reference=read_full_labels(reference, len(cub.vocabulary)) if reference else None,
        ),
        *(recipe.annotated(path, cub.vocabulary) for path in annotated),
    ]
    mean, std = NORMALISATIONS[normalise]
    config = FineTagConfig(
        attributes=len(cub.vocabulary), trunk=trunk, input_size=input_size, mean=mean, std=std
    )
    network = FineTag(config).eval()
    network.trunk = pretrained_trunk(trunk, trunk_weights)
    head = Stage(len(network.trunk), head_epochs, presence_weight=presence_weight)
    stages = [head]
    if thaw is not None:
        stages.append(
            replace(
                head,
                layer=thaw,
                epochs=epochs,
                classify_rate=3e-3,
                dropout=0.2,
                batch=32,
                shift=shift,
                mixed_precision=mixed_precision,
            )
        )
    settings = recipe.Recipe(stages, visual_dim=visual_dim, seed=seed)
    calibration, projection = recipe.train(network, sources, settings, say)
    notes: dict[str, Any] = {
        "photographs": len(sources[0].pictures),
        "annotated": sum(len(source.pictures) for source in sources[1:]),
        "trunk_weights": trunk_weights.name if trunk_weights else "torchvision",
        "recipe": asdict(settings),
    }
    weights = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    write_checkpoint(
        Checkpoint(name, config, cub.vocabulary, weights, calibration, projection, notes), output
    )
    say("done")
    click.echo(f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB)")
