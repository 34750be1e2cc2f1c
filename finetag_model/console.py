"""What the commands share: errors as one line and an exit code, and the options they all have.

Not a place for output formats; each command keeps its own.
"""

from __future__ import annotations

import errno
import io
import os
import select
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
version_option = click.version_option(package_name="finetag", message="finetag %(version)s")
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
READER_GONE = 141  # and for one that writes into a pipe that nobody reads any more


class _Guarded:
    """What a click command must be mixed with to show no traceback."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Make the command; `-h` is short for `--help` in all of them."""
        options["context_settings"] = {
            "help_option_names": ["-h", "--help"],
            **(options.get("context_settings") or {}),
        }
        super().__init__(*args, **options)

    def invoke(self, context: click.Context) -> Any:
        """Run the command as click does; turn our errors into one line and an exit code.

        `FINETAG_DEBUG=1` in the environment lets the traceback through, for bug reports.
        """
        if os.environ.get("FINETAG_DEBUG"):
            return super().invoke(context)  # type: ignore[misc]
        # Pillow warns of odd metadata and large images; what cannot be read is reported anyway.
        warnings.filterwarnings("ignore", module=r"PIL\b")
        _escape_what_cannot_be_written()
        try:
            return super().invoke(context)  # type: ignore[misc]
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise  # click's own, which it knows how to show
        except FineTagError as error:
            _fail(str(error), error.exit_code)
        except KeyboardInterrupt:
            _fail("interrupted", INTERRUPTED)
        except BrokenPipeError as error:
            _end_if_nobody_reads()
            _fail_unexpectedly(error)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT} and error.filename is None:
                _fail(f"cannot write: {error.strerror}; make room, and run this again", 1)
            _fail_unexpectedly(error)
        except Exception as error:  # the last line of defence: no traceback reaches a user
            _fail_unexpectedly(error)


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


def _escape_what_cannot_be_written() -> None:
    """Let a terminal or log get an escape for a letter that its encoding does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _end_if_nobody_reads() -> None:
    """End quietly, as `head` and `less` expect, if one of them has had enough of our output."""
    for stream in (sys.stdout, sys.stderr):
        poll = select.poll()
        poll.register(stream.fileno(), 0)  # errors are told without being asked for
        if any(events & select.POLLERR for _, events in poll.poll(0)):
            # What is still to be written goes nowhere, or Python would complain at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            sys.exit(READER_GONE)


def _fail_unexpectedly(error: Exception) -> None:
    detail = " ".join(str(error).split())
    _fail(
        f"unexpected {type(error).__name__}: {detail} "
        "(FINETAG_DEBUG=1 shows where; please report it)",
        1,
    )


def _fail(message: str, exit_code: int) -> None:
    """End with a message; what a file name in it may hold to break the line is escaped."""
    lines = message.split("\n  ")  # further lines are indented, such as those into a filter
    click.echo("error: " + "\n  ".join(map(printable, lines)), err=True)
    sys.exit(exit_code)
