"""`finetag-explain`: a picture under the heat of where an attribute's score comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from finetag_model.console import Command, model_option, version_option
from finetag_model.errors import UsageError
from finetag_model.files import plain_write_errors, replacing

if TYPE_CHECKING:
    from PIL import Image


@click.command(cls=Command)
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "--attr",
    "attributes",
    metavar="GROUP=VALUE",
    multiple=True,
    required=True,
    help="The attribute to explain; repeat it for several, side by side in one picture.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="The PNG to write.",
)
@model_option
@version_option
def main(image: Path, attributes: tuple[str, ...], output: Path, model: Path | None) -> None:
    """Show where in IMAGE the score of an attribute comes from, and print its probability.

    The brighter the heat, the more a place speaks for the attribute. The scale is each map's
    own, so read the probability first: something absent may have a hottest place too.
    """
    # torch takes seconds to import; --help should not.
    from finetag_model.checkpoint import read_checkpoint  # noqa: PLC0415
    from finetag_model.explain import Explainer  # noqa: PLC0415
    from finetag_model.images import load_rgb  # noqa: PLC0415
    from finetag_model.overlay import overlay, side_by_side  # noqa: PLC0415

    if output.suffix.lower() != ".png":
        raise UsageError(f"{output} does not end in .png; only PNG is written")
    explainer = Explainer(read_checkpoint(model))
    picture = load_rgb(image)
    maps = explainer.explain(picture, attributes)
    _write(side_by_side([overlay(picture, heat) for heat in maps]), output)
    for heat in maps:
        click.echo(f"{heat.attribute}  {heat.probability:.2f}")
    click.echo(f"wrote {output}", err=True)


def _write(picture: Image.Image, path: Path) -> None:
    with plain_write_errors(path, "name another place with --output"), replacing(path) as partial:
        picture.save(partial, format="PNG")
