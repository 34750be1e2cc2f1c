"""`finetag-search` as its user sees it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from finetag_model.errors import CheckpointError
from retrieval.cli import main

Search = Callable[..., Result]

SLOW = {"torch", "onnxruntime", "faiss", "PIL", "sqlalchemy", "pyarrow", "scipy", "jinja2"}


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
    heading, first, *_, last, following = result.stdout.splitlines()
    assert heading.split() == ["#", "image", "similarity", "upper=red", "id"]
    rank, name, similarity, probability, _ = first.split()
    assert (rank, name, similarity) == ("1", "red/red_blue.png", "1.000")
    assert float(probability) == pytest.approx(1.0, abs=0.01)
    assert last.startswith("3 of ")
    assert "· exact over" in last
    assert following.startswith("next page: --cursor ")
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_json_has_stable_keys_and_absolute_paths(search: Search, root: Path) -> None:
    query = root / "red" / "red_blue.png"
    result = search(query, "--attr", "upper=red", "--attr", "lower=blue", "--json")
    value = json.loads(result.stdout)
    assert list(value) == [
        "query",
        "like",
        "unlike",
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


def test_a_search_by_attribute_waits_for_nothing_slow(index_dir: Path) -> None:
    arguments = [
        "--attr",
        "upper=red",
        "--facets",
        "--group-by",
        "lower",
        "--index",
        str(index_dir),
    ]
    code = (
        "import sys; from retrieval.cli import main; main(sys.argv[1:], standalone_mode=False);"
        f"print(*{SLOW} & set(sys.modules), file=sys.stderr)"
    )
    for more in ([], ["--json"], ["--explain"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments, *more],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr.strip() == ""


@pytest.fixture
def query(root: Path) -> Path:
    return root / "red" / "red_blue.png"


def value_of(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def names_of(result: Result) -> list[str]:
    return [hit["name"] for hit in value_of(result)["hits"]]


def test_several_images_ids_and_none_are_named_in_json(search: Search, root: Path) -> None:
    files = [root / "red" / "red_blue.png", root / "red" / "red_red.png"]
    value = value_of(search(*files, "--like", 1, "--like", 2, "--unlike", 3, "--json"))
    assert (value["query"], value["like"], value["unlike"]) == ([*map(str, files)], [1, 2], [3])
    assert not {1, 2, 3} & {hit["id"] for hit in value["hits"]}
    value = value_of(search("--like", 1, "--json"))
    assert (value["query"], value["like"], value["unlike"]) == (None, [1], [])


def test_a_picture_from_standard_input(index_dir: Path, search: Search, query: Path) -> None:
    def piped(data: bytes, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["-", *arguments], input=data)

    value = value_of(piped(query.read_bytes(), "--json"))
    assert value["query"] == "-"
    assert value["hits"][0]["path"] == str(query)
    assert "standard input is empty" in one_line(piped(b""), 2)
    assert "image" in one_line(piped(b"no image"), 1)
    assert "give '-' once" in one_line(piped(b"", "-"), 2)


def test_a_terminal_is_no_picture(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.cli_options.sys", Terminal())
    assert "cat query.jpg | finetag-search -" in one_line(search("-"), 2)


class Terminal:
    """What stands in for `sys` where standard input is a terminal."""

    stdin = type("Input", (), {"isatty": staticmethod(lambda: True)})


def test_a_url_is_fetched_once(
    search: Search, query: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(url: str, *, private: bool) -> bytes:
        asked.append((url, private))
        return query.read_bytes()

    monkeypatch.setattr("retrieval.fetch.fetch", fetch)
    url, page = "https://example.org//a.png?key=secret", tmp_path / "a.html"
    value = value_of(search(url, "--json", "--html", page))
    assert value["query"] == url
    assert value["hits"][0]["path"] == str(query)
    assert asked == [(url, False)]
    assert "secret" not in page.read_text()
    assert search(url, "--private-urls").exit_code == 0
    assert asked[1:] == [(url, True)]


def test_a_url_that_holds_no_image_is_named(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.fetch.fetch", lambda _url, private: b"<html>")
    told = one_line(search("https://example.org/a?key=secret"), 1)
    assert told.startswith("error: https://example.org/a is not an image in a known format")


@pytest.mark.parametrize("address", ["ftp://shop.example/x.jpg", "file:///tmp/x.jpg"])
def test_an_address_that_is_not_fetched_is_not_called_a_missing_file(
    search: Search, address: str
) -> None:
    told = one_line(search(address), 2)
    assert f"{address} is an address of neither http nor https" in told


def test_a_url_of_a_private_address_is_refused(search: Search) -> None:
    assert "127.0.0.1" in one_line(search("http://127.0.0.1:8000/a.png"), 2)


def test_an_image_of_one_pixel(search: Search, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (200, 30, 30)).save(tmp_path / "one.png")
    assert names_of(search(tmp_path / "one.png", "--json"))[0] == "red/red_red.png"


def test_a_crop_and_a_weight(search: Search, query: Path) -> None:
    for crop in ("0,12,32,12", "0,0.5,1,0.5"):
        assert names_of(search(query, "--crop", crop, "--json"))[0] == "blue/blue_blue.png"
    by_looks, by_share = (
        value_of(search(query, "--weight", weight, "--json"))["hits"]
        for weight in ("visual=0.25", "attributes=0.75")
    )
    assert by_looks == by_share
    assert by_looks[0]["score"] != by_looks[0]["similarity"]
    heading = search(query, "--weight", "visual=0.25").stdout.splitlines()[0]
    assert heading.split() == ["#", "image", "score", "similarity", "id"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{q} --crop 1,2,3", "--crop takes four numbers"),
        ("{q} --crop a,b,c,d", "not 'a,b,c,d'"),
        ("{q} --crop 0,0,99,99", "not inside the picture, which is 32 x 24"),
        ("{q} --crop 0,0,0,0", "empty"),
        ("--like 1 --crop 0,0,1,1", "not of one in the index"),
        ("{q} --weight 0.7", "visual=0.7"),
        ("{q} --weight visual=2", "from 0 to 1"),
        ("{q} --weight size=0.5", "not 'size=0.5'"),
        ("--attr upper=red --weight visual=0.5", "about a picture"),
        ("--unlike 3 --attr upper=red", "about a picture"),
        ("--like 4711", "no image with the id 4711"),
        ("--like 1 --unlike 1", "cancel each other out"),
        ("--attr upper=red --sort prize", "unknown field 'prize'"),
        ("--attr upper=red --group-by uper", "nearest: upper"),
        ("--attr upper=red --facet uper", "nearest: upper"),
        ("--attr upper=red --group-by upper --dedup", "not both"),
        ("--attr upper=red --cursor nonsense", "is not a cursor"),
        ("--limit 3", "nothing to search for"),
        ("--each", "there is none"),
        ("{q} --each --like 1", "without --like"),
        ("{q} --each --explain", "without --explain"),
        ("{q} --each --html x.html", "without --html"),
        ("{q} --json --jsonl", "--json and --jsonl exclude each other"),
        ("{q} --json --paths", "--json and --paths exclude each other"),
        ("{q} -0", "give that too"),
        ("{q} --json -0", "give that too"),
        ("{q} --paths --facets", "without --facets"),
        ("{q} --jsonl --facet upper", "without --facet"),
        ("{q} --paths --explain", "without --explain"),
        ("{q} --json --thumbnails", "without --thumbnails"),
        ("--attributes --limit 3", "without --limit"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    search: Search, query: Path, arguments: str, message: str
) -> None:
    result = search(*shlex.split(arguments.format(q=shlex.quote(str(query)))))
    assert message in one_line(result, 2)


def test_a_limit_above_the_catalogue_and_a_least_score(search: Search, query: Path) -> None:
    everything = value_of(search(query, "--limit", 10**9, "--json"))
    assert len(everything["hits"]) == 65
    assert everything["next"] is None
    high = value_of(search(query, "--min-score", 0.9, "--limit", 99, "--json"))["hits"]
    assert high == [hit for hit in everything["hits"] if hit["score"] >= 0.9]
    nothing = search(query, "--min-score", 1.5)
    assert nothing.exit_code == 0
    assert nothing.stdout.startswith("nothing found: no image has a score of 1.5 or more ·")


def test_the_table_says_how_to_go_on(search: Search, query: Path) -> None:
    everything = names_of(search(query, "--limit", 99, "--json"))
    found: list[str] = []
    arguments: list[str] = []
    for _ in range(3):
        lines = search(query, "--limit", 30, *arguments).stdout.splitlines()
        found += [
            line.split()[1] for line in lines if line[:2].strip().isdigit() and ".png" in line
        ]
        arguments = lines[-1].removeprefix("next page: ").split()
    assert found == everything
    assert "next page" not in lines[-1]
    first = search(query, "--limit", 1).stdout.splitlines()[-1].split()[-1]
    assert "another search" in one_line(search("--like", 1, "--cursor", first), 2)


def test_paths_are_for_other_programs(search: Search, query: Path) -> None:
    hits = value_of(search(query, "--limit", 4, "--json"))["hits"]
    paths = [hit["path"] for hit in hits]
    assert search(query, "--limit", 4, "--paths").stdout.splitlines() == paths
    for zero in ("-0", "--null"):
        result = search(query, "--limit", 4, "--paths", zero)
        assert result.stdout_bytes == b"".join(os.fsencode(path) + b"\0" for path in paths)
    lines = search(query, "--limit", 4, "--jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == hits


@pytest.mark.parametrize("form", ["--paths", "--jsonl"])
def test_nothing_found_is_told_beside_an_empty_list(search: Search, form: str) -> None:
    result = search("--attr", "upper=red", "--attr", "upper=blue", form)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing found: " in result.stderr


def test_with_each_an_unreadable_query_costs_itself_alone(
    search: Search, root: Path, tmp_path: Path
) -> None:
    broken, good = tmp_path / "broken.png", root / "red" / "red_blue.png"
    broken.write_bytes(b"nothing")
    closed = "http://127.0.0.1:1025/a.png"
    result = search(broken, good, closed, "--private-urls", "--each", "--json")
    assert result.exit_code == 3, result.stderr
    assert [each["query"] for each in json.loads(result.stdout)] == [str(good)]
    assert f"error: {broken} is not an image in a known format" in result.stderr
    assert f"error: {closed} cannot be fetched: the server cannot be reached" in result.stderr


def test_with_each_nothing_readable_is_no_answer(search: Search, tmp_path: Path) -> None:
    result = search(tmp_path / "gone.png", "--each", "--jsonl")
    assert (result.exit_code, result.stdout) == (3, "")


def test_each_query_is_answered_on_its_own(search: Search, root: Path) -> None:
    files = [root / "red" / "red_blue.png", root / "mixed_03.png"]
    alone = [value_of(search(file, "--attr", "lower=blue", "--json")) for file in files]
    arguments = [*files, "--each", "--attr", "lower=blue"]
    together = value_of(search(*arguments, "--json"))
    assert [each["query"] for each in together] == [*map(str, files)]
    for one, other in zip(alone, together, strict=True):
        assert [hit["id"] for hit in one["hits"]] == [hit["id"] for hit in other["hits"]]
    lines = [json.loads(line) for line in search(*arguments, "--jsonl").stdout.splitlines()]
    assert [(line["query"], line["id"]) for line in lines] == [
        (each["query"], hit["id"]) for each in together for hit in each["hits"]
    ]
    assert search(*arguments, "--paths").stdout.splitlines() == [line["path"] for line in lines]
    table = search(*arguments).stdout
    assert all(f"{file}\n#" in table for file in files)


def test_what_is_folded_counted_and_explained_is_in_the_table(search: Search, query: Path) -> None:
    arguments = (query, "--group-by", "upper", "--facet", "lower", "--explain", "--weight")
    text = search(*arguments, "visual=0.5").stdout
    heading = text.splitlines()[0].split()
    assert heading == ["#", "image", "score", "similarity", "group", "others", "id"]
    assert "looks" in text
    counts = {line.split()[1]: int(line.split()[2]) for line in text.splitlines()
              if line.startswith("lower  ")}  # fmt: skip
    value = value_of(search(*arguments, "visual=0.5", "--json"))
    assert counts == {name: count for name, count in value["facets"][0]["values"] if count}
    assert value["hits"][0]["group"] == "red"
    assert value["hits"][0]["explanation"]["attributes"][0]["name"] in {"upper=red", "lower=blue"}
    everything = value_of(search(query, "--facets", "--json"))["facets"]
    assert [facet["name"] for facet in everything] == ["upper", "lower"]


def test_thumbnails_need_a_terminal_that_shows_them(search: Search, query: Path) -> None:
    result = search(query, "--thumbnails", "--limit", 1)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == search(query, "--limit", 1).stdout.splitlines()[0]
    assert result.stderr.startswith("no thumbnails: ")
    assert result.stderr.count("\n") == 1


def test_heat_maps_need_the_model_of_the_index(search: Search, query: Path, tmp_path: Path) -> None:
    result = search(query, "--heatmap", tmp_path / "maps")
    assert "the index was built with the model color-halves" in one_line(result, 1)
    assert not (tmp_path / "maps").exists()


def test_the_help_shows_options_in_groups(search: Search) -> None:
    text = search("--help").output
    headings = [line for line in text.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings[:5] == [
        "What to find:",
        "Which hits:",
        "What to tell:",
        "How to print:",
        "Where to look:",
    ]
