"""Every error FineTag raises on purpose; each message is one full line fit to show to a user.

Two lines more, of a filter that is wrong, show the character.

    FineTagError              exit 1
    ├── UsageError            exit 2   the question is wrong: unknown attribute, bad option
    │   └── ExpiredError               a cursor is of a generation of the index that is gone
    ├── ImageError                     a file is not an image that can be read
    ├── DataError                      an annotation file or catalogue folder is not as it must be
    ├── CheckpointError                a model file is missing, damaged or of another kind
    ├── CatalogueError                 an index is missing, damaged or made by another model
    │   └── InUse                      another command is changing it; it can be tried again
    └── Stopped               exit 130 asked to stop, it finished a batch and can go on later

A message says what is wrong, which file it concerns and what to do about it. The module
lives in the lowest package so that all three can raise from the same tree.
"""

from __future__ import annotations


class FineTagError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what a command exits with."""

    exit_code = 1


class UsageError(FineTagError):
    """The question is wrong: an unknown attribute, an impossible option."""

    exit_code = 2


class ExpiredError(UsageError):
    """What was asked with is gone: a cursor's generation of the index, or a kept picture."""


class ImageError(FineTagError):
    """A file cannot be read as an image."""


class DataError(FineTagError):
    """An annotation file or a catalogue folder is not as it must be."""


class CheckpointError(FineTagError):
    """A model file is missing, damaged or of another kind."""


class CatalogueError(FineTagError):
    """An index is missing, damaged, or does not fit the model or catalogue it is used with."""


class InUse(CatalogueError):  # noqa: N818  (nothing is wrong with it)
    """Another command is changing the index; later this one may."""


class Stopped(FineTagError):  # noqa: N818  (nothing went wrong)
    """A command was asked to stop; what it did until then is kept, and it can go on later."""

    exit_code = 130  # or what the signal asks for
