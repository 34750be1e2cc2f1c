"""The command of docs/speed.md runs at small scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finetag_model.checkpoint import read_checkpoint
from tests.pages import ROOT, commands, run_well

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE = ROOT / "docs" / "speed.md"
SMALL = "--images 4 --repeats 1 --trunk-size 32 --runtime onnx"
SMALL_SCALE = {
    "fully_labelled.txt": f"fully_labelled.txt {SMALL}",
    "benchmarks/": f"{ROOT}/benchmarks/",
}


def test_its_command_runs(tmp_path: Path, make_cub: Callable[..., Path]) -> None:
    make_cub(tmp_path, read_checkpoint().vocabulary.names, count=24)
    (tmp_path / "fully_labelled.txt").write_text("1\n2\n3\n4\n5\n6\n")
    (line,) = commands(PAGE, SMALL_SCALE)
    printed = run_well(line, tmp_path)
    assert "4 pictures in batches of 16" in printed
    for row in ("decode", "resize", "eager", "onnx"):
        assert f"│ {row} " in printed
