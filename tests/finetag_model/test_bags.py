from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from finetag_model.drawn import Bag, draw_bag, sample_bag, write_catalogue
from finetag_model.drawn.bag import BAG_COLOURS, FORMS, PATTERNS, STRAPS
from finetag_model.drawn.palette import COLOURS

MANY = [sample_bag(seed) for seed in range(3000)]
VOCABULARY = {
    "shape": set(FORMS),
    "color": set(BAG_COLOURS),
    "strap": set(STRAPS),
    "pattern": set(PATTERNS),
}


def body(bag: Bag, width: int) -> NDArray[np.bool_]:
    """Where its cloth is: what changes with its colour, which decides nothing else."""
    other = "white" if bag.colour != "white" else "black"
    pictures = [draw_bag(b, width) for b in (bag, replace(bag, colour=other))]
    first, second = (np.asarray(picture, dtype=int) for picture in pictures)
    return np.abs(first - second).sum(axis=2) > 24


def test_a_seed_always_gives_the_same_bag_and_picture() -> None:
    bag = sample_bag(3)
    assert bag == sample_bag(3) != sample_bag(4)
    first, second = draw_bag(bag, 120), draw_bag(bag, 120)
    assert (first.size, first.mode) == ((120, 120), "RGB")
    assert first.tobytes() == second.tobytes()


def test_every_value_is_common_and_none_decides_another() -> None:
    for group, values in VOCABULARY.items():
        for value in values:
            having = [bag for bag in MANY if value in bag.labels[group]]
            assert len(having) > 0.07 * len(MANY), (group, value)
            for other, others in VOCABULARY.items():
                if other == group or "solid" in (value, *others):
                    continue  # a solid bag has one colour, the others have two
                most = max(sum(v in bag.labels[other] for bag in having) for v in others)
                assert most < 0.45 * len(having), (group, value, other)


def test_labels_are_words_of_the_vocabulary() -> None:
    for bag in MANY:
        assert list(bag.labels) == list(VOCABULARY)
        assert all(bag.labels[group] <= VOCABULARY[group] for group in VOCABULARY)
        assert len(bag.labels["color"]) == (1 if bag.pattern == "solid" else 2)


def test_bags_are_drawn_in_their_colour() -> None:
    palette = np.array([COLOURS[name] for name in BAG_COLOURS], dtype=float)
    right = 0
    solid = [bag for bag in MANY if bag.pattern == "solid"][:30]
    for bag in solid:
        pixels = np.asarray(draw_bag(bag, 120), dtype=float)[body(bag, 120)]
        distances = ((palette - np.median(pixels, axis=0)) ** 2).sum(axis=1)
        right += BAG_COLOURS[int(distances.argmin())] == bag.colour
    assert right >= 0.85 * len(solid)


@pytest.mark.parametrize("shape", FORMS)
@pytest.mark.parametrize("strap", STRAPS)
def test_a_bag_lies_within_the_picture(shape: str, strap: str) -> None:
    bag = replace(MANY[0], shape=shape, strap=strap, leather="red", mark=None, pattern="solid")
    rows, columns = np.nonzero(body(bag, 100))
    assert max(np.ptp(rows), np.ptp(columns)) > 20
    assert min(rows.min(), columns.min()) >= 1
    assert max(rows.max(), columns.max()) <= 98


def test_a_catalogue_of_bags(tmp_path: Path) -> None:
    folder = tmp_path / "bags"
    write_catalogue(folder, 2, seed=0)  # a catalogue of birds is replaced as well
    command = [sys.executable, "-m", "finetag_model.drawn", str(folder), "--subject", "bag"]
    done = subprocess.run([*command, "--count", "2"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in folder.iterdir()} == {
        *("bag-0001.jpg", "bag-0002.jpg", "attributes.csv")
    }
    rows = (folder / "attributes.csv").read_text().splitlines()
    assert rows[:2] == ["image,group,value", f"bag-0001.jpg,shape,{sample_bag(1).shape}"]
    unknown = subprocess.run([*command[:-1], "cat"], capture_output=True, text=True, check=False)
    assert unknown.returncode == 2
