"""A second domain, drawn bags: what docs/your-own-catalogue.md says is so, and colours are learnt.

The page's commands run as they stand, at small scale. What a model learns is tested on fewer
colours and larger bags, starting from the shipped checkpoint: a random trunk sees little colour.
"""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from PIL import Image

from finetag_model.annotations import read_vocabulary
from finetag_model.checkpoint import SHIPPED, read_checkpoint
from finetag_model.cli_eval import main as finetag_eval
from finetag_model.cli_explain import main as finetag_explain
from finetag_model.cli_train import main as finetag_train
from finetag_model.drawn import draw_bag, sample_bag
from indexer.cli import main as finetag_index
from retrieval.cli import main as finetag_search
from tests.pages import ROOT, commands, run_well
from tests.trunks import write_random_trunk

if TYPE_CHECKING:
    from pathlib import Path

    import click

PAGE = ROOT / "docs" / "your-own-catalogue.md"
SMALL_SCALE = {
    "--count 800": "--count 36",
    "--count 200": "--count 12",
    "--name bags": "--name bags --input-size 64 --head-epochs 1 --visual-dim 4",
    "benchmarks/": f"{ROOT}/benchmarks/",
}
COLOURS = ("red", "green", "blue")


def test_the_commands_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETAG_CACHE", str(tmp_path / "cache"))
    write_random_trunk(tmp_path / "trunk.safetensors")
    printed = {line: run_well(line, tmp_path) for line in commands(PAGE, SMALL_SCALE)}
    checkpoint = read_checkpoint(tmp_path / "bags.safetensors")
    assert checkpoint.vocabulary == read_vocabulary([tmp_path / "bags" / "attributes.csv"])
    assert list(checkpoint.vocabulary.groups) == ["shape", "color", "strap", "pattern"]
    assert "bags on 12 images" in "".join(printed.values())
    assert "strap=chain" in printed["finetag-search --attributes"]
    assert (tmp_path / "bags.html").read_text().count("<img") >= 1
    with Image.open(tmp_path / "heat.png") as picture:
        assert picture.format == "PNG"


def test_the_table_of_the_page_is_one_that_is_drawn() -> None:
    table = PAGE.read_text().partition("image,group,value\n")[2].partition("```")[0]
    rows = list(csv.reader(table.splitlines()))
    labels = sample_bag(1 * 10_000 + 1).labels
    assert rows == [
        ["bag-0001.jpg", group, value]
        for group, values in labels.items()
        for value in sorted(values)
    ]


def write_bags(folder: Path, first: int, count: int) -> Path:
    """Write bags of three colours, large and without a pattern, and a table; some is unknown."""
    folder.mkdir()
    rows = [("image", "group", "value")]
    for number in range(first, first + count):
        colour = COLOURS[number % len(COLOURS)]
        bag = replace(
            sample_bag(number), colour=colour, pattern="solid", mark=None, strap="none", size=0.92
        )
        draw_bag(bag, 96).save(folder / f"{number}.png")
        rows.append((f"{number}.png", "Main Color", colour.title()))
        if number % 4:
            rows.append((f"{number}.png", "shape", bag.shape))
    table = folder / "attributes.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return table


def run(command: click.Command, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_colours_of_bags_are_learnt_and_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINETAG_CACHE", str(tmp_path / "cache"))
    bags = write_bags(tmp_path / "bags", 0, 120)
    held_out = write_bags(tmp_path / "held-out", 300, 30)
    model, index = tmp_path / "bags.safetensors", tmp_path / "index"
    sizes = ("--head-epochs", 12, "--visual-dim", 16)
    run(finetag_train, "--annotated", bags, "--start-from", SHIPPED, *sizes, "--output", model)

    printed = json.loads(run(finetag_eval, "--annotated", held_out, "--model", model, "--json"))
    assert printed["known"] < 1
    assert printed["groups"]["main_color"]["macro_map"] > 0.8  # guessing gives about 0.4

    run(finetag_index, "build", held_out.parent, "--index", index, "--model", model)
    shown = json.loads(run(finetag_search, "--attributes", "--index", index, "--json"))
    assert set(shown["main_color"]) == set(COLOURS)
    right = found = 0
    for colour in COLOURS:
        answer = json.loads(
            run(finetag_search, "--attr", f"Main Color={colour}", "--index", index, "--json")
        )
        numbers = [int(hit["name"].removesuffix(".png")) for hit in answer["hits"]]
        assert numbers
        found += len(numbers)
        right += sum(COLOURS[number % len(COLOURS)] == colour for number in numbers)
    assert right / found > 0.7
    assert right / 30 > 0.7

    query = held_out.parent / "300.png"
    options = ("--model", model, "--attr", "main_color=red")
    hits = json.loads(run(finetag_search, query, *options, "--index", index, "--json"))["hits"]
    assert hits[0]["name"] == "300.png"
    heat = tmp_path / "heat.png"
    assert float(run(finetag_explain, query, *options, "--output", heat).split()[1]) > 0.5
    assert heat.exists()
