"""What a build did, for programs (`as_dict`) and for people (`as_text`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from finetag_model.console import printable
from indexer.scan import Failure

_SHOWN = 20
_QUARANTINED = " (let alone from now on; 'finetag-index add' tries it again)"


@dataclass
class Stage:
    """The time that one stage took, and how many images it saw.

    Attributes:
        seconds: of work; of stages that run in several threads, the sum over all threads.
        images: how many.
    """

    seconds: float = 0.0
    images: int = 0


@dataclass
class Stages:
    """The stages of a build; reading (hash, decode) goes on while the others run."""

    scan: Stage = field(default_factory=Stage)
    hash: Stage = field(default_factory=Stage)
    decode: Stage = field(default_factory=Stage)
    embed: Stage = field(default_factory=Stage)
    write: Stage = field(default_factory=Stage)
    publish: Stage = field(default_factory=Stage)


@contextmanager
def timed(stage: Stage) -> Iterator[Stage]:
    """Add the time of a block to a stage."""
    start = perf_counter()
    yield stage
    stage.seconds += perf_counter() - start


@dataclass(frozen=True)
class BuildReport:
    """What a build found and did.

    Attributes:
        catalogue: the catalogue folder, absolute.
        index: the index folder.
        generation: the number of the generation that is current now.
        published: whether this build made that generation; not so if nothing had changed.
        images: how many this command looked at and the index holds now; each is either new,
            changed, moved or unchanged.
        new: how many have a path, and a content, that the index did not hold before.
        changed: how many have a path that had another content before.
        moved: how many have the content of a path that is gone; they keep their id and metadata.
        unchanged: all others.
        embedded: how many contents the network was run on.
        duplicates: how many have the same content as an image earlier in the order of paths.
        gone: how many paths the index held before and does not hold now: the file is no longer
            there, or is among the skipped.
        ignored: how many files have a name that no image would have.
        excluded: how many files were passed over, for they were deleted from the index.
        unreachable: how many images were kept though their folder could not be read.
        skipped: files and folders that could not be indexed, sorted by path.
        stages: the time taken.
        seconds: wall-clock time of the whole build.
    """

    catalogue: Path
    index: Path
    generation: int
    published: bool
    images: int
    new: int
    changed: int
    moved: int
    unchanged: int
    embedded: int
    duplicates: int
    gone: int
    ignored: int
    excluded: int
    unreachable: int
    skipped: tuple[Failure, ...]
    stages: Stages
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it; the keys are the names of the attributes."""
        return {
            **vars(self),
            "catalogue": str(self.catalogue),
            "index": str(self.index),
            "skipped": [
                {"path": item.path, "reason": item.reason, "quarantined": item.quarantined}
                for item in self.skipped
            ],
            "stages": {
                name: {"seconds": round(stage.seconds, 3), "images": stage.images}
                for name, stage in _stages(self.stages).items()
            },
            "seconds": round(self.seconds, 3),
        }

    def as_text(self) -> str:
        """Return the report as lines for people; at most 20 skipped files are listed."""
        generation = f"generation {self.generation}"
        lines = [
            f"{count(self.images, 'image')} indexed in {printable(str(self.index))} "
            f"({generation}{'' if self.published else ', as before: nothing has changed'})",
            f"  {self.new:,} new, {self.changed:,} changed, {self.moved:,} moved, "
            f"{self.unchanged:,} unchanged, {self.gone:,} gone",
            f"  {count(self.duplicates, 'duplicate')}, {count(self.embedded, 'image')} embedded, "
            f"{count(self.ignored, 'other file')} ignored",
            f"  {self.seconds:.1f} s: {self._rates()}",
        ]
        if self.excluded:
            lines.append(
                f"  {count(self.excluded, 'file')} passed over, deleted from the index before; "
                "'finetag-index add' takes them back"
            )
        if self.unreachable:
            lines.append(
                f"  {count(self.unreachable, 'image')} kept though their folder cannot be read now"
            )
        if self.skipped:
            lines.append(f"{count(len(self.skipped), 'file')} skipped:")
            lines += first_of(
                [
                    f"{printable(item.path)}: {printable(item.reason)}"
                    + _QUARANTINED * item.quarantined
                    for item in self.skipped
                ]
            )
        return "\n".join(lines)

    def _rates(self) -> str:
        return ", ".join(
            f"{name} {stage.seconds:.1f} s"
            + (
                f" ({stage.images / stage.seconds:,.0f}/s)"
                if stage.images and stage.seconds
                else ""
            )
            for name, stage in _stages(self.stages).items()
        )


def _stages(stages: Stages) -> Mapping[str, Stage]:
    return vars(stages)


def first_of(lines: Sequence[str]) -> list[str]:
    """Return the first 20 lines, indented, and one that says how many more there are."""
    shown = [f"  {line}" for line in lines[:_SHOWN]]
    if len(lines) > _SHOWN:
        shown.append(f"  and {len(lines) - _SHOWN:,} more: --json lists all")
    return shown


def count(number: int, noun: str) -> str:
    """Return `1 image`, `2,000 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size_of(size: float) -> str:
    """Return a number of bytes as `752 B`, `1.5 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
