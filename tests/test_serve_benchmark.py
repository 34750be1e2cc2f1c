"""The commands of docs/service-speed.md run at small scale, and what is wrong would be noticed."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import serve_questions
from serve_index import TwoContents, open_contents, prepare
from serve_report import figures, markdown

from indexer import Index, build
from retrieval import Catalog
from retrieval.service.models import Answer
from tests.pages import ROOT, commands, run_well

SMALL_SCALE = {
    "--index .finetag --keep search-data": (
        "--draw 12 --rows 900 --clients 6 --seconds 3 --swap 0.7 --questions 6 --workers 1"
    ),
    "python benchmarks/": f"python {ROOT}/benchmarks/",
}


def test_its_commands_run(tmp_path: Path) -> None:
    (measure,) = commands(ROOT / "docs" / "service-speed.md", SMALL_SCALE)
    printed = run_well(measure, tmp_path)
    assert "900 rows grown from 12 drawn birds, 6 clients for 3 s, 1 worker" in printed
    assert "| wrong answers | 0 |" in printed
    told = json.loads((tmp_path / "serve.json").read_text())
    assert (told["wrong"], told["lost"], told["errors"]) == (0, 0, 0)
    assert set(told["times"]) == {*serve_questions.SHARES, "all"}
    assert told["swaps"] >= 2
    assert len(told["generations_seen"]) >= 2
    assert told["taken_up_seconds"] < 3
    assert told["hung_up"] > 0
    assert told["half_bodies"] > 0
    assert told["memory"]["pss"] > 0
    assert told["service_cpu_seconds"] > 0


@pytest.fixture
def prepared(tmp_path: Path, color_embedder: Any, paint: Any) -> Path:
    for color in ("red", "green", "blue", "grey"):
        for other in ("red", "white", "grey"):
            paint(tmp_path / "catalogue" / f"{color}-{other}.png", color, other)
    build(tmp_path / "catalogue", tmp_path / "index", color_embedder)
    prepare(tmp_path / "index", tmp_path / "prepared", [1, 5])
    return tmp_path / "prepared"


def test_contents_take_turns(prepared: Path, tmp_path: Path) -> None:
    assert Index.open(tmp_path / "index").rows == 12, "what it was prepared from stays as it is"
    before = (prepared / "made.json").stat().st_mtime_ns
    prepare(tmp_path / "index", prepared, [1, 5])
    assert (prepared / "made.json").stat().st_mtime_ns == before
    served = TwoContents(prepared, tmp_path / "served")
    rows = []
    for _ in range(5):
        with closing(Index.open(served.folder)) as index:
            rows.append((index.manifest.generation, index.rows))
        served.swap()
    assert rows == [(1, 12), (2, 10), (3, 12), (4, 10), (5, 12)]
    assert [each.name for each in (served.folder / "generations").iterdir()] == ["6"]
    served.close()
    assert [each.rows for each in open_contents(prepared)] == [12, 10]


def test_what_is_wrong_is_noticed(
    prepared: Path, tmp_path: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_questions, "load_embedder", lambda: color_embedder)
    contents = open_contents(prepared)
    asked = {"filter": [{"json": {"where": "upper=grey", "limit": 2}}]}
    checker = serve_questions.Checker(contents, asked)
    line = {"kind": "filter", "question": 0, "page": 1, "start": 0.0, "seconds": 0.1, "status": 200}
    catalog = Catalog(contents[0])
    first = catalog.search(where="upper=grey", limit=2)
    second = catalog.search(where="upper=grey", limit=2, cursor=first.next)
    bodies = []
    for found in (first, second):
        told = Answer.model_validate(found).model_dump(mode="json")
        told["generation"] = 1
        bodies.append(told)
    right, other = bodies
    assert checker.what_is_wrong(line, json.dumps(right).encode()) is None
    assert checker.what_is_wrong({**line, "page": 2}, json.dumps(other).encode()) is None
    for wrong in (
        other,
        {**right, "generation": 2},
        {**right, "total": right["total"] + 1},
        {**right, "hits": right["hits"][::-1]},
        {**right, "next": None},
    ):
        assert checker.what_is_wrong(line, json.dumps(wrong).encode())

    (tmp_path / "load").mkdir()
    texts = [json.dumps(each).encode() for each in (right, other)] + [b"{}"]
    lines: list[dict[str, Any]] = [
        {**line, "body": (sum(map(len, texts[:at])), len(text))} for at, text in enumerate(texts)
    ]
    lines[2]["status"] = 503
    lines.append({"kind": "filter", "question": 0, "page": 1, "start": 0.0, "lost": "no answer"})
    (tmp_path / "load" / "answers.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in lines))
    (tmp_path / "load" / "bodies").write_bytes(b"".join(texts))
    summary = {"seconds": 2.0, "cpu_seconds": 1.0, "hung_up": 0, "half_bodies": 0}
    (tmp_path / "load" / "summary.json").write_text(json.dumps(summary))
    run = {"swaps": [(1, 0.0)], "source": "x", "rows": 12, "clients": 1, "workers": 1, "cores": 2}
    run |= {"processor": "p", "load": 0.0, "service_cpu_seconds": 1.0, "processes": 1}
    run |= {"publisher_cpu_seconds": 0.0, "memory": {"pss": 1, "rss": 1, "private": 1}}
    told = figures({**run, "workers_memory": []}, tmp_path / "load", checker)
    assert (told["wrong"], told["errors"], told["lost"]) == (1, 1, 1)
    assert told["times"]["all"]["requests"] == 1
    assert "| wrong answers | 1 |" in markdown(told)
