"""A whole index with inverted lists: built, verified, planned, searched, damaged."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from finetag_model.errors import CatalogueError
from indexer import Index, build, vectors
from indexer.approximation import EXACT, SQ8, Plan
from indexer.manifest import IVF
from indexer.selection import Selection
from indexer.vectors import calibration, training
from indexer.vectors.files import inner, write_lists
from indexer.verifying import verify
from tests.indexer.vectors import prefer

QUERY = np.eye(2, 7, dtype=np.float32)


@pytest.fixture
def index_with_lists(
    many: Path, index_dir: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return an index of 50 images; few enough to have none, were that not changed here."""
    for module in (vectors, training):
        monkeypatch.setattr(module, "FLAT_ROWS", 50)
    monkeypatch.setattr(training, "_QUERIES", 10)
    monkeypatch.setattr(calibration, "SHARES", (0.3, 1.0))
    prefer(monkeypatch, SQ8)
    build(many, index_dir, color_embedder)
    return index_dir


def test_an_index_with_lists_is_planned_and_searched(index_with_lists: Path) -> None:
    assert verify(index_with_lists).is_whole
    with closing(Index.open(index_with_lists)) as index:
        known = index.manifest.approximation
        assert known
        assert (known.kind, [each.rows for each in known.measured]) == (SQ8, [15, 50])
        assert [index.plan(50, k).kind for k in (10, 40, 50)] == [SQ8, SQ8, EXACT]
        odd = Selection.of(np.arange(1, 50, 2), 50)
        quick = Selection(odd.mask, lambda: index.in_lists(odd.mask))
        for among in (None, odd, quick):
            exact, similarities = index.search(QUERY, 9, among)
            found = index.search(QUERY, 9, among, Plan(SQ8))  # 256 rows are looked at: it is exact
            assert found[0].tolist() == exact.tolist()
            assert found[1].tolist() == similarities.tolist()


def test_an_index_without_lists_is_searched_exactly(
    many: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(many, index_dir, color_embedder)
    with closing(Index.open(index_dir)) as index:
        assert index.plan(50, 10) == Plan()
        assert index.search(QUERY, 3, None, index.plan(50, 3))[0].shape == (2, 3)
        with pytest.raises(CatalogueError, match="no approximate index"):
            index.search(QUERY, 3, None, Plan(SQ8))
        with pytest.raises(CatalogueError, match="no approximate index"):
            index.in_lists(Selection.of(np.arange(3), 50).mask)


@pytest.mark.parametrize("wrong", [-1, 50, 2**40, "of another row"])
def test_lists_with_wrong_rows_are_damage(index_with_lists: Path, wrong: int | str) -> None:
    generation = index_with_lists / "generations" / "1"
    lists: Any = faiss.read_index(str(generation / IVF))
    stored = inner(lists).invlists
    longest = max(range(inner(lists).nlist), key=stored.list_size)
    ids = faiss.rev_swig_ptr(stored.get_ids(longest), stored.list_size(longest))
    ids[1] = ids[0] if isinstance(wrong, str) else wrong
    (generation / IVF).chmod(0o600)
    write_lists(generation / IVF, lists)
    assert not verify(index_with_lists).is_whole
    with closing(Index.open(index_with_lists)) as index:
        mask = Selection.of(np.arange(20), 50).mask
        for among in (None, Selection(mask)):
            with pytest.raises(CatalogueError, match=f"{IVF}: .*each row once") as caught:
                index.search(QUERY, 3, among, Plan(SQ8))
            assert str(index_with_lists) in str(caught.value)
        with pytest.raises(CatalogueError, match="each row once"):
            index.in_lists(mask)
        assert index.search(QUERY, 3)[0].shape == (2, 3)
