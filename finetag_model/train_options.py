"""The options of `finetag-train`, in the order in which --help lists them: data, network, training.

What they do is in `cli_train` and the modules it calls.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource

from finetag_model.config import Head, Pretrained
from finetag_model.config_file import config_option
from finetag_model.console import data_option, validation_option
from finetag_model.errors import UsageError
from finetag_model.labels import Unknown

_OPTIONS = (
    config_option,
    data_option,
    click.option(
        "--annotated",
        type=click.Path(path_type=Path),
        multiple=True,
        help="CSV or Parquet of image,group,value beside images to train on; may be repeated. "
        "Without --data the vocabulary is what these files name.",
    ),
    validation_option,
    click.option(
        "--reference",
        type=click.Path(path_type=Path),
        help="Full labels of other images, in the format of image_attribute_labels.txt.",
    ),
    click.option(
        "--unknown",
        type=click.Choice(get_args(Unknown)),
        help="What unknown labels of --data are: of no part, absent, or present with a probability "
        "learned from --reference.  [default: ignored, with --reference conditional]",
    ),
    click.option(
        "--certainty",
        is_flag=True,
        help="Labels of --data count by how certain their annotator was.",
    ),
    click.option(
        "--species-share",
        type=click.FloatRange(0, 1),
        default=0.0,
        show_default=True,
        help="Share of each label of --data that is its mean over the species.",
    ),
    click.option(
        "--start-from",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="Go on from this FineTag checkpoint, whatever its vocabulary, not from ImageNet; "
        "repeated, from the mean of their weights.",
    ),
    click.option(
        "--trunk", default="mobilenet_v2", show_default=True, help="mobilenet_v2 or vgg16."
    ),
    click.option(
        "--trunk-weights",
        type=click.Path(path_type=Path),
        help="Safetensors of the torchvision model; by default torchvision downloads its own.",
    ),
    click.option(
        "--pretrained",
        type=click.Choice(get_args(Pretrained)),
        default="convolutions",
        show_default=True,
        help="What to take from it: the trunk, or VGG16's fully connected layers, too.",
    ),
    click.option(
        "--head",
        type=click.Choice(get_args(Head)),
        default="bilinear",
        show_default=True,
        help="FineTag's bilinear pooling, or the fully connected layers of VGG16+rank.",
    ),
    click.option(
        "--hidden",
        type=click.IntRange(min=1),
        default=4096,
        show_default=True,
        help="With --head rank: outputs of each of the fully connected layers.",
    ),
    click.option(
        "--input-size",
        type=click.IntRange(min=64),
        default=224,
        show_default=True,
        help="In pixels.",
    ),
    click.option(
        "--normalise",
        type=click.Choice(["imagenet", "unit"]),
        default="imagenet",
        show_default=True,
        help="What the trunk expects: ImageNet mean and deviation, or -1 to 1.",
    ),
    click.option(
        "--head-epochs",
        type=click.IntRange(min=0),
        default=4,
        show_default=True,
        help="Trunk fixed.",
    ),
    click.option(
        "--thaw",
        type=click.IntRange(min=0),
        help="Then train the trunk's layers from this one on, too.  [default: it stays fixed]",
    ),
    click.option(
        "--epochs",
        type=click.IntRange(min=1),
        default=20,
        show_default=True,
        help="With --thaw; an epoch takes equally many pictures of each source.",
    ),
    click.option(
        "--trunk-rate",
        type=click.FloatRange(min=0, min_open=True),
        default=7e-4,
        show_default=True,
        help="With --thaw: highest learning rate of the trunk.",
    ),
    click.option(
        "--descriptor-rate",
        type=click.FloatRange(min=0, min_open=True),
        default=1e-3,
        show_default=True,
        help="Highest learning rate of the 1x1 convolution or the fully connected layers.",
    ),
    click.option(
        "--classify-rate",
        type=click.FloatRange(min=0, min_open=True),
        help="Highest learning rate of the last layer.  [default: 0.01, with --thaw 0.003]",
    ),
    click.option(
        "--dropout",
        type=click.FloatRange(0, 1, max_open=True),
        help="Share of the descriptor left out.  [default: 0.3, with --thaw 0.2]",
    ),
    click.option(
        "--presence-weight",
        type=click.FloatRange(min=0),
        default=0.1,
        show_default=True,
        help="Of the cross-entropy beside the paper's ranking loss; 0 is the paper.",
    ),
    click.option(
        "--shift",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="With --thaw: move the maps below by up to so many cells, as if the bird stood there.",
    ),
    click.option(
        "--crop",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        show_default=True,
        help="With --thaw 0: smallest share of a picture's sides that is cut out, at random.",
    ),
    click.option(
        "--ema",
        type=click.FloatRange(0, 1, max_open=True),
        default=0.0,
        show_default=True,
        help="With --thaw: decay of a running average of the weights, which is what is kept.",
    ),
    click.option(
        "--mixed-precision",
        is_flag=True,
        help="With --thaw: compute in bfloat16; twice as fast where there are instructions for it, "
        "far slower on a CPU without.",
    ),
    click.option(
        "--visual-dim",
        type=click.IntRange(min=1),
        help="Length of the visual vectors.  [default: 256, at most as many as pictures]",
    ),
    click.option("--seed", type=int, default=0, show_default=True),
    click.option("--name", default="finetag", show_default=True, help="Stored in the checkpoint."),
    click.option(
        "--run",
        "run_path",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Keep options, metrics, curves and state there; run again, a training that was killed "
        "goes on where it was.  [default: nothing is kept]",
    ),
    click.option(
        "--output",
        type=click.Path(path_type=Path),
        required=True,
        help="The .safetensors to write.",
    ),
)

_OF_DATA = {"validation", "reference", "unknown", "certainty", "species_share"}
_OF_A_CHECKPOINT = {
    "trunk",
    "trunk_weights",
    "pretrained",
    "head",
    "hidden",
    "input_size",
    "normalise",
}


def train_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_options(context: click.Context) -> None:
    """Refuse options that contradict each other, or that others leave nothing to say about.

    Raises:
        UsageError: there are some.
    """
    given = {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if parameter.name
        and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT
    }
    values = context.params
    if not values["data"]:
        if not values["annotated"]:
            raise UsageError("nothing to train on; name --data, --annotated, or both")
        for name in _OF_DATA & given.keys():
            raise UsageError(f"{given[name]} is about --data, which is not given")
    if values["start_from"]:
        for name in _OF_A_CHECKPOINT & given.keys():
            raise UsageError(f"{given[name]} is decided by the checkpoint of --start-from")
    if values["unknown"] == "conditional" and not values["reference"]:
        raise UsageError("--unknown conditional learns from full labels; add --reference FILE")
    if values["crop"] < 1 and values["thaw"] != 0:
        raise UsageError("--crop cuts pictures, and only with --thaw 0 does a training see them")
    if values["head_epochs"] == 0 and values["thaw"] is None:
        raise UsageError("with --head-epochs 0 nothing is trained; name a layer with --thaw")


def deciding_options(context: click.Context) -> dict[str, Any]:
    """Return the options that decide the result, by name, as `--config` takes them."""
    left_out = {"run_path", "output"}
    if not context.params["data"]:
        left_out |= _OF_DATA
    if context.params["start_from"]:
        left_out |= _OF_A_CHECKPOINT
    return {
        parameter.opts[0].removeprefix("--"): _plain(context.params[parameter.name])
        for parameter in context.command.params
        if parameter.name in context.params and parameter.name not in left_out
    }


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return str(value) if isinstance(value, Path) else value
