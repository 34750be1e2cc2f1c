"""`finetag-search` as its user sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from finetag_model.errors import CheckpointError
from retrieval.cli import main

Search = Callable[..., Result]


def one_line(result: Result, exit_code: int) -> str:
    """Return what a command that failed as it should has said."""
    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    return result.stderr


def test_a_query_and_an_attribute(search: Search, root: Path) -> None:
    result = search(root / "red" / "red_blue.png", "--attr", "upper=red", "--limit", 3)
    assert result.exit_code == 0
    heading, first, *_, last = result.stdout.splitlines()
    assert heading.split() == ["#", "image", "similarity", "upper=red"]
    rank, name, similarity, probability = first.split()
    assert (rank, name, similarity) == ("1", "red/red_blue.png", "1.000")
    assert float(probability) == pytest.approx(1.0, abs=0.01)
    assert last.startswith("3 of ")
    assert "· exact over" in last
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_json_has_stable_keys_and_absolute_paths(search: Search, root: Path) -> None:
    query = root / "red" / "red_blue.png"
    result = search(query, "--attr", "upper=red", "--attr", "lower=blue", "--json")
    value = json.loads(result.stdout)
    assert list(value) == [
        "query",
        "total",
        "where",
        "filter",
        "plan",
        "exact",
        "recall",
        "reason",
        "generation",
        "milliseconds",
        "next",
        "facets",
        "hits",
    ]
    assert value["query"] == str(query)
    assert value["where"] == ["upper=red", "lower=blue"]
    assert value["filter"] == "upper=red AND lower=blue"
    assert value["total"] == len(value["hits"])
    first = value["hits"][0]
    assert first == {
        "rank": 1,
        "id": first["id"],
        "path": str(query),
        "name": "red/red_blue.png",
        "score": pytest.approx(1.0, abs=1e-5),
        "similarity": pytest.approx(1.0, abs=1e-5),
        "attributes": pytest.approx({"upper=red": 1.0, "lower=blue": 1.0}, abs=0.01),
        "width": 32,
        "height": 24,
        "fields": {},
        "near_duplicates": 0,
        "group": None,
        "grouped": 0,
        "explanation": None,
    }


def test_json_without_a_query_or_without_hits(search: Search) -> None:
    value = json.loads(search("--attr", "upper=red", "--attr", "upper=blue", "--json").stdout)
    assert value["query"] is None
    assert value["hits"] == []
    assert "never in one image" in value["reason"]


def test_html_is_written_and_named_and_goes_with_json(
    search: Search, root: Path, tmp_path: Path
) -> None:
    page = tmp_path / "found.html"
    alone = search(root / "red" / "red_blue.png", "--html", page)
    assert (alone.exit_code, alone.stderr) == (0, f"wrote {page}\n")
    assert "red/red_blue.png" in alone.stdout
    assert "red_blue.png" in page.read_text(encoding="utf-8").replace("<wbr>", "")
    page.unlink()
    both = search(root / "red" / "red_blue.png", "--html", page, "--json")
    assert json.loads(both.stdout)["hits"]
    assert page.exists()


def test_html_that_cannot_be_written_is_one_line(search: Search, tmp_path: Path) -> None:
    message = one_line(search("--attr", "upper=red", "--html", tmp_path / "no" / "a.html"), 1)
    assert "no such file or directory" in message


def test_attributes_are_listed_with_their_counts(search: Search) -> None:
    lines = search("--attributes").stdout.splitlines()
    assert len(lines) == 11
    assert lines[5] == ""
    name, count = lines[0].split()
    assert name == "upper=red"
    value = json.loads(search("--attributes", "--json").stdout)
    assert value["upper"]["red"] == int(count) > 0
    assert f"of {count} matches" in search("--attr", name).stdout


@pytest.mark.parametrize("other", [["x.jpg"], ["--attr", "upper=red"], ["--html", "x.html"]])
def test_attributes_stand_alone(search: Search, other: list[str]) -> None:
    assert "--attributes" in one_line(search("--attributes", *other), 2)


def test_a_wrong_filter_is_shown_with_what_is_near(search: Search) -> None:
    result = search("--attr", "lower=red", "--attr", "NOT uper=red")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "error: unknown attribute or field 'uper' at character 5; nearest: upper, lower\n"
        "  NOT uper=red\n"
        "      ^\n"
    )
    assert "nearest: grey" in search("--attr", "upper=gray").stderr


def test_a_filter_may_be_any_expression(search: Search) -> None:
    both = json.loads(
        search("--attr", "upper=red or upper=blue", "--attr", "lower!=red", "--json").stdout
    )
    names = {hit["name"] for hit in both["hits"]}
    assert {"red/red_blue.png", "blue/blue_green.png"} <= names
    assert not {"red/red_red.png", "green/green_blue.png"} & names
    assert both["where"] == ["upper=red", "upper=blue"]
    assert both["filter"] == "(upper=red OR upper=blue) AND lower!=red"


def test_the_help_teaches_filters(search: Search) -> None:
    text = search("--help").output
    assert '\n    "price<50" ' in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one(search: Search, limit: int) -> None:
    assert "at least 1" in one_line(search("--attr", "upper=red", "--limit", limit), 2)


def test_a_query_that_cannot_be_read(search: Search, tmp_path: Path) -> None:
    assert "does not exist" in one_line(search(tmp_path / "none.jpg"), 1)
    assert "is a folder" in one_line(search(tmp_path), 1)
    (tmp_path / "text.jpg").write_text("no image")
    assert "text.jpg" in one_line(search(tmp_path / "text.jpg"), 1)


def test_an_index_that_is_not_there(
    search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = search("--attr", "upper=red", "--index", tmp_path / "none")
    assert "finetag-index build" in one_line(missing, 1)
    monkeypatch.delenv("FINETAG_INDEX")
    monkeypatch.chdir(tmp_path)
    assert "finetag-index build" in one_line(search("--attr", "upper=red"), 1)


def test_a_model_that_cannot_be_loaded(
    search: Search, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(checkpoint: Path, runtime: str) -> None:
        raise CheckpointError(f"{checkpoint} does not exist; {runtime}")

    monkeypatch.setattr("retrieval.catalog.load_embedder", refuse)
    result = search(root / "mixed_00.png", "--model", "m.safetensors", "--runtime", "onnx")
    assert "m.safetensors does not exist; onnx" in one_line(result, 1)


def test_without_arguments_the_help_teaches(search: Search) -> None:
    result = search()
    assert result.exit_code == 2
    assert "\n    finetag-search query.jpg --attr underparts_color=grey\n" in result.output
    assert result.output == search("--help").output


def test_every_option_is_documented(search: Search) -> None:
    text = search("--help").output
    for parameter in main.params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert all(name in text for name in parameter.opts)
