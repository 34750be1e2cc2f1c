from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from finetag_model import load_embedder
from finetag_model.annotations import read_annotations
from finetag_model.checkpoint import read_checkpoint, write_checkpoint
from finetag_model.cli_eval import main
from finetag_model.cub import read_cub
from finetag_model.inference import load_network
from finetag_model.metrics import evaluate, evaluate_decisions, evaluate_groups
from finetag_model.pictures import Picture, cropped
from finetag_model.reliability import calibration_error
from tests.commands import check_help

Trained = tuple[Result, Path]


def run(data: Path, model: Path, *options: object) -> Result:
    arguments = ("--data", data, "--model", model, "--runtime", "torch", *options)
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def annotated(table: Path, model: Path, *options: object) -> Result:
    arguments = ("--annotated", table, "--model", model, "--runtime", "torch", *options)
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refusal(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "unexpected" not in result.stderr
    return result.stderr


@pytest.mark.parametrize("whole", [False, True])
def test_json_holds_the_metrics_of_the_test_images(
    trained: Trained, cub_folder: Path, whole: bool
) -> None:
    result = run(cub_folder, trained[1], "--json", *(["--whole"] if whole else []))
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    printed = json.loads(result.stdout)
    assert printed["model"] == "birds"
    assert printed["images"] == 16
    cub = read_cub(cub_folder)
    rows = np.flatnonzero(~cub.is_train).tolist()
    pictures = [Picture(cub.paths[row]) if whole else cropped(cub, row) for row in rows]
    pixels = np.stack([picture.pixels(64) for picture in pictures])
    scores = load_embedder(trained[1], "torch").embed(pixels).scores
    assert printed["all"] == pytest.approx(vars(evaluate(scores, cub.presence[rows])), abs=1e-6)
    groups = evaluate_groups(scores, cub.presence[rows], cub.vocabulary)
    assert list(printed["groups"]) == ["upper_color", "lower_color"]
    for group, metrics in groups.items():
        assert printed["groups"][group] == pytest.approx(vars(metrics), abs=1e-6)
    calibration = read_checkpoint(trained[1]).calibration
    sloped = calibration.slope > 0
    assert printed["calibration"]["attributes"] == sloped.sum()
    assert printed["calibration"]["after"] == pytest.approx(
        vars(calibration_error(scores[:, sloped], cub.presence[rows][:, sloped])), abs=1e-6
    )
    thresholds = calibration.thresholds
    assert printed["f1"] == {
        "default": pytest.approx(vars(evaluate_decisions(scores, cub.presence[rows], thresholds))),
        "0.5": pytest.approx(vars(evaluate_decisions(scores, cub.presence[rows], 0.5))),
    }


def test_before_calibration_is_the_sigmoid_of_the_logits(
    trained: Trained, cub_folder: Path
) -> None:
    checkpoint = read_checkpoint(trained[1])
    sloped = checkpoint.calibration.slope > 0
    cub = read_cub(cub_folder)
    rows = np.flatnonzero(~cub.is_train).tolist()
    pixels = torch.from_numpy(np.stack([cropped(cub, row).pixels(64) for row in rows]))
    with torch.inference_mode():
        raw = load_network(checkpoint)(pixels).sigmoid().numpy()
    before = json.loads(run(cub_folder, trained[1], "--json").stdout)["calibration"]["before"]
    expected = calibration_error(raw[:, sloped], cub.presence[rows][:, sloped])
    # Not macro_ece: rounding may move an image from one bin of equal mass to the next.
    assert before["ece"] == pytest.approx(expected.ece, abs=1e-3)
    assert before["brier"] == pytest.approx(expected.brier, abs=1e-3)


@pytest.mark.parametrize("flat", [2, 6])
def test_attributes_without_a_slope_are_not_compared(
    trained: Trained, cub_folder: Path, tmp_path: Path, flat: int
) -> None:
    checkpoint = read_checkpoint(trained[1])
    slope = checkpoint.calibration.slope.copy()
    slope[:flat] = 0
    calibration = replace(checkpoint.calibration, slope=slope)
    model, picture = tmp_path / "flat.safetensors", tmp_path / "flat.png"
    write_checkpoint(replace(checkpoint, calibration=calibration), model)
    result = run(cub_folder, model, "--json", "--reliability", picture)
    assert result.exit_code == 0, result.output
    stages = json.loads(result.stdout)["calibration"]
    assert stages.pop("attributes") == (slope > 0).sum()
    assert list(stages) == (["before", "after"] if slope.any() else [])
    assert picture.exists()


def test_the_reliability_diagram_is_a_picture(
    trained: Trained, cub_folder: Path, tmp_path: Path
) -> None:
    result = run(cub_folder, trained[1], "--reliability", tmp_path / "diagram.png")
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "diagram.png") as picture:
        assert picture.format == "PNG"
        colors = picture.convert("RGB").getcolors(picture.width * picture.height)
    # The two curves are drawn: matplotlib's first two colours are there.
    assert {(31, 119, 180), (255, 127, 14)} <= {color for _, color in colors}


