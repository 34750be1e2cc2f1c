from __future__ import annotations

import shutil
from pathlib import Path

from click.testing import CliRunner, Result
from PIL import Image

from benchmarks import near_duplicates
from finetag_model.drawn import write_catalogue


def run(*arguments: object) -> Result:
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(near_duplicates.main, words, env={"COLUMNS": "160"})


def test_copies_and_other_pictures_are_counted(tmp_path: Path) -> None:
    write_catalogue(tmp_path / "birds", count=3, seed=1)
    shutil.copy(tmp_path / "birds" / "bird-0001.jpg", tmp_path / "birds" / "again.jpg")
    (tmp_path / "birds" / "broken.jpg").write_bytes(b"not an image")
    Image.new("RGB", (40, 30)).save(tmp_path / "birds" / "plain.png")
    result = run(tmp_path / "birds", "--copied", "2")
    assert result.exit_code == 0, result.output
    assert "2 photographs of 4" in result.stdout
    cells = [[cell.strip() for cell in line.split("│")] for line in result.stdout.splitlines()]
    rows = {row[1]: row[2:-1] for row in cells if len(row) > 2}
    assert set(near_duplicates.ALTERED) < set(rows)
    assert rows["JPEG quality 90"] == rows["PNG"] == ["2 (2)"] * 6
    assert rows["pairs of photographs"] == ["1 (1)"] * 6
    listed = [line for line in result.stdout.splitlines() if " bits, " in line]
    assert len(listed) == 1
    assert "again.jpg" in listed[0]
    assert "bird-0001.jpg" in listed[0]


def test_a_folder_without_pictures_is_one_line(tmp_path: Path) -> None:
    refused = run(tmp_path)
    assert refused.exit_code == 2
    assert refused.stderr.strip() == f"error: {tmp_path} has no image that is not plain"
