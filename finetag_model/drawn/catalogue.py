"""Write a folder of drawn birds or bags with a table of their attributes.

Only ever touches a folder that is new, empty, or was written by this module before.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from finetag_model.drawn.bag import sample_bag
from finetag_model.drawn.draw import draw_bird
from finetag_model.drawn.draw_bag import draw_bag
from finetag_model.drawn.sample import sample_bird
from finetag_model.errors import UsageError

ATTRIBUTES = "attributes.csv"
MOST = 9999  # as many as the file names have room for

Drawn = tuple[Image.Image, Mapping[str, frozenset[str]]]
"""A picture and the values of each of its groups."""


def _bird(seed: int) -> Drawn:
    bird = sample_bird(seed)
    return draw_bird(bird), bird.labels


def _bag(seed: int) -> Drawn:
    bag = sample_bag(seed)
    return draw_bag(bag), bag.labels


SUBJECTS: Mapping[str, Callable[[int], Drawn]] = {"bird": _bird, "bag": _bag}
"""What can be drawn, each from a seed."""

_OWN = re.compile(rf"({'|'.join(SUBJECTS)})-\d{{4}}\.jpg")


def write_catalogue(folder: Path, count: int, seed: int, subject: str = "bird") -> Path:
    """Draw `count` pictures into `folder` as JPEGs and return the path of their attribute table.

    The table has the columns image, group and value, a row for each value. Picture `i` of the
    catalogue is that of seed `seed * 10000 + i`, so catalogues of different seeds share none.

    Raises:
        UsageError: the count or seed is out of range, or the folder holds files of others.
    """
    if not 1 <= count <= MOST:
        raise UsageError(f"count must be from 1 to {MOST}, not {count}")
    if seed < 0:
        raise UsageError(f"seed must not be negative, as {seed} is")
    _claim(folder)
    table = folder / ATTRIBUTES
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("image", "group", "value"))
        for number in range(1, count + 1):
            picture, labels = SUBJECTS[subject](seed * (MOST + 1) + number)
            name = f"{subject}-{number:04}.jpg"
            picture.save(folder / name, quality=92, subsampling=0)
            for group, values in labels.items():
                rows.writerows((name, group, value) for value in sorted(values))
    return table


def _claim(folder: Path) -> None:
    """Make the folder, or clear out the catalogue of an earlier run."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder for the catalogue")
    present = list(folder.iterdir()) if folder.exists() else []
    foreign = sorted(p.name for p in present if p.name != ATTRIBUTES and not _OWN.fullmatch(p.name))
    if foreign or (present and not (folder / ATTRIBUTES).exists()):
        name = foreign[0] if foreign else present[0].name
        raise UsageError(f"{folder} holds other files ({name}); name a new or empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    for path in present:
        path.unlink()
