"""Every command and program in README and docs runs, in a folder like a newcomer's.

What takes hours is run at small scale; the commands are otherwise taken as they stand.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from safetensors.torch import save_file
from torchvision import models

from finetag_model.checkpoint import read_checkpoint
from finetag_model.drawn import write_catalogue
from tests.pages import ROOT, blocks, commands, run, run_well

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES = [ROOT / "README.md", ROOT / "finetag_model/weights/README.md", *ROOT.glob("docs/*.md")]
HAVE_TESTS_OF_THEIR_OWN = {
    ROOT / "docs" / page
    for page in (
        "index-speed.md",
        "paper.md",
        "search-speed.md",
        "service-speed.md",
        "speed.md",
        "your-own-catalogue.md",
    )
}
NEED_A_SERVICE = {ROOT / "docs" / page for page in ("backends.md", "service.md")}
"""Have tests of their own too, for their library examples as well."""
SMALL_SCALE = {
    "--count 3000": "--count 6",
    "--thaw 14 --epochs 30": "--thaw 18 --epochs 1 --input-size 64 --head-epochs 1",
    "--head-epochs 2 --thaw 14 --epochs 6": "--input-size 64 --head-epochs 1",
    "--seeds 3": "--seeds 1 --input-size 64 --epochs 1 --only 'head: pooled + linear'",
    "python benchmarks/": f"python {ROOT}/benchmarks/",
}
RUN_ELSEWHERE = {"scripts/demo", "scripts/test"}


@pytest.fixture
def folder(tmp_path: Path, make_cub: Callable[..., Path]) -> Path:
    """What the pages take for granted: a catalogue, a query, data and weights to train with."""
    write_catalogue(tmp_path / "catalog", count=12, seed=3)
    shutil.copy(tmp_path / "catalog" / "bird-0001.jpg", tmp_path / "query.jpg")
    cub = make_cub(tmp_path, read_checkpoint().vocabulary.names)
    (tmp_path / "fully_labelled.txt").write_text("1\n2\n3\n4\n")
    labels = cub / "attributes" / "image_attribute_labels.txt"
    shutil.copy(labels, tmp_path / "full_labels.txt")
    weights = models.mobilenet_v2().state_dict()
    save_file(weights, tmp_path / "trunk.safetensors")
    return tmp_path


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page not in HAVE_TESTS_OF_THEIR_OWN | NEED_A_SERVICE],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_command_runs(page: Path, folder: Path) -> None:
    for line in commands(page, SMALL_SCALE):
        if line not in RUN_ELSEWHERE:
            run_well(line, folder)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page not in NEED_A_SERVICE and blocks(page, "python")],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_library_example_runs(page: Path, folder: Path) -> None:
    assert run("finetag-index build catalog/", folder).returncode == 0
    for example in blocks(page, "python"):
        result = run(f"python - <<'END'\n{example}\nEND", folder)
        assert result.returncode == 0, result.stderr


def test_the_demo_runs_twice(tmp_path: Path) -> None:
    if not (ROOT / ".venv" / "made-from").exists():
        pytest.skip("scripts/install has not been run, and the demo would begin with it")
    first = run(f"{ROOT}/scripts/demo {tmp_path}/demo", tmp_path)
    assert first.returncode == 0, first.stderr
    assert "100 images" in first.stdout
    assert "100 new" in first.stdout
    page = (tmp_path / "demo" / "result.html").read_text()
    assert page.count("<img") >= 2
    second = run(f"{ROOT}/scripts/demo {tmp_path}/demo", tmp_path)
    assert second.returncode == 0, second.stderr
    assert "100 unchanged" in second.stdout


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_tests_that_pages_name_are_there() -> None:
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    named = {name for page in PAGES for name in re.findall(r"test_\w+\.py", page.read_text())}
    assert named <= there
