"""The vector files on a full disk, cut short, garbled, of another index: refused, no crash."""

from __future__ import annotations

import re
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from indexer.approximation import RABITQ, SQ8
from indexer.selection import Selection
from indexer.vectors import Vectors, training, write_flat, write_ivf
from indexer.vectors.files import inner, write_lists
from tests.indexer.vectors import (
    DIM,
    KINDS,
    ROWS,
    clustered,
    flat,
    plans_of,
    prefer,
    time,
    written,
)


@pytest.fixture(autouse=True)
def every_size_is_worth_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small indexes be approximate: whether they are faster is left to the benchmarks."""
    monkeypatch.setattr(training, "FLAT_ROWS", 1000)
    time(monkeypatch)


@pytest.fixture(scope="module", params=KINDS)
def approximate(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Vectors:
    return written(tmp_path_factory.mktemp("approximate"), clustered(ROWS), request.param)


def test_a_full_disk_is_an_error_to_the_last_byte(tmp_path: Path) -> None:
    vectors = flat(tmp_path / "flat", clustered(1500))
    write_ivf(tmp_path / "ivf", vectors, None, None)
    size = (tmp_path / "ivf").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, size // 2, size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(OSError, match="too large"):
                write_ivf(tmp_path / "ivf", vectors, None, None)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def files(approximate: Vectors, tmp_path: Path) -> dict[str, Any]:
    """Return what opens each of the two files."""
    made = approximate.approximation
    write_flat(tmp_path / "good", DIM, ROWS, [approximate.read(0, ROWS)])
    with pytest.MonkeyPatch.context() as patch:
        assert made
        prefer(patch, made.kind)
        write_ivf(tmp_path / "ivf", approximate, None, None)

    def use(vectors: Vectors) -> None:
        for among in (None, Selection.of(np.arange(0, ROWS, 2), ROWS)):
            vectors.search(clustered(3, seed=9), 5, among)
            for plan in plans_of(vectors):
                vectors.search(clustered(3, seed=9), 5, among, plan)

    return {
        "good": lambda path: use(Vectors(path, ROWS, DIM)),
        "ivf": lambda path: use(Vectors(tmp_path / "good", ROWS, DIM, (path, made))),
    }


@pytest.mark.parametrize("name", ["good", "ivf"])
def test_a_file_cut_short_or_with_a_garbled_head_is_refused(
    files: dict[str, Any], tmp_path: Path, name: str
) -> None:
    data = (tmp_path / name).read_bytes()
    random = np.random.default_rng(0)
    bad = tmp_path / "bad"
    lengths = [*range(120), *random.integers(0, len(data), 50), *range(len(data) - 45, len(data))]
    damaged = [data[:length] for length in lengths]
    damaged += [
        data[:i] + bytes([data[i] ^ int(random.integers(1, 256))]) + data[i + 1 :]
        for i in random.permutation(np.repeat(np.arange(45), 2))
    ]
    damaged += [data + b"\0", random.bytes(len(data)), b"\x93NUMPY" + data]
    for contents in damaged:
        bad.write_bytes(contents)
        with pytest.raises(ValueError, match=r"\w \w"):
            files[name](bad)
    bad.unlink()
    with pytest.raises(ValueError, match="cannot be read"):
        files[name](bad)
    files[name](tmp_path / name)


def test_codes_and_ids_that_are_wrong_crash_nothing(files: dict[str, Any], tmp_path: Path) -> None:
    data = (tmp_path / "ivf").read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        i = int(random.integers(0, len(data) - 8))
        (tmp_path / "bad").write_bytes(data[:i] + random.bytes(8) + data[i + 8 :])
        try:
            files["ivf"](tmp_path / "bad")
        except ValueError as error:
            refused += re.search("is damaged|each row once", str(error)) is not None
    assert refused > 20


@pytest.mark.parametrize("wrong", [-1, -(2**63), ROWS, 2**40, 2**63 - 1, "of another row"])
@pytest.mark.usefixtures("files")
def test_ids_that_are_no_row_or_one_twice_are_refused(
    approximate: Vectors, tmp_path: Path, wrong: int | str
) -> None:
    made = approximate.approximation
    assert made
    index: Any = faiss.read_index(str(tmp_path / "ivf"))
    lists = inner(index).invlists
    longest = max(range(made.nlist), key=lists.list_size)
    ids = faiss.rev_swig_ptr(lists.get_ids(longest), lists.list_size(longest))
    ids[1] = ids[0] if isinstance(wrong, str) else wrong
    write_lists(tmp_path / "bad", index)
    vectors = Vectors(tmp_path / "good", ROWS, DIM, (tmp_path / "bad", made))
    for among in (None, Selection.of(np.arange(0, ROWS, 2), ROWS)):
        for plan in plans_of(vectors)[1:]:
            with pytest.raises(ValueError, match="do not hold each row once"):
                vectors.search(clustered(1), 5, among, plan)
        assert vectors.search(clustered(1), 5, among)[0].shape == (1, 5)


def test_files_of_another_index_are_refused(approximate: Vectors, tmp_path: Path) -> None:
    other = flat(tmp_path / "flat", clustered(2000))
    made = write_ivf(tmp_path / "ivf", other, None, None)
    assert made
    vectors = clustered(2001)
    flat(tmp_path / "larger", vectors)
    wider = flat(tmp_path / "wider", clustered(2000, DIM + 1))
    another_kind = replace(made, kind=SQ8 if made.kind == RABITQ else RABITQ)
    for path, rows, dim, said in (
        ("larger", 2001, DIM, made),
        ("wider", 2000, wider.dim, made),
        ("flat", 2000, DIM, replace(made, nlist=2 * made.nlist)),
        ("flat", 2000, DIM, another_kind),
    ):
        with pytest.raises(ValueError, match=r"\w \w"):
            Vectors(tmp_path / path, rows, dim, (tmp_path / "ivf", said))
    with pytest.raises(ValueError, match="announces"):
        Vectors(tmp_path / "larger", 2000, DIM)
