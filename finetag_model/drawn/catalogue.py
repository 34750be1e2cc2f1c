"""Write a folder of drawn birds with a table of their attributes.

Only ever touches a folder that is new, empty, or was written by this module before.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from finetag_model.drawn.draw import draw_bird
from finetag_model.drawn.sample import sample_bird
from finetag_model.errors import UsageError

ATTRIBUTES = "attributes.csv"
MOST = 9999  # as many as the file names have room for
_OWN = re.compile(r"bird-\d{4}\.jpg")


def write_catalogue(folder: Path, count: int, seed: int) -> Path:
    """Draw `count` birds into `folder` as JPEGs and return the path of their attribute table.

    The table has the columns image, group and value, a row for each value. Bird `i` of the
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
            bird = sample_bird(seed * (MOST + 1) + number)
            name = f"bird-{number:04}.jpg"
            draw_bird(bird).save(folder / name, quality=92, subsampling=0)
            for group, values in bird.labels.items():
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
