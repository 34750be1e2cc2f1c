from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finetag_model.drawn import draw_bird, draw_layers, sample_bird, write_catalogue
from finetag_model.drawn.bird import COLOURED_PARTS
from finetag_model.drawn.builds import BUILDS
from finetag_model.drawn.palette import COLOURS
from finetag_model.errors import UsageError

PATTERNS = {"solid", "spotted", "striped", "multi-colored"}
VOCABULARY = {
    **{f"{part}_color": set(COLOURS) for part in COLOURED_PARTS},
    **{f"{part}_color": set(COLOURS) for part in ("upperparts", "underparts", "primary")},
    **{f"{part}_pattern": PATTERNS for part in ("wing", "back", "breast", "belly", "tail")},
    "eye_color": set(COLOURS) - {"iridescent"},
    "head_pattern": {
        *("spotted", "malar", "crested", "masked", "unique_pattern", "eyebrow"),
        *("eyering", "plain", "eyeline", "striped", "capped"),
    },
    "bill_shape": {
        *("curved", "dagger", "hooked", "needle", "hooked_seabird"),
        *("spatulate", "all-purpose", "cone", "specialized"),
    },
    "bill_length": {"about_the_same_as_head", "longer_than_head", "shorter_than_head"},
    "tail_shape": {
        *("forked_tail", "rounded_tail", "notched_tail"),
        *("fan-shaped_tail", "pointed_tail", "squared_tail"),
    },
    "wing_shape": {
        f"{shape}-wings" for shape in ("rounded", "pointed", "broad", "tapered", "long")
    },
    "size": {"very_small", "small", "medium", "large", "very_large"},
    "shape": {
        *("upright-perching_water-like", "chicken-like-marsh", "long-legged-like", "duck-like"),
        *("owl-like", "gull-like", "hummingbird-like", "pigeon-like", "tree-clinging-like"),
        *("hawk-like", "sandpiper-like", "upland-ground-like", "swallow-like", "perching-like"),
    },
}
MANY = [sample_bird(seed) for seed in range(3000)]


def test_the_colours_are_those_of_cub() -> None:
    assert set(COLOURS) == {
        *("blue", "brown", "iridescent", "purple", "rufous", "grey", "yellow", "olive"),
        *("green", "pink", "orange", "black", "white", "red", "buff"),
    }


def test_a_seed_always_gives_the_same_bird() -> None:
    assert sample_bird(7) == sample_bird(7)
    assert sample_bird(7) != sample_bird(8)


def test_a_bird_always_gives_the_same_picture() -> None:
    bird = sample_bird(3)
    first, second = draw_bird(bird, 160), draw_bird(bird, 160)
    assert first.size == (160, 128)
    assert first.mode == "RGB"
    assert first.tobytes() == second.tobytes()
    assert draw_layers(bird, 160).image.tobytes() == first.tobytes()


def test_labels_are_words_of_the_vocabulary() -> None:
    for bird in MANY:
        for group, values in bird.labels.items():
            assert values, (bird.seed, group)
            assert values <= VOCABULARY[group], (bird.seed, group, values)


def test_labels_agree_with_each_other() -> None:
    for bird in MANY:
        labels = bird.labels
        assert labels["underparts_color"] == labels["breast_color"] | labels["belly_color"]
        assert labels["upperparts_color"] == labels["back_color"] | labels["wing_color"]
        assert 1 <= len(labels["primary_color"]) <= 2
        assert ("leg_color" in labels) == (bird.scene not in ("swim", "flower", "sky"))
        for part in ("wing", "back", "breast", "belly"):
            assert (labels[f"{part}_pattern"] == {"solid"}) == (len(labels[f"{part}_color"]) == 1)
        if "plain" in labels["head_pattern"]:
            assert len(labels["head_pattern"]) == 1
            assert labels["crown_color"] == labels["forehead_color"] == labels["nape_color"]


def test_every_colour_is_common_enough_on_every_part() -> None:
    found = Counter(
        (group, value)
        for bird in MANY
        for group, values in bird.labels.items()
        if group.endswith("_color")
        for value in values
    )
    wanted = {
        (group, value)
        for group, values in VOCABULARY.items()
        if group.endswith("_color")
        for value in values
    }
    rare = {key: found[key] for key in wanted if found[key] < 0.015 * len(MANY)}
    assert not rare


