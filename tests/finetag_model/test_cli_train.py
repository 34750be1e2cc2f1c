from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from finetag_model import load_embedder
from finetag_model.checkpoint import read_checkpoint
from finetag_model.cli_train import main
from finetag_model.cub import read_cub
from finetag_model.metrics import evaluate
from finetag_model.pictures import cropped
from tests.commands import check_help


def test_ends_with_a_checkpoint(trained: tuple[Result, Path], trunk_weights: Path) -> None:
    result, path = trained
    assert result.exit_code == 0, result.output
    assert result.stdout == f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)\n"
    checkpoint = read_checkpoint(path)
    assert checkpoint.name == "birds"
    assert checkpoint.config.attributes == len(checkpoint.vocabulary) == 6
    assert checkpoint.config.input_size == 64
    assert checkpoint.config.mean == (0.485, 0.456, 0.406)
    assert checkpoint.model.visual_dim == 16
    # 48 photographs of the training split, each cut to the bird and whole.
    assert checkpoint.notes["photographs"] == 96
    assert checkpoint.notes["annotated"] == 45
    assert checkpoint.notes["trunk_weights"] == trunk_weights.name
    assert checkpoint.notes["recipe"]["seed"] == 3
    assert [stage["epochs"] for stage in checkpoint.notes["recipe"]["stages"]] == [12, 3]
    assert [stage["layer"] for stage in checkpoint.notes["recipe"]["stages"]] == [19, 17]
    assert [stage["shift"] for stage in checkpoint.notes["recipe"]["stages"]] == [0, 1]
    precision = [stage["mixed_precision"] for stage in checkpoint.notes["recipe"]["stages"]]
    assert precision == [False, True]


def test_says_how_far_it_is(trained: tuple[Result, Path]) -> None:
    result, _ = trained
    assert "pictures to train on" in result.stderr
    assert "epoch 12 of 12: loss" in result.stderr
    assert "epoch 3 of 3: loss" in result.stderr
    assert result.stderr.rstrip().endswith("done")
    assert all(" s  " in line for line in result.stderr.splitlines())


def test_what_it_trained_reads_the_colours(trained: tuple[Result, Path], cub_folder: Path) -> None:
    embedder = load_embedder(trained[1], "torch")
    cub = read_cub(cub_folder)
    rows = np.flatnonzero(cub.validation(None))
    pixels = np.stack([cropped(cub, row).pixels(64) for row in rows.tolist()])
    embedding = embedder.embed(pixels)
    np.testing.assert_allclose(np.linalg.norm(embedding.visual, axis=1), 1, atol=1e-5)
    metrics = evaluate(embedding.scores, cub.presence[rows])
    assert metrics.macro_map > 0.8  # guessing gives about 0.4
    assert metrics.avgprec > 0.8


def test_the_rival_is_trained_by_a_configuration_too(
    cub_folder: Path, trunk_weights: Path, tmp_path: Path
) -> None:
    config, output = tmp_path / "rival.toml", tmp_path / "rival.safetensors"
    config.write_text(
        'name = "rival"\nhead = "rank"\nhidden = 16\ninput-size = 64\nhead-epochs = 2\n'
        "visual-dim = 8\ndropout = 0.5\nclassify-rate = 0.004\ndescriptor-rate = 0.003\n"
    )
    options = ("--trunk-weights", trunk_weights, "--output", output, "--head-epochs", 1)
    result = run("--config", config, "--data", cub_folder, *options)
    assert result.exit_code == 0, result.output
    checkpoint = read_checkpoint(output)
    assert (checkpoint.name, checkpoint.config.head, checkpoint.config.hidden) == (
        "rival",
        "rank",
        16,
    )
    (stage,) = checkpoint.notes["recipe"]["stages"]
    rates = (stage["dropout"], stage["classify_rate"], stage["descriptor_rate"])
    assert rates == (0.5, 0.004, 0.003)
    assert stage["epochs"] == 1  # what is typed goes before the configuration
    assert load_embedder(output, "torch").model.visual_dim == 8


SMALL = ("--input-size", 64, "--head-epochs", 2, "--visual-dim", 8)


