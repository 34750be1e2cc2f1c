"""The commands of docs/index-speed.md run at small scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.pages import ROOT, commands, run_well

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SMALL_SCALE = {
    "CUB_200_2011/images": "catalogue --count 6 --repeats 1",
    "index.py update": "index.py update --count 120 --repeats 1",
    "--plot docs/index-growth.png": "--rows 300 --rows 900 --plot growth.png",
    "benchmarks/": f"{ROOT}/benchmarks/",
}


def test_its_commands_run(tmp_path: Path, paint: Callable[..., Path]) -> None:
    for i, color in enumerate(["red", "green", "blue", "grey", "white"]):
        paint(tmp_path / "catalogue" / f"{i}.jpg", color, "red", size=(300 + i, 200))
    build, update, growth = commands(ROOT / "docs" / "index-speed.md", SMALL_SCALE)
    assert "finetag-index build" in run_well(build, tmp_path)
    assert "update, nothing changed" in run_well(update, tmp_path)
    printed = run_well(growth, tmp_path)
    assert "300 rows" in printed
    assert "generation, bytes a row" in printed
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
