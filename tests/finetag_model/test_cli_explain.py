from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from finetag_model.checkpoint import Checkpoint, write_checkpoint
from finetag_model.cli_explain import main
from finetag_model.explain import Explainer
from finetag_model.images import load_rgb
from finetag_model.runtime_torch import TorchEmbedder
from tests.commands import check_help

Run = Callable[..., Result]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A photograph stored lying on its side, as its EXIF orientation says."""
    image = Image.new("RGB", (48, 32), (200, 40, 40))
    image.paste((30, 160, 60), (0, 0, 24, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "bird.jpg"
    image.save(path, exif=exif)
    return path


@pytest.fixture(scope="module")
def checkpoint_path(
    bilinear_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_checkpoint(bilinear_checkpoint, path)
    return path


@pytest.fixture
def run(picture: Path, checkpoint_path: Path, tmp_path: Path) -> Run:
    def invoke(
        *attributes: str, image: Path = picture, output: str = "heat.png", model: object = None
    ) -> Result:
        options = [option for name in attributes for option in ("--attr", name)]
        target = ["--output", str(tmp_path / output)]
        chosen = ["--model", str(model or checkpoint_path)]
        return CliRunner().invoke(main, [str(image), *options, *target, *chosen])

    return invoke


def refusal(result: Result, exit_code: int = 1) -> str:
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "unexpected" not in result.stderr
    return result.stderr


def test_it_writes_the_upright_picture_and_prints_the_probability(
    run: Run, picture: Path, bilinear_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    result = run("upper_color=red")
    assert result.exit_code == 0, result.output
    explainer = Explainer(bilinear_checkpoint, TorchEmbedder(bilinear_checkpoint))
    (heat,) = explainer.explain(load_rgb(picture), ["upper_color=red"])
    name, probability = result.stdout.split()
    assert name == "upper_color=red"
    assert float(probability) == pytest.approx(
        heat.probability, abs=0.03
    )  # the file's weights are float16
    assert result.stderr == f"wrote {tmp_path / 'heat.png'}\n"
    with Image.open(tmp_path / "heat.png") as written:
        assert (written.format, written.mode, written.size) == ("PNG", "RGB", (32, 48))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bird.jpg", "heat.png"]


def test_several_attributes_stand_side_by_side(run: Run, tmp_path: Path) -> None:
    result = run("upper_color=red", "Lower-Color = blue")
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "upper_color=red",
        "lower_color=blue",
    ]
    with Image.open(tmp_path / "heat.png") as written:
        assert written.size == (2 * 32 + 8, 48)


def test_unknown_attributes_are_wrong_usage(run: Run, tmp_path: Path) -> None:
    assert "no value 'redd'; nearest: red" in refusal(run("upper_color=redd"), 2)
    assert "unknown attribute 'uper'; nearest: upper_color" in refusal(run("uper=red"), 2)
    assert "not of the form group=value" in refusal(run("red"), 2)
    assert not (tmp_path / "heat.png").exists()


def test_what_cannot_be_read_is_named(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "none.jpg"
    assert f"{missing} does not exist" in refusal(run("upper_color=red", image=missing))
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    assert "not an image" in refusal(run("upper_color=red", image=text))
    model = tmp_path / "none.safetensors"
    assert f"{model} does not exist" in refusal(run("upper_color=red", model=model))


def test_what_cannot_be_written_is_named(run: Run, tmp_path: Path) -> None:
    assert "--output" in refusal(run("upper_color=red", output="none/heat.png"))
    (tmp_path / "folder.png").mkdir()
    assert "--output" in refusal(run("upper_color=red", output="folder.png"))
    assert "only PNG is written" in refusal(run("upper_color=red", output="heat.jpg"), 2)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("left_out", ["--attr", "--output"])
def test_wrong_usage(picture: Path, left_out: str) -> None:
    given = {"--attr": "upper_color=red", "--output": "heat.png"}
    options = [word for name, value in given.items() if name != left_out for word in (name, value)]
    result = CliRunner().invoke(main, [str(picture), *options])
    assert result.exit_code == 2
    assert left_out in result.stderr


def test_help_names_every_option_and_is_quick_to_come() -> None:
    check_help(main, "finetag_model.cli_explain", "torch", "sklearn", "onnxruntime")
