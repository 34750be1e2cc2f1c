"""Which index is meant when none is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetag_model.errors import CatalogueError
from indexer import build, find_index, index_to_build


@pytest.mark.usefixtures("database")
def test_the_nearest_index_upwards_is_found(
    catalogue: Path, tmp_path: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(catalogue, tmp_path / ".finetag", color_embedder)
    deep = tmp_path / "x" / "y"
    (deep / ".finetag").mkdir(parents=True)  # not an index: there is no database in it
    assert find_index(start=deep) == tmp_path / ".finetag"
    assert index_to_build(start=deep) == tmp_path / ".finetag"
    monkeypatch.chdir(deep)
    assert find_index() == tmp_path / ".finetag"


def test_the_name_given_counts_most_and_the_environment_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINETAG_INDEX", "/from/environment")
    assert find_index(start=tmp_path) == Path("/from/environment")
    assert index_to_build(start=tmp_path) == Path("/from/environment")
    assert find_index(tmp_path / "named", start=tmp_path) == tmp_path / "named"
    assert index_to_build(tmp_path / "named", start=tmp_path) == tmp_path / "named"
    monkeypatch.setenv("FINETAG_INDEX", "")  # as good as unset
    assert index_to_build(start=tmp_path) == tmp_path / ".finetag"


def test_where_there_is_none_a_search_fails_and_a_build_makes_one(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"finetag-index build CATALOGUE.*--index"):
        find_index(start=tmp_path)
    assert index_to_build(start=tmp_path) == tmp_path / ".finetag"
