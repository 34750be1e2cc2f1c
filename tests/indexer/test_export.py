"""An index as a Parquet file: what a reader of it finds, and what stops the writing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import dataset, parquet

from finetag_model.errors import FineTagError, UsageError
from indexer import Index, build
from indexer import export as module
from indexer.export import export
from tests.indexer.full_disk import no_file_larger_than


@pytest.fixture
def index(many: Path, index_dir: Path, color_embedder: Any) -> Index:
    build(many, index_dir, color_embedder)
    return Index.open(index_dir)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Name a file in a folder of its own, so that nothing else may be left there."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "index.parquet"


@pytest.mark.parametrize("rows", [7, 25, 4096])
def test_every_value_is_the_index_s_own(
    monkeypatch: pytest.MonkeyPatch, index: Index, target: Path, rows: int
) -> None:
    monkeypatch.setattr(module, "_ROWS", rows)
    seen: list[tuple[int, int]] = []
    report = export(index, target, progress=lambda *each: seen.append(each))

    table = parquet.read_table(target)
    records = index.images(range(index.rows))
    for name in ("id", "path", "content_hash", "width", "height", "bytes"):
        assert table[name].to_pylist() == [getattr(record, name) for record in records]
    assert str(table.schema.field("mtime").type) == "timestamp[ns, tz=UTC]"
    assert table["mtime"].cast("int64").to_pylist() == [record.mtime_ns for record in records]
    assert [json.loads(each) for each in table["fields"].to_pylist()] == [
        dict(record.fields) for record in records
    ]
    scores = np.stack([index.scores(i) for i in range(10)], axis=1)
    assert table.schema.field("scores").type.list_size == 10
    flat = table["scores"].combine_chunks().flatten().to_numpy()
    assert flat.tobytes() == scores.tobytes()
    assert table.schema.field("visual").type.list_size == 7
    flat = table["visual"].combine_chunks().flatten().to_numpy()
    assert flat.dtype == np.float32
    assert flat.tobytes() == index.vectors(0, index.rows).tobytes()

    file = parquet.ParquetFile(target)
    groups = range(file.num_row_groups)
    assert max(file.metadata.row_group(i).num_rows for i in groups) == min(rows, 50)
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert seen[-1] == (50, 50)
    assert len(seen) == len(groups) == -(-50 // rows)
    assert report.as_dict() == {
        "path": str(target),
        "generation": 1,
        "images": 50,
        "bytes": target.stat().st_size,
        "seconds": pytest.approx(report.seconds, abs=1e-3),
    }
    assert "50 images" in report.as_text()
    assert list(target.parent.iterdir()) == [target]


def test_metadata_say_what_the_numbers_mean(index: Index, target: Path) -> None:
    export(index, target)
    about = json.loads(parquet.read_metadata(target).metadata[b"finetag"])
    model = index.manifest.model
    assert about["generation"] == 1
    assert about["catalogue"] == str(index.root)
    assert about["created"] == index.manifest.created
    assert (about["model"]["name"], about["model"]["digest"]) == (model.name, model.digest)
    assert about["model"]["vocabulary"] == list(model.vocabulary.names)
    assert np.float32(about["model"]["thresholds"]).tolist() == model.thresholds.tolist()


def test_some_columns_of_some_rows_are_read_without_the_others(index: Index, target: Path) -> None:
    export(index, target)
    ids = [record.id for record in index.images([3, 4])]
    part = dataset.dataset(target).to_table(
        columns=["path", "scores"], filter=dataset.field("id").isin(ids)
    )
    assert part["path"].to_pylist() == ["03.png", "04.png"]
    assert part["scores"].to_pylist()[0] == [int(index.scores(i)[3]) for i in range(10)]


@pytest.mark.parametrize("size", [0, 100, 2_000, 4_000])
def test_a_full_disk_is_one_line_and_leaves_what_was_there(
    index: Index, target: Path, size: int
) -> None:
    index.vectors(0, 1)  # mapped before files may not grow
    target.write_bytes(b"before")
    with no_file_larger_than(size), pytest.raises(FineTagError, match="file too large") as caught:
        export(index, target)
    assert str(target) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert target.read_bytes() == b"before"
    assert list(target.parent.iterdir()) == [target]


def test_a_place_that_cannot_be_written(index: Index, target: Path) -> None:
    with pytest.raises(FineTagError, match="no such file or directory; ") as caught:
        export(index, target.parent / "none" / "index.parquet")
    assert "\n" not in str(caught.value)
    target.mkdir()
    with pytest.raises(FineTagError, match="is a directory; "):
        export(index, target)
    assert list(target.parent.iterdir()) == [target]


def test_without_pyarrow_the_message_says_what_to_install(
    index: Index, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install 'finetag\[parquet\]'"):
        export(index, target)
    assert not target.exists()


def test_memory_does_not_grow_with_the_rows(
    index: Index, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most: list[int] = []
    images: Callable[..., Any] = index.images
    monkeypatch.setattr(module, "_ROWS", 8)
    monkeypatch.setattr(index, "images", lambda rows: most.append(len(rows)) or images(rows))
    export(index, target)
    assert max(most) == 8


def test_another_kind_of_file_is_refused(target: Path, index: Index) -> None:
    with pytest.raises(UsageError, match=r"index\.csv does not end in \.parquet"):
        export(index, target.with_suffix(".csv"))
    assert not target.with_suffix(".csv").exists()
