"""`finetag-train`: annotated pictures in, one checkpoint out."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import click

from finetag_model.config import Head, Pretrained
from finetag_model.config_file import config_option
from finetag_model.console import Command, data_option, validation_option
from finetag_model.errors import UsageError


@click.command(cls=Command)
@config_option
@data_option
@click.option(
    "--annotated",
    type=click.Path(path_type=Path),
    multiple=True,
    help="CSV or Parquet of image,group,value beside images to train on; may be repeated. "
    "Without --data the vocabulary is what these files name.",
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
    help="Safetensors of the torchvision model; by default torchvision downloads its own.",
)
@click.option(
    "--pretrained",
    type=click.Choice(get_args(Pretrained)),
    default="convolutions",
    show_default=True,
    help="What to take from it: the trunk, or VGG16's fully connected layers, too.",
)
@click.option(
    "--head",
    type=click.Choice(get_args(Head)),
    default="bilinear",
    show_default=True,
    help="FineTag's bilinear pooling, or the fully connected layers of VGG16+rank.",
)
@click.option(
    "--hidden",
    type=click.IntRange(min=1),
    default=4096,
    show_default=True,
    help="With --head rank: outputs of each of the fully connected layers.",
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
    "--trunk-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=7e-4,
    show_default=True,
    help="With --thaw: highest learning rate of the trunk.",
)
@click.option(
    "--descriptor-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=1e-3,
    show_default=True,
    help="Highest learning rate of the 1x1 convolution or the fully connected layers.",
)
@click.option(
    "--classify-rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Highest learning rate of the last layer.  [default: 0.01, with --thaw 0.003]",
)
@click.option(
    "--dropout",
    type=click.FloatRange(0, 1, max_open=True),
    help="Share of the descriptor left out.  [default: 0.3, with --thaw 0.2]",
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
    data: Path | None,
    annotated: tuple[Path, ...],
    validation: Path | None,
    reference: Path | None,
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
    mixed_precision: bool,
    visual_dim: int,
    seed: int,
    name: str,
    output: Path,
) -> None:
    """Train FineTag, or the paper's rival, on a pretrained trunk and write the checkpoint.

    A tenth of the training images is held out to calibrate the scores. `finetag-eval` measures
    the result on images that neither saw.
    """
    # torch takes seconds to import; --help should not.
    from finetag_model import recipe  # noqa: PLC0415
    from finetag_model.annotations import read_vocabulary  # noqa: PLC0415
    from finetag_model.checkpoint import Checkpoint, write_checkpoint  # noqa: PLC0415
    from finetag_model.config import NORMALISATIONS, FineTagConfig  # noqa: PLC0415
    from finetag_model.cub import read_cub, read_full_labels  # noqa: PLC0415
    from finetag_model.pretrained import pretrained_network  # noqa: PLC0415
    from finetag_model.training import Stage  # noqa: PLC0415

    if not data and (validation or reference):
        raise UsageError("--validation and --reference are about --data, which is not given")
    if not data and not annotated:
        raise UsageError("nothing to train on; name --data, --annotated, or both")
    started = time.monotonic()

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - started:7.1f} s  {line}", err=True)

    photographs = []
    if data:
        cub = read_cub(data)
        vocabulary = cub.vocabulary
        full_labels = read_full_labels(reference, len(vocabulary)) if reference else None
        photographs = [recipe.photographs(cub, cub.validation(validation), full_labels)]
    else:
        vocabulary = read_vocabulary(annotated)
    folders = recipe.annotated(annotated, vocabulary)
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
    stages = [fixed_trunk]
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
                mixed_precision=mixed_precision,
            )
        )
    settings = recipe.Recipe(stages, visual_dim=visual_dim, seed=seed)
    calibration, projection = recipe.train(network, photographs + folders, settings, say)
    notes: dict[str, Any] = {
        "photographs": sum(len(source.pictures) for source in photographs),
        "annotated": sum(len(source.pictures) for source in folders),
        "pretrained": pretrained,
        "trunk_weights": trunk_weights.name if trunk_weights else "torchvision",
        "recipe": asdict(settings),
    }
    weights = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    write_checkpoint(
        Checkpoint(name, config, vocabulary, weights, calibration, projection, notes), output
    )
    say("done")
    click.echo(f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB)")