def test_a_diagram_that_cannot_be_written(
    trained: Trained, cub_folder: Path, tmp_path: Path
) -> None:
    result = run(cub_folder, trained[1], "--reliability", tmp_path / "none" / "diagram.png")
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: cannot write {tmp_path / 'none' / 'diagram.png'}: No such file or directory\n"
    )
    assert "birds on 16 images" in result.stdout  # the figures are not lost


def test_a_diagram_of_another_format_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path, tmp_path, "--reliability", "diagram.pdf")
    assert result.exit_code == 2
    assert result.stderr == "error: the diagram is a PNG, but diagram.pdf does not end in .png\n"


def test_a_missing_matplotlib_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "finetag_model.plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    message = refusal(run(tmp_path, tmp_path, "--reliability", tmp_path / "diagram.png"))
    assert "pip install '.[plots]'" in message


def test_the_table_holds_the_same_figures(trained: Trained, cub_folder: Path) -> None:
    printed = json.loads(run(cub_folder, trained[1], "--json").stdout)
    result = run(cub_folder, trained[1])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].strip() == "birds on 16 images"
    headings = "attributes,W_MAP,AVGPREC,macro mAP,ECE,macro ECE,Brier,micro F1,macro F1"
    for heading in headings.split(","):
        assert heading in result.stdout
    for label, metrics in [("all", printed["all"]), *printed["groups"].items()]:
        (line,) = [line for line in lines if f" {label} " in line]
        figures = [metrics[key] for key in ("w_map", "avgprec", "macro_map")]
        assert [float(word) for word in line.split() if word[0].isdigit()] == pytest.approx(
            figures, abs=5e-4
        )
    stages = [(stage, printed["calibration"][stage]) for stage in ("before", "after")]
    for label, figures in [*stages, *printed["f1"].items()]:
        (line,) = [line for line in lines if line.startswith(f"│ {label} ")]
        for figure in figures.values():
            assert f" {figure:.3f} " in line


