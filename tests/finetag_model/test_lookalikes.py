from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from benchmarks import lookalikes
from finetag_model.cub import read_cub
from tests.finetag_model.conftest import write_cub

Trained = tuple[Result, Path]


def run(data: Path, model: Path, *options: str) -> Result:
    arguments = ["--data", str(data), "--model", str(model), *options]
    return CliRunner().invoke(lookalikes.main, arguments, env={"COLUMNS": "120"})


def test_every_vector_is_measured(
    trained: Trained, cub_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookalikes, "DIMS", (4, 8, 1024))
    result = run(cub_folder, trained[1], "--images", "40", "--seed", "1")
    assert result.exit_code == 0, result.output
    cells = [[cell.strip() for cell in line.split("│")] for line in result.stdout.splitlines()]
    rows = [(row[1], int(row[2])) for row in cells if len(row) > 2 and row[2].isdigit()]
    assert rows == [
        ("bilinear feature", 512 * 20),
        ("the model's own PCA", 16),
        *((f"PCA, whitening {power}", dim) for power in ("0", "0.5") for dim in (4, 8)),
        ("attribute scores", 6),
        ("attribute logits", 6),
    ]
    # One of the two species is measured, so every image found is of it.
    figures = {x for row in cells if len(row) > 2 and row[2].isdigit() for x in row[3:-1]}
    assert figures == {"1.000"}


def test_images_all_alike_are_measured(trained: Trained, tmp_path: Path) -> None:
    data = write_cub(tmp_path, 24)
    for picture in data.glob("images/*/*.jpg"):
        Image.new("RGB", (40, 30), "red").save(picture)
    result = run(data, trained[1])
    assert result.exit_code == 0, result.output
    assert "nan" not in result.stdout


def test_the_halves_depend_on_species_and_seed_alone() -> None:
    species = np.repeat(np.arange(1, 128), 5)
    half = lookalikes.first_half(species, 3)
    assert len(half) == len(set(half.tolist())) == 63
    np.testing.assert_array_equal(half, lookalikes.first_half(np.unique(species), 3))
    assert set(half.tolist()) != set(lookalikes.first_half(species, 4).tolist())


def test_too_few_images(trained: Trained, cub_folder: Path) -> None:
    refused = run(cub_folder, trained[1], "--images", "1")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: 1 images are too few")
    assert refused.stderr.count("\n") == 1


def test_missing_data_is_one_line(trained: Trained, tmp_path: Path) -> None:
    refused = run(tmp_path / "none", trained[1])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1


def test_the_measured_photographs_can_be_listed(cub_folder: Path, tmp_path: Path) -> None:
    ids = tmp_path / "measured.txt"
    result = CliRunner().invoke(
        lookalikes.main, ["--data", str(cub_folder), "--list", str(ids), "--seed", "1"]
    )
    assert result.exit_code == 0, result.output
    cub = read_cub(cub_folder)
    measured = cub.validation(ids)
    fitted_on = lookalikes.first_half(cub.class_ids, 1)
    np.testing.assert_array_equal(measured, ~np.isin(cub.class_ids, fitted_on))
