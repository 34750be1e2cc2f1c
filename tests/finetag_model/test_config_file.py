from __future__ import annotations

import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from finetag_model import config_file
from finetag_model.cli_train import main as finetag_train
from finetag_model.config_file import SHIPPED_CONFIGS, config_option
from finetag_model.console import Command

SHIPPED = sorted(SHIPPED_CONFIGS.rglob("*.toml"))


@click.command(cls=Command)
@config_option
@click.option("--epochs", type=click.IntRange(min=1), default=20)
@click.option("--thaw", type=int)
@click.option("--trunk-rate", type=float, default=0.5)
@click.option("--mixed-precision", is_flag=True)
@click.option("--annotated", type=click.Path(path_type=Path), multiple=True)
@click.option("--output", type=click.Path(path_type=Path), required=True)
def show(**options: object) -> None:
    click.echo(repr(options))


def run(folder: Path, toml: str, *arguments: str) -> Result:
    path = folder / "own.toml"
    path.write_text(toml)
    return CliRunner().invoke(show, ["--config", str(path), *arguments])


def refusal(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return " ".join(result.stderr.split())


def test_a_file_gives_options_their_values(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        'epochs = 3\nthaw = 0\ntrunk-rate = 3e-5\nmixed-precision = true\noutput = "m"\n'
        'annotated = ["a.csv", "b.csv"]\n',
    )
    assert result.exit_code == 0, result.output
    options = {
        "epochs": 3,
        "thaw": 0,
        "trunk_rate": 3e-5,
        "mixed_precision": True,
        "annotated": (Path("a.csv"), Path("b.csv")),
        "output": Path("m"),
    }
    assert result.stdout == f"{options!r}\n"


def test_what_is_typed_goes_before_and_the_rest_keeps_its_default(tmp_path: Path) -> None:
    result = run(tmp_path, 'epochs = 3\noutput = "m"\n', "--epochs", "5")
    assert "'epochs': 5" in result.stdout
    assert "'trunk_rate': 0.5" in result.stdout
    assert "'mixed_precision': False" in result.stdout


def test_without_a_file_nothing_changes() -> None:
    result = CliRunner().invoke(show, ["--output", "m"])
    assert "'epochs': 20" in result.stdout


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("epoch = 3", "own.toml has an unknown key 'epoch'; nearest: epochs"),
        ("trunk_rate = 1.0", "unknown key 'trunk_rate'; nearest: trunk-rate"),
        ('config = "other.toml"', "unknown key 'config'"),
        ("qqqq = 1", "unknown key 'qqqq'; nearest: annotated, epochs,"),
        ("[training]\nepochs = 3", "unknown key 'training'"),
        ("epochs = 2.5", "'2.5' is not a valid integer"),
        ("epochs = true", "'True' is not a valid integer"),
        ("epochs = 0", "'--epochs': 0 is not in the range x>=1"),
        ("epochs = [1, 2]", "own.toml, epochs: [1, 2] is not a single value"),
        ("epochs = {a = 1}", "is not a single value"),
        ("annotated = [[1]]", "is not a single value"),
        ('mixed-precision = "perhaps"', "'perhaps' is not a valid boolean"),
        ("epochs = ", "cannot read"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, toml: str, reason: str) -> None:
    assert reason in refusal(run(tmp_path, toml, "--output", "m"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path in (binary, tmp_path):
        result = CliRunner().invoke(show, ["--config", str(path), "--output", "m"])
        assert f"cannot read {path}" in refusal(result)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("table1/finetag-vgg19", "nearest: table1/finetag-vgg16"),
        ("qqqq", "shipped: table1/finetag-vgg16, table1/vgg16-rank-all, table1/vgg16-rank-conv"),
    ],
)
def test_an_unknown_name(name: str, reason: str) -> None:
    result = CliRunner().invoke(finetag_train, ["--config", name])
    assert f"{name} is neither a file nor shipped; {reason}" in refusal(result)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_fit_finetag_train(path: Path) -> None:
    name = path.relative_to(SHIPPED_CONFIGS).with_suffix("").as_posix()
    arguments = ["--config", name, "--data", "data", "--output", "m"]
    context = finetag_train.make_context("finetag-train", arguments)
    for key, value in tomllib.loads(path.read_text()).items():
        assert context.params[key.replace("-", "_")] == value


def test_names_are_looked_up_among_the_shipped_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "group").mkdir()
    (tmp_path / "group" / "quick.toml").write_text("epochs = 1")
    monkeypatch.setattr(config_file, "SHIPPED_CONFIGS", tmp_path)
    result = CliRunner().invoke(show, ["--config", "group/quick", "--output", "m"])
    assert "'epochs': 1," in result.stdout
