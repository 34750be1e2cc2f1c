from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from benchmarks.unknown_labels import main


def test_what_is_learned_beats_what_is_counted(cub_folder: Path, tmp_path: Path) -> None:
    # Birds of two random colours, the same above and below.
    random = np.random.default_rng(0)
    lines = []
    for image in range(1, 101):
        colors = random.permutation([1, 1, 0])
        present = [*colors, *colors]
        lines += [f"{image} {n} {label} 4 1.0" for n, label in enumerate(present, start=1)]
    reference = tmp_path / "full_labels.txt"
    reference.write_text("\n".join(lines) + "\n")
    result = CliRunner().invoke(
        main, ["--data", str(cub_folder), "--reference", str(reference)], env={"COLUMNS": "100"}
    )
    assert result.exit_code == 0, result.output
    rows = [line.split("│") for line in result.stdout.splitlines() if "│" in line]
    losses = {row[1].strip(): float(row[2]) for row in rows}
    assert list(losses) == [
        "negative",
        "counted beside the highest",
        *(f"learned, ridge {ridge}" for ridge in (10, 30, 90)),
    ]
    assert losses["learned, ridge 10"] < losses["counted beside the highest"] < losses["negative"]
