"""Runs the commands that a Markdown page shows, for the tests that keep the pages true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path, small_scale: dict[str, str]) -> list[str]:
    """Return the shell commands of a page, with what takes hours replaced."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    for large, small in small_scale.items():
        lines = [line.replace(large, small) for line in lines]
    return [line for line in lines if line]


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with the programs that belong to this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    environment.pop("FINETAG_INDEX", None)
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def run_well(line: str, folder: Path) -> str:
    """Run a command that must succeed without a traceback; return what it printed."""
    result = run(line, folder)
    assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
    assert "Traceback" not in result.stderr
    return result.stdout
