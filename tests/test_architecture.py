"""The rules by which the packages stand on one another."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("finetag_model", "indexer", "retrieval")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

# What a package may import of the others: dependencies run one way.
BELOW = {
    "finetag_model": set(),
    "indexer": {"finetag_model"},
    "retrieval": {"finetag_model", "indexer"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_dependencies_run_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    assert imported(path) & set(PACKAGES) <= BELOW[package] | {package}


def test_torch_is_imported_in_finetag_model_alone() -> None:
    users = {path.relative_to(ROOT).parts[0] for path in MODULES if "torch" in imported(path)}
    assert users == {"finetag_model"}


def test_faiss_is_imported_in_one_package() -> None:
    users = {path.relative_to(ROOT).parent for path in MODULES if "faiss" in imported(path)}
    assert users == {Path("indexer/vectors")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for_and_is_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 320
