"""What the commands share: errors as one line and an exit code, and the options they all have.

Not a place for output formats; each command keeps its own.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console

from finetag_model.embedder import Runtime
from finetag_model.errors import FineTagError

model_option = click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The checkpoint to embed with.  [default: the one shipped]",
)
runtime_option = click.option(
    "--runtime",
    type=click.Choice(get_args(Runtime)),
    default="auto",
    show_default=True,
    help="What runs the network: auto takes torch where there is a GPU, else onnx.",
)
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="CUB_200_2011/, or the folder around it.",
)
validation_option = click.option(
    "--validation",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Ids of the images to measure on, one a line; they are not trained on.  "
    "[default: the official test images]",
)

FINISHED_BUT_SKIPPED = 3  # what could be done was, and the rest is told
INTERRUPTED = 130  # what shells report for a program ended by Ctrl-C


class _Guarded:
    """What a click command must be mixed with to show no traceback."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command as click does; turn our errors into one line and an exit code.

        `FINETAG_DEBUG=1` in the environment lets the traceback through, for bug reports.
        """
        if os.environ.get("FINETAG_DEBUG"):
            return super().invoke(context)  # type: ignore[misc]
        # Pillow warns of odd metadata and large images; what cannot be read is reported anyway.
        warnings.filterwarnings("ignore", module=r"PIL\b")
        try:
            return super().invoke(context)  # type: ignore[misc]
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise  # click's own, which it knows how to show
        except FineTagError as error:
            _fail(str(error), error.exit_code)
        except KeyboardInterrupt:
            _fail("interrupted", INTERRUPTED)
        except Exception as error:  # the last line of defence: no traceback reaches a user
            detail = " ".join(str(error).split())
            _fail(
                f"unexpected {type(error).__name__}: {detail} "
                "(FINETAG_DEBUG=1 shows where; please report it)",
                1,
            )


class Command(_Guarded, click.Command):
    """A click command that never shows a traceback."""


class Group(_Guarded, click.Group):
    """A click group whose commands never show a traceback."""


def progress_console() -> Console:
    """Return the console for progress bars and remarks: stderr, so that stdout stays clean."""
    return Console(stderr=True)


def printable(text: str) -> str:
    """Escape what a file name may hold to move a terminal's cursor or to break a line."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _fail(message: str, exit_code: int) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(exit_code)
