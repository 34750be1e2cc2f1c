"""The commands of docs/search-speed.md run at small scale, and its data are what they should be."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from search_data import Data, make
from search_report import read, tables
from search_worker import Task, measure_filter

from tests.pages import ROOT, commands, run, run_well

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 900
SMALL_SCALE = {
    "--index .finetag --keep search-data": (
        f"--draw 12 --rows {ROWS} --queries 4 --repeats 1 --bandwidth-mib 16 --rates 1,10,100 "
        "--kinds 'random;correlated, three;anti-correlated' --keep search-data "
        "--engines finetag,numpy,faiss-hnsw,faiss-ivf,hnswlib"
    ),
    "docs/search.png": "search.png",
    "benchmarks/": f"{ROOT}/benchmarks/",
}


def test_its_commands_run(tmp_path: Path) -> None:
    measure, show = commands(ROOT / "docs" / "search-speed.md", SMALL_SCALE)
    printed = run_well(measure, tmp_path)
    assert "correlated, three" in printed
    assert "12 drawn birds" in printed
    assert "finetag / best other" in printed
    picture = tmp_path / "search.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    lines = read(tmp_path / "search.jsonl")
    cells = [line for line in lines if line["type"] == "cell"]
    for cell in cells:
        assert "error" not in cell, cell
        assert cell["wrong"] == 0, cell
        if cell["engine"] in {"finetag", "numpy"}:
            assert (cell["recall"], cell["short"]) == (1.0, 0), cell
        if cell["engine"].startswith("faiss"):
            assert cell["recall"] >= 0.95, cell
    measured = {line["engine"]: line for line in lines if line["type"] == "engine"}
    assert {cell["engine"] for cell in cells} == set(measured)
    assert {"finetag", "numpy", "faiss-hnsw", "faiss-ivf"} <= set(measured)
    assert len(cells) == 7 * len(measured)  # all rows pass one of the kinds alone
    if "hnswlib" not in measured:
        assert find_spec("hnswlib") is None
        assert "hnswlib: build: ModuleNotFoundError: No module named 'hnswlib'" in printed
        assert "not measured" in printed

    picture.unlink()
    assert "finetag / best other" in run_well(show, tmp_path)
    assert picture.exists()
    # What is kept is neither grown nor built again.
    built = tmp_path.glob("search-data/rows-*/engines/*/built.json")
    before = {path: path.stat().st_mtime_ns for path in built}
    again = measure.replace("--engines finetag,numpy,faiss-hnsw,faiss-ivf,", "--engines numpy,")
    run_well(again, tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    refused = run(f"python {ROOT}/benchmarks/search.py --engines numpi", tmp_path)
    assert refused.returncode == 2
    assert "'numpi'" in refused.stderr
    assert "Traceback" not in refused.stderr


class Parents:
    """What `make` needs of an index: 60 random rows of 8 floats and 3 scores."""

    rows = 60

    class manifest:  # noqa: N801
        vocabulary = ("a=1", "a=2", "b=1")

    def __init__(self) -> None:
        random = np.random.default_rng(5)
        visual = random.standard_normal((self.rows, 8))
        self.visual = visual / np.linalg.norm(visual, axis=1, keepdims=True)
        self.scored = random.integers(0, 256, (3, self.rows), dtype=np.uint8)

    def vectors(self, start: int, stop: int) -> Any:
        return self.visual[start:stop].astype(np.float32)

    def scores(self, position: int) -> Any:
        return self.scored[position]


@pytest.fixture
def data(tmp_path: Path) -> Data:
    made: Any = Parents()
    make(tmp_path, made, ROWS, 7, seed=3)
    return Data(tmp_path, 2)


def test_filters_let_pass_what_they_say(data: Data) -> None:
    assert len(data.filters) == 6 + 6 + 5 + 5 + 5
    assert sorted(tag for each in data.filters for tag in each.tags) == list(range(len(data.tags)))
    for case in data.filters:
        passing = data.passing(case.tags)
        assert passing.sum() == case.passing == max(round(case.rate * ROWS), 1)
        assert len(case.tags) == (3 if case.kind.endswith("three") else 1)


def test_the_right_answers_are_right(data: Data) -> None:
    np.testing.assert_allclose(np.linalg.norm(data.vectors, axis=1), 1, atol=1e-6)
    for case, queries, truth in zip(data.filters, data.queries, data.truth, strict=True):
        rows = np.flatnonzero(data.passing(case.tags))
        alike = queries.astype(np.float64) @ data.vectors[rows].T
        for found, each in zip(truth, alike, strict=True):
            number = min(10, len(rows))
            assert (found[number:] == -1).all()
            best = rows[np.argsort(-each, kind="stable")[:number]]
            assert found[:number].tolist() == best.tolist()


def test_correlated_filters_are_near_their_queries_and_others_far(data: Data) -> None:
    likeness = {}
    for case, queries in zip(data.filters, data.queries, strict=True):
        if case.rate == 0.1:
            passing = data.passing(case.tags)
            likeness[case.kind] = float((queries @ data.vectors[passing].T).mean())
    assert likeness["correlated"] > likeness["random"] + 0.1
    assert likeness["anti-correlated"] < likeness["random"] - 0.1


def test_of_two_runs_the_last_counts_unless_the_rows_differ(tmp_path: Path) -> None:
    same = {"source": "x", "rows": 10, "dim": 8, "tags": 4, "queries": 2, "seed": 0}
    run = {"type": "run", "cores": 2, "processor": "p", "load": 0.0, "bytes_per_second": 1e9}
    cell = {"type": "cell", "kind": "random", "rate": 0.5, "passing": 5, "recall": 1.0}
    cell |= {"p50_ms": 1.0, "p99_ms": 1.0, "queries": 2, "short": 0, "wrong": 0}
    lines = [
        run | same | {"rows": 99},
        cell | {"engine": "duckdb", "qps": 1.0},
        run | same,
        {"type": "missing", "engine": "numpy", "reason": "no time"},
        cell | {"engine": "finetag", "qps": 100.0},
        run | same,
        cell | {"engine": "numpy", "qps": 50.0, "recall": 0.5},
        cell | {"engine": "chroma", "qps": 40.0, "short": 1},
    ]
    file = tmp_path / "lines.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    kind, _ = tables(read(file))
    columns = [list(column.cells) for column in kind.columns]
    shown = dict(zip(*columns, strict=True))
    assert "duckdb" not in shown
    assert shown["numpy"].startswith("50 \\[0.50]")
    assert shown["chroma"] == "40\n50% short\n1.00 / 1.00"
    assert shown["finetag / best other"] == "2.50 (chroma)"


class Halting:
    """An engine that finds `effort` of the right rows, and at effort 4 a wrong one as well."""

    efforts = (4, 10, 20)

    def __init__(self, data: Data, number: int) -> None:
        self.truth = {
            query.tobytes(): found
            for query, found in zip(data.queries[number], data.truth[number], strict=True)
        }
        self.failing = np.flatnonzero(~data.passing(data.filters[number].tags))

    def search(self, query: Any, tags: tuple[int, ...], k: int, effort: int) -> Any:
        found = self.truth[query.tobytes()][: min(k, effort)]
        return np.append(found, self.failing[0]) if effort == 4 else found


def test_the_cheapest_effort_that_finds_enough_is_taken(data: Data, tmp_path: Path) -> None:
    number = next(i for i, each in enumerate(data.filters) if each.rate == 0.1)
    task = Task("halting", "", "", str(tmp_path / "out"), (), (), cores=2, repeats=2, seconds=9)
    engine: Any = Halting(data, number)
    cell = measure_filter(engine, data, number, task)
    assert (cell["effort"], cell["recall"], cell["short"], cell["wrong"]) == (10, 1.0, 0, 0)
    assert cell["queries"] == 7
    engine.efforts = (2, 4)
    cell = measure_filter(engine, data, number, task)
    assert (cell["effort"], round(cell["recall"], 6)) == (4, 0.4)
    assert (cell["short"], cell["wrong"]) == (7, 7)
    engine.search = None
    assert measure_filter(engine, data, number, task)["error"].startswith("TypeError")