def test_a_run_folder_keeps_what_was_done_and_can_be_run_again(
    cub_folder: Path, trunk_weights: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    folder = tmp_path / "runs" / "birds"
    data = ("--data", cub_folder, "--trunk-weights", trunk_weights, *SMALL)
    result = run(*data, "--thaw", 18, "--epochs", 1, "--run", folder, "--output", first)
    assert result.exit_code == 0, result.output
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.toml", "curves.png", "metrics.csv", "state.safetensors"}
    assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + 3
    # From the kept options alone the same weights come, in a run of its own.
    result = run("--config", folder / "config.toml", "--output", second)
    assert result.exit_code == 0, result.output
    for name, array in read_checkpoint(first).weights.items():
        np.testing.assert_array_equal(array, read_checkpoint(second).weights[name], err_msg=name)
    # Begun again, it is done at once; with other options it is refused.
    result = run(*data, "--thaw", 18, "--epochs", 1, "--run", folder, "--output", second)
    assert result.exit_code == 0, result.output
    assert "going on after epoch 1 of 1" in result.stderr
    assert second.read_bytes() == first.read_bytes()
    line = refusal(run(*data, "--run", folder, "--output", second), exit_code=2)
    assert "(epochs, thaw)" in line


def test_goes_on_from_a_checkpoint(
    trained: tuple[Result, Path], cub_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "on.safetensors"
    sizes = ("--head-epochs", 1, "--classify-rate", 1e-9, "--descriptor-rate", 1e-9)
    result = run(
        *("--data", cub_folder, "--start-from", trained[1], "--visual-dim", 8),
        *(*sizes, "--run", tmp_path / "run", "--output", output),
    )
    assert result.exit_code == 0, result.output
    config = ("--config", tmp_path / "run" / "config.toml")
    again = run(*config, "--run", tmp_path / "run", "--output", tmp_path / "again.safetensors")
    assert again.exit_code == 0, again.output
    before, after = read_checkpoint(trained[1]), read_checkpoint(output)
    assert after.config == before.config
    assert after.notes["start_from"] == [trained[1].name]
    assert "trunk_weights" not in after.notes
    for name, array in before.weights.items():
        np.testing.assert_allclose(after.weights[name], array, atol=1e-3, err_msg=name)


def test_what_a_checkpoint_decides_is_not_asked_for(
    trained: tuple[Result, Path], cub_folder: Path, tmp_path: Path
) -> None:
    options = ("--start-from", trained[1], "--input-size", 64, "--output", tmp_path / "m")
    line = refusal(run("--data", cub_folder, *options), exit_code=2)
    assert line == "error: --input-size is decided by the checkpoint of --start-from"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--unknown", "conditional"), "--reference"),
        (("--crop", 0.5, "--thaw", 17), "--thaw 0"),
        (("--head-epochs", 0), "--thaw"),
    ],
)
def test_options_that_need_another(
    cub_folder: Path, tmp_path: Path, options: tuple[object, ...], reason: str
) -> None:
    output = tmp_path / "m.safetensors"
    assert reason in refusal(run("--data", cub_folder, "--output", output, *options), exit_code=2)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refusal(result: Result, exit_code: int = 1) -> str:
    """The one line that a failed run must leave on stderr."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if " s  " not in line]
    assert line.startswith("error: ")
    assert "unexpected" not in line
    return line


def test_missing_data(tmp_path: Path) -> None:
    line = refusal(run("--data", tmp_path / "none", "--output", tmp_path / "m.safetensors"))
    assert str(tmp_path / "none") in line
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--trunk", "vgg99"], "unknown trunk 'vgg99'"),
        (["--trunk-weights", "none.safetensors"], "cannot read trunk weights none.safetensors"),
        (
            ["--config", "table1/vgg16-rank-all", "--hidden", "8", "--trunk-weights", "none"],
            "cannot read trunk weights none",
        ),
        (["--annotated", "none.csv"], "cannot read none.csv"),
        (["--validation", "none.txt"], "cannot read none.txt"),
        (["--reference", "none.txt"], "cannot read none.txt"),
    ],
)
def test_what_else_may_be_missing(
    cub_folder: Path, tmp_path: Path, options: list[str], reason: str
) -> None:
    output = tmp_path / "model.safetensors"
    assert reason in refusal(run("--data", cub_folder, "--output", output, *options))
    assert not output.exists()


def test_a_missing_photograph_is_named(
    make_cub: Callable[..., Path], trunk_weights: Path, tmp_path: Path
) -> None:
    folder = make_cub()
    gone = folder / "CUB_200_2011" / "images" / "002.Kind" / "bird 0003.png"
    gone.unlink()
    options = ("--trunk-weights", trunk_weights, "--output", tmp_path / "m.safetensors")
    assert f"{gone} does not exist" in refusal(run("--data", folder, *options))


def test_mobilenet_has_no_fully_connected_layers(cub_folder: Path, tmp_path: Path) -> None:
    options = ("--output", tmp_path / "m.safetensors", "--head", "rank", "--pretrained", "all")
    line = refusal(run("--data", cub_folder, "--hidden", 8, *options), exit_code=2)
    assert "only VGG16 has fully connected layers" in line


def test_too_few_pictures(
    make_cub: Callable[..., Path], trunk_weights: Path, tmp_path: Path
) -> None:
    output = tmp_path / "m.safetensors"
    sizes = ["--input-size", "64", "--head-epochs", "1", "--visual-dim", "64"]
    options = ("--trunk-weights", trunk_weights, "--output", output, *sizes)
    assert "lower --visual-dim" in refusal(run("--data", make_cub(images=12), *options))
    assert not output.exists()


def test_without_cub_the_vocabulary_is_that_of_the_annotated_files(
    annotated_csv: Path, trunk_weights: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more.csv"
    more.write_text(
        "image,group,value\n"
        + "".join(f"{annotated_csv.parent / f'{i}.png'},Has Legs,\n" for i in range(5, 20))
        + "".join(f"{annotated_csv.parent / f'{i}.png'},Has Legs,Two\n" for i in range(5))
    )
    output = tmp_path / "model.safetensors"
    sizes = ("--input-size", 64, "--head-epochs", 1, "--visual-dim", 4)
    files = ("--annotated", annotated_csv, "--annotated", more)
    result = run(*files, "--trunk-weights", trunk_weights, *sizes, "--output", output)
    assert result.exit_code == 0, result.output
    checkpoint = read_checkpoint(output)
    assert checkpoint.vocabulary.names == (
        *("upper_color=red", "upper_color=green", "upper_color=blue"),
        *("lower_color=red", "lower_color=green", "lower_color=blue", "has_legs=two"),
    )
    assert checkpoint.config.attributes == 7
    assert (checkpoint.notes["photographs"], checkpoint.notes["annotated"]) == (0, 45 + 20)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "name --data, --annotated, or both"),
        (["--annotated", "a.csv", "--validation", "ids.txt"], "about --data"),
        (["--annotated", "a.csv", "--reference", "labels.txt"], "about --data"),
    ],
)
def test_what_goes_with_cub_alone(tmp_path: Path, options: list[str], reason: str) -> None:
    output = tmp_path / "model.safetensors"
    assert reason in refusal(run("--output", output, *options), exit_code=2)


def test_annotated_images_that_are_missing_are_named_before_the_work(tmp_path: Path) -> None:
    table = tmp_path / "attributes.csv"
    table.write_text("image,group,value\nnone.jpg,strap,chain\n")
    line = refusal(run("--annotated", table, "--output", tmp_path / "model.safetensors"))
    assert f"{tmp_path / 'none.jpg'} does not exist" in line


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--data", "x"],
        ["--data", "x", "--output", "y", "--input-size", "10"],
        ["--data", "x", "--output", "y", "--normalise", "none"],
        ["--data", "x", "--output", "y", "--head-epochs", "-1"],
    ],
)
def test_wrong_usage(options: list[str]) -> None:
    result = run(*options)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_help_names_every_option_and_is_quick_to_come() -> None:
    check_help(main, "finetag_model.cli_train", "torch")


def test_the_command_is_installed() -> None:
    command = shutil.which("finetag-train", path=str(Path(sys.executable).parent))
    assert command, "finetag-train is not beside Python"
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: finetag-train ")
