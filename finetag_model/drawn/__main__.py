"""`python -m finetag_model.drawn OUT`: draw birds or bags; the work is in `catalogue`."""

from __future__ import annotations

from pathlib import Path

import click

from finetag_model.console import Command
from finetag_model.drawn.catalogue import SUBJECTS, write_catalogue


@click.command(cls=Command)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--count", default=100, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--subject", type=click.Choice(list(SUBJECTS)), default="bird", show_default=True)
def main(out: Path, count: int, seed: int, subject: str) -> None:
    """Draw COUNT birds or bags into the folder OUT, with their attributes in attributes.csv."""
    table = write_catalogue(out, count, seed, subject)
    click.echo(f"drew {count} {subject}s into {out}; their attributes are in {table.name}")


if __name__ == "__main__":
    main(prog_name="python -m finetag_model.drawn")
