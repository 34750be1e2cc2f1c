"""The statistics of an index, for programs (`as_dict`) and for people (`as_text`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetag_model.console import printable
from indexer.report import size_of

_SHOWN = 20
"""Quarantined files shown to people."""
_PATHS = 3
"""Paths of a group shown to people."""


@dataclass(frozen=True)
class Group:
    """Images that are alike.

    Attributes:
        images: how many.
        paths: the first of them, relative to the catalogue folder, in order.
    """

    images: int
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Alike:
    """All groups of two or more images that are alike.

    Attributes:
        groups: how many.
        images: how many images are in them.
        largest: the largest few groups, largest first.
    """

    groups: int
    images: int
    largest: tuple[Group, ...]


@dataclass(frozen=True)
class Quarantined:
    """A file that hung or crashed its reader and is let alone until it changes."""

    path: str
    reason: str


@dataclass(frozen=True)
class Statistics:
    """What an index holds.

    Attributes:
        index: the index folder.
        catalogue: the catalogue folder, absolute.
        generation: the number of the current one.
        created: when it was written, UTC, ISO 8601.
        model: the name of the model that filled it.
        model_digest: SHA-256 of the model's checkpoint, hexadecimal.
        attributes: how many the model knows.
        images: how many it holds.
        contents: how many of them differ in their bytes.
        duplicates: groups of files of the same bytes.
        near_duplicates: groups of near duplicates, files of the same bytes among them.
        bytes: on disk, by part: `database`, `vectors`, `scores`, `masks`, `records`, the `rest`,
            and `other generations`.
        bytes_per_image: of all parts but the other generations.
        failures: how many files were skipped, by reason, most frequent first.
        quarantined: those of them that are let alone, by path.
        excluded: how many files were deleted from the index.
        fields: of how many images metadata was imported, by the name of the field.
        groups: how many images have at least one value, by group of attributes; an image has a
            value if it passes the model's threshold or the merchant gave it.
    """

    index: Path
    catalogue: Path
    generation: int
    created: str
    model: str
    model_digest: str
    attributes: int
    images: int
    contents: int
    duplicates: Alike
    near_duplicates: Alike
    bytes: Mapping[str, int]
    bytes_per_image: float
    failures: Mapping[str, int]
    quarantined: tuple[Quarantined, ...]
    excluded: int
    fields: Mapping[str, int]
    groups: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Return the statistics as JSON takes them; the keys are the names of the attributes."""
        return {**asdict(self), "index": str(self.index), "catalogue": str(self.catalogue)}

    def as_text(self) -> str:
        """Return the statistics as lines for people."""
        total = sum(self.bytes.values())
        lines = [
            f"{self.images:,} images of {printable(str(self.catalogue))} "
            f"in {printable(str(self.index))}",
            f"  generation {self.generation} of {self.created}, "
            f"made with {printable(self.model)} ({self.attributes:,} attributes)",
            f"  {self.contents:,} different contents; "
            f"{_counted(self.duplicates, 'the same bytes')}",
            *_largest(self.duplicates),
            f"  {_counted(self.near_duplicates, 'nearly the same picture')}",
            *_largest(self.near_duplicates),
            f"{size_of(total)} on disk, {size_of(self.bytes_per_image)} an image",
        ]
        lines += _table((name, size_of(size)) for name, size in self.bytes.items())
        lines.append(
            f"{sum(self.failures.values()):,} files skipped, {len(self.quarantined):,} of them "
            f"quarantined; {self.excluded:,} deleted from the index"
        )
        lines += _table((printable(reason), f"{n:,}") for reason, n in self.failures.items())
        lines += [
            f"  quarantined: {printable(each.path)}: {printable(each.reason)}"
            for each in self.quarantined[:_SHOWN]
        ]
        if len(self.quarantined) > _SHOWN:
            more = len(self.quarantined) - _SHOWN
            lines.append(f"  and {more:,} more: --json lists all")
        lines.append(f"imported fields{'' if self.fields else ': none'}")
        lines += _table((printable(name), self._share(n)) for name, n in self.fields.items())
        lines.append("images with a value of")
        lines += _table((printable(name), self._share(n)) for name, n in self.groups.items())
        return "\n".join(lines)

    def _share(self, number: int) -> str:
        return f"{number:,} ({number / self.images:.0%})"


def _counted(alike: Alike, what: str) -> str:
    groups_ = f"{alike.groups:,} group{'' if alike.groups == 1 else 's'}"
    return f"{groups_} ({alike.images:,} images) of {what}"


def _largest(alike: Alike) -> list[str]:
    lines = []
    for group in alike.largest:
        shown = group.paths[:_PATHS]
        more = group.images - len(shown)
        paths = ", ".join(printable(path) for path in shown)
        lines.append(f"    {group.images:,}: {paths}{f' and {more:,} more' if more else ''}")
    return lines


def _table(rows: Iterable[tuple[str, str]]) -> list[str]:
    cells = list(rows)
    width = max((len(name) for name, _ in cells), default=0)
    return [f"  {name:<{width}}  {value}" for name, value in cells]
