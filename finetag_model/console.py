"""What the commands share: errors become one line on stderr and an exit code.

Not a place for options or output formats; each command keeps its own.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import click
from rich.console import Console

from finetag_model.errors import FineTagError

INTERRUPTED = 130  # what shells report for a program ended by Ctrl-C


class Command(click.Command):
    """A click command that never shows a traceback.

    `FINETAG_DEBUG=1` in the environment lets the traceback through, for bug reports.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command as click does; turn our errors into one line and an exit code."""
        return _guarded(super().main, *args, **kwargs)


class Group(click.Group):
    """A click group whose commands never show a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the group as click does; turn our errors into one line and an exit code."""
        return _guarded(super().main, *args, **kwargs)


def progress_console() -> Console:
    """Return the console for progress bars and remarks: stderr, so that stdout stays clean."""
    return Console(stderr=True)


def printable(text: str) -> str:
    """Escape what a file name may hold to move a terminal's cursor or to break a line."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _guarded(run: Any, *args: Any, **kwargs: Any) -> Any:
    if os.environ.get("FINETAG_DEBUG"):
        return run(*args, **kwargs)
    # Pillow warns of odd metadata and large images; what cannot be read is reported anyway.
    warnings.filterwarnings("ignore", module=r"PIL\b")
    try:
        return run(*args, **kwargs)
    except FineTagError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)
    except Exception as error:  # the last line of defence: no traceback reaches a user
        detail = " ".join(str(error).split())
        _fail(
            f"unexpected {type(error).__name__}: {detail} (FINETAG_DEBUG=1 shows where; "
            "please report it)",
            1,
        )


def _fail(message: str, exit_code: int) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(exit_code)
