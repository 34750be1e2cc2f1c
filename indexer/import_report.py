"""What an import of metadata did, for programs (`as_dict`) and for people (`as_text`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetag_model.console import printable
from indexer.report import count, first_of

KEPT = 20
"""Of the paths that are not indexed yet, so many are in the report."""
_TOLD = 3
"""And so many in its text."""


@dataclass
class ImportReport:
    """What an import did.

    Attributes:
        file: the table.
        index: the index folder.
        generation: the number of the generation that is current now.
        published: whether the import made that generation; not so if nothing had changed.
        rows: how many rows the table has.
        images: how many of them are about an image of the index.
        waiting: how many are about a path that is not indexed yet, and are kept for it.
        waiting_paths: the first 20 of these paths, relative to the catalogue folder.
        fields: columns taken as fields.
        attributes: columns taken as groups of attributes.
        remarks: columns that were hardly meant as what they were taken as, each with the reason.
        problems: cells and rows that were left out, each with place and reason.
    """

    file: Path
    index: Path
    generation: int = 0
    published: bool = False
    rows: int = 0
    images: int = 0
    waiting: int = 0
    waiting_paths: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it; the keys are the names of the attributes."""
        return {**vars(self), "file": str(self.file), "index": str(self.index)}

    def as_text(self) -> str:
        """Return the report as lines for people; at most 20 problems are listed."""
        lines = [
            f"{count(self.rows, 'row')} of {printable(str(self.file))}: "
            f"{self.images:,} about images of the index, {self.waiting:,} not indexed yet",
            f"  fields: {', '.join(map(printable, self.fields)) or 'none'}",
            f"  attributes, which outrank predicted ones: {', '.join(self.attributes) or 'none'}",
            f"  generation {self.generation}"
            f"{'' if self.published else ', as before: nothing has changed'}",
        ]
        if self.waiting:
            more = ", …" if self.waiting > _TOLD else ""
            told = ", ".join(map(printable, self.waiting_paths[:_TOLD]))
            lines.insert(1, f"  not indexed yet: {told}{more}")
        lines += [f"  {printable(remark)}" for remark in self.remarks]
        if self.problems:
            lines.append(f"{count(len(self.problems), 'problem')}:")
            lines += first_of([printable(problem) for problem in self.problems])
        return "\n".join(lines)
