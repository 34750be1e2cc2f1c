"""The index of benchmarks/serve.py, of which a new generation can be published in no time.

A change of a million images takes a minute and a half, nearly all of it spent on writing files.
So two generations are written beforehand by a real change, the second without some images of the
first, and every swap publishes one of the two again under the next number: a folder with links
to its files and a manifest of its own, renamed into place, then the pointer, then the removal of
those before it that no reader holds. That is what the last step of every change does.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

from indexer import Index, delete_images
from indexer.layout import (
    CURRENT,
    DATABASE,
    GENERATIONS,
    SEAL,
    SETTINGS,
    Pointer,
    generation_dir,
    partial_dir,
    sweep,
)
from indexer.manifest import MANIFEST, Checksum, Manifest

_MADE = "made.json"


class TwoContents:
    """An index that shows the one and the other of two contents in turn.

    Attributes:
        folder: the index folder.
        generation: the current one; odd ones have the first content, even ones the second.
    """

    def __init__(self, prepared: Path, folder: Path) -> None:
        """Publish the first content of `prepare` as generation 1 of an index in a new folder."""
        self._prepared = prepared
        self.folder = folder
        self.generation = 0
        (folder / GENERATIONS).mkdir(parents=True)
        shutil.copy(prepared / SETTINGS, folder / SETTINGS)
        self.swap()

    def swap(self) -> None:
        """Publish the other content as the next generation."""
        number = self.generation + 1
        source = generation_dir(self._prepared, _numbers(self._prepared)[(number - 1) % 2])
        partial = partial_dir(self.folder, number)
        partial.mkdir()
        for path in source.iterdir():
            if path.name != MANIFEST:
                os.link(path, partial / path.name)
        replace(Manifest.read(source), generation=number).save(partial)
        partial.rename(generation_dir(self.folder, number))
        checksum = Checksum.of(generation_dir(self.folder, number) / MANIFEST)
        Pointer(number, checksum.sha256).write(self.folder)
        sweep(self.folder, {number})
        self.generation = number

    def close(self) -> None:
        """Remove the index."""
        shutil.rmtree(self.folder)


def prepare(source: Path, folder: Path, ids: list[int]) -> None:
    """Copy an index into a folder, and delete images from the copy, unless that was done before.

    Args:
        source: the index; it stays as it is.
        folder: for the copy, on the same file system if its files are not to take space again.
        ids: of the images to delete.
    """
    if (folder / _MADE).exists() and json.loads((folder / _MADE).read_text())["ids"] == ids:
        return
    shutil.rmtree(folder, ignore_errors=True)
    # Files of a generation never change, so that the copy can share them; the database does.
    shutil.copytree(source, folder, copy_function=_link_or_copy)
    with Index.open(folder) as first:  # which keeps it from being swept
        delete_images(folder, ids=ids)
        with Index.open(folder) as second:
            numbers = [each.manifest.generation for each in (first, second)]
        for name in (CURRENT, DATABASE, SEAL):  # nobody shall change it again, and lose the first
            (folder / name).unlink(missing_ok=True)
    (folder / _MADE).write_text(json.dumps({"ids": ids, "generations": numbers}))


def open_contents(folder: Path) -> tuple[Index, Index]:
    """Open the two contents that `prepare` made."""
    first, second = (
        Index(
            folder, Pointer(number, Checksum.of(generation_dir(folder, number) / MANIFEST).sha256)
        )
        for number in _numbers(folder)
    )
    return first, second


def _numbers(folder: Path) -> list[int]:
    numbers: list[int] = json.loads((folder / _MADE).read_text())["generations"]
    return numbers


def _link_or_copy(source: str, target: str) -> None:
    if Path(source).parent.parent.name != GENERATIONS:
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