def test_images_may_be_listed(trained: Trained, cub_folder: Path, tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("1\n2\n9\n")
    result = run(cub_folder, trained[1], "--validation", ids, "--json")
    assert json.loads(result.stdout)["images"] == 3
    ids.write_text("12345\n")
    assert "none of the images" in refusal(run(cub_folder, trained[1], "--validation", ids))


def test_unknown_labels_are_refused(trained: Trained, make_cub: Callable[..., Path]) -> None:
    folder = make_cub()
    labels = folder / "CUB_200_2011" / "attributes" / "image_attribute_labels.txt"
    known = [line for line in labels.read_text().splitlines() if not line.startswith("8 3 ")]
    labels.write_text("\n".join(known))
    message = refusal(run(folder, trained[1]))
    assert "1 of the 3 images have unknown labels" in message
    assert "--validation" in message


def test_an_annotated_folder_is_measured_on_what_is_known(
    trained: Trained, annotated_csv: Path
) -> None:
    lines = annotated_csv.read_text().splitlines()
    some = [line for number, line in enumerate(lines) if number % 5 != 2]
    table = annotated_csv.with_name("held-out.csv")
    table.write_text("\n".join(["image,group,value", "44.png,upper_color,", *some[1:-2]]))
    result = annotated(table, trained[1], "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    checkpoint = read_checkpoint(trained[1])
    folder = read_annotations(table, checkpoint.vocabulary)
    unknown = np.isnan(folder.presence)
    assert 0 < unknown.sum() < unknown.size
    assert printed["images"] == 45
    assert printed["known"] == pytest.approx(1 - unknown.mean())
    pixels = np.stack([Picture(path).pixels(64) for path in folder.paths])
    scores = load_embedder(trained[1], "torch").embed(pixels).scores
    assert printed["all"] == pytest.approx(vars(evaluate(scores, folder.presence)), abs=1e-6)
    f1 = evaluate_decisions(scores, folder.presence, checkpoint.calibration.thresholds)
    assert printed["f1"]["default"] == pytest.approx(vars(f1))
    assert f"{printed['known']:.0%} of their labels known" in annotated(table, trained[1]).stdout


def test_groups_of_which_nothing_is_known_are_left_out(
    trained: Trained, annotated_csv: Path
) -> None:
    lines = annotated_csv.read_text().splitlines()
    table = annotated_csv.with_name("upper.csv")
    table.write_text("\n".join(line for line in lines if "lower_color" not in line))
    printed = json.loads(annotated(table, trained[1], "--json").stdout)
    assert list(printed["groups"]) == ["upper_color"]
    assert printed["calibration"]["attributes"] <= 3
    assert printed["known"] == 0.5


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("0.png,upper_color,mauve\n", "line 2: upper_color has no value 'mauve'; nearest:"),
        ("0.png,strap,chain\n", "line 2: unknown attribute 'strap'; nearest:"),
        ("none.png,upper_color,red\n", "none.png does not exist"),
        ("0.png,upper_color,\n", "has any attribute; there is nothing to measure"),
    ],
)
def test_an_annotated_folder_that_cannot_be_measured(
    trained: Trained, annotated_csv: Path, rows: str, reason: str
) -> None:
    table = annotated_csv.with_name("wrong.csv")
    table.write_text(f"image,group,value\n{rows}")
    message = refusal(annotated(table, trained[1]))
    assert str(table) in message
    assert reason in message


@pytest.mark.parametrize("other", [["--data", "x"], ["--validation", "x"], ["--whole"]])
def test_an_annotated_folder_stands_alone(other: list[str]) -> None:
    result = CliRunner().invoke(main, ["--annotated", "a.csv", *other])
    assert result.exit_code == 2
    assert "--annotated stands alone" in result.stderr


def test_a_model_of_other_attributes(trained: Trained, make_cub: Callable[..., Path]) -> None:
    folder = make_cub()
    names = folder / "attributes.txt"
    names.write_text(names.read_text().replace("::blue", "::buff"))
    assert "differ in their attributes" in refusal(run(folder, trained[1]))


def test_missing_data_and_missing_model(trained: Trained, cub_folder: Path, tmp_path: Path) -> None:
    assert str(tmp_path / "none") in refusal(run(tmp_path / "none", trained[1]))
    missing = tmp_path / "none.safetensors"
    assert f"{missing} does not exist" in refusal(run(cub_folder, missing))


def test_a_missing_photograph_is_named(trained: Trained, make_cub: Callable[..., Path]) -> None:
    folder = make_cub()
    gone = folder / "CUB_200_2011" / "images" / "001.Kind" / "bird 0004.png"
    gone.unlink()
    assert f"{gone} does not exist" in refusal(run(folder, trained[1]))


def test_wrong_usage() -> None:
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2
    assert "--data" in result.stderr


def test_help_names_every_option_and_is_quick_to_come() -> None:
    check_help(main, "finetag_model.cli_eval", "torch", "sklearn", "onnxruntime", "matplotlib")