def test_every_shape_and_pattern_occurs() -> None:
    found = {(g, v) for bird in MANY for g, values in bird.labels.items() for v in values}
    wanted = {
        (g, v) for g in ("shape", "size", "tail_shape", "head_pattern") for v in VOCABULARY[g]
    }
    assert wanted <= found


def test_no_part_decides_the_colour_of_another() -> None:
    for part in COLOURED_PARTS:
        for other in COLOURED_PARTS:
            if part == other:
                continue
            agree = sum(b.coats[part].base == b.coats[other].base for b in MANY) / len(MANY)
            assert agree < 0.75, (part, other, agree)


def test_parts_are_drawn_in_their_colours_and_large_enough() -> None:
    names = [name for name in COLOURS if name != "iridescent"]
    palette = np.array([COLOURS[name] for name in names], dtype=float)
    right, seen = Counter[str](), Counter[str]()
    for bird in MANY[:40]:
        drawing = draw_layers(bird, 320)
        pixels = np.asarray(drawing.image, dtype=float)
        for part, coat in bird.coats.items():
            if f"{part}_color" not in bird.labels or coat.base == "iridescent":
                continue
            mask = drawing.parts[part]
            assert mask.shape == pixels.shape[:2]
            assert mask.mean() > 0.0004, (bird.seed, part)
            middle = np.median(pixels[mask], axis=0)
            nearest = names[int(((palette - middle) ** 2).sum(axis=1).argmin())]
            seen[part] += 1
            right[part] += nearest in coat.colours
    assert sum(right.values()) >= 0.95 * sum(seen.values()), right
    assert all(right[part] >= 0.85 * seen[part] for part in seen), (right, seen)


def test_part_masks_do_not_overlap() -> None:
    parts = draw_layers(sample_bird(5), 200).parts
    assert np.sum(list(parts.values()), axis=0).max() == 1


@pytest.mark.parametrize("shape", BUILDS)
def test_the_bird_fills_the_picture(shape: str) -> None:
    bird = next(bird for bird in MANY if bird.shape == shape)
    parts = draw_layers(bird, 200).parts
    whole = np.any([mask for part, mask in parts.items() if part != "perch"], axis=0)
    rows, columns = np.nonzero(whole)
    assert max(np.ptp(rows) / whole.shape[0], np.ptp(columns) / whole.shape[1]) > 0.55
    assert np.ptp(rows) < whole.shape[0] - 2
    assert np.ptp(columns) < whole.shape[1] - 2


def test_a_catalogue_says_what_the_birds_are(tmp_path: Path) -> None:
    folder = tmp_path / "birds"
    table = write_catalogue(folder, 3, seed=2)
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    images = sorted(path.name for path in folder.glob("*.jpg"))
    assert images == ["bird-0001.jpg", "bird-0002.jpg", "bird-0003.jpg"]
    for number, image in enumerate(images, start=1):
        written: dict[str, set[str]] = {}
        for row in rows:
            if row["image"] == image:
                written.setdefault(row["group"], set()).add(row["value"])
        assert written == sample_bird(2 * 10000 + number).labels
        with Image.open(folder / image) as picture:
            assert picture.size == (480, 384)


def test_a_catalogue_replaces_its_own_and_nothing_else(tmp_path: Path) -> None:
    write_catalogue(tmp_path, 2, seed=0)
    write_catalogue(tmp_path, 1, seed=1)
    assert {path.name for path in tmp_path.iterdir()} == {"bird-0001.jpg", "attributes.csv"}
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        write_catalogue(tmp_path, 1, seed=0)
    with pytest.raises(UsageError, match="is a file"):
        write_catalogue(tmp_path / "notes.txt", 1, seed=0)


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (10000, 0), (1, -1)])
def test_a_catalogue_refuses_impossible_numbers(tmp_path: Path, count: int, seed: int) -> None:
    with pytest.raises(UsageError):
        write_catalogue(tmp_path / "birds", count, seed)
    assert not (tmp_path / "birds").exists()


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "finetag_model.drawn", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_closes_with_one_line(tmp_path: Path) -> None:
    done = _run(str(tmp_path / "birds"), "--count", "2")
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
    assert len(list((tmp_path / "birds").glob("*.jpg"))) == 2


@pytest.mark.parametrize("count", ["0", "many", "-3"])
def test_the_command_refuses_a_bad_count_kindly(tmp_path: Path, count: str) -> None:
    done = _run(str(tmp_path / "birds"), "--count", count)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
