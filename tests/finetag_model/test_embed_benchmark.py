from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from embed_runtimes import RUNTIMES, TRUNK_RUNTIMES, Vgg16

from benchmarks import embed
from finetag_model.checkpoint import Checkpoint, read_checkpoint
from finetag_model.drawn import draw_layers, sample_bird
from finetag_model.images import to_pixels

Trained = tuple[Result, Path]
SMALL = ["--images", "20", "--repeats", "1", "--trunk-size", "32"]


def run(data: Path, *options: str) -> Result:
    arguments = ["--data", str(data), *SMALL, *options]
    return CliRunner().invoke(embed.main, arguments, env={"COLUMNS": "160"})


def rows(result: Result) -> dict[str, list[list[str]]]:
    """The cells of all tables, by the first of their row."""
    found: dict[str, list[list[str]]] = {}
    for line in result.stdout.splitlines():
        if line.startswith("│"):
            first, *cells = (cell.strip() for cell in line.strip("│").split("│"))
            found.setdefault(first, []).append(cells)
    return found


def test_runtimes_are_timed_and_measured(
    trained: Trained, cub_folder: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "ids.txt"
    listed.write_text("\n".join(map(str, range(1, 31))))
    options = ["--validation", str(listed), "--model", str(trained[1])]
    result = run(cub_folder, *options, "--runtime", "onnx", "--runtime", "int8")
    assert result.exit_code == 0, result.output
    assert "20 pictures in batches of 16, medians of 1" in result.stdout
    found = rows(result)
    assert {"decode", "resize", "eager", "onnx", "int8", "ncnn"} == set(found)
    for cells in (found["eager"][0], found["onnx"][0], found["int8"][0]):
        network, end_to_end, of_eager, of_network, *_ = cells
        assert float(network) > 0
        assert float(end_to_end) > 0
        assert of_eager.endswith("x")
        assert of_network.endswith("%")
    eager, onnx, int8 = (found[name][0][4:] for name in ("eager", "onnx", "int8"))
    assert eager[:2] == onnx[:2]
    assert eager[2:] == ["+0.0000", "0.0e+00"]
    assert float(onnx[3]) < 1e-4 < float(int8[3])
    assert float(found["onnx"][1][1]) < 1e-4  # VGG16's trunk


def test_a_folder_of_images_is_timed_only(trained: Trained, cub_folder: Path) -> None:
    images = cub_folder / "CUB_200_2011" / "images"
    result = run(images, "--model", str(trained[1]), "--runtime", "onnx")
    assert result.exit_code == 0, result.output
    assert rows(result)["onnx"][0][4:7] == ["", "", ""]


def test_too_few_images_to_calibrate(trained: Trained, cub_folder: Path) -> None:
    images = cub_folder / "CUB_200_2011" / "images"
    refused = run(images, "--model", str(trained[1]), "--images", "64")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: 64 images to measure on and 0 others to calibrate on")


def test_a_runtime_that_fails_has_the_reason_in_its_row(
    trained: Trained, cub_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(checkpoint: Checkpoint, calibration: object) -> None:
        raise RuntimeError("no compiler\nhere")

    monkeypatch.setitem(RUNTIMES, "compiled", fail)
    images = cub_folder / "CUB_200_2011" / "images"
    result = run(images, "--model", str(trained[1]), "--runtime", "compiled")
    assert result.exit_code == 0, result.output
    assert rows(result)["compiled"][0][0] == "cannot run: RuntimeError: no compiler here"
    assert "eager" in rows(result)


@pytest.mark.parametrize(("name", "atol"), [("frozen", 1e-5), ("onnx", 1e-4)])
def test_runtimes_agree(bilinear_checkpoint: Checkpoint, name: str, atol: float) -> None:
    random = np.random.default_rng(0)
    low = random.integers(0, 200, (40, 1, 1, 3))
    pixels = (low + random.integers(0, 56, (40, 64, 64, 3))).astype(np.uint8)
    checkpoint = replace(bilinear_checkpoint, digest="tiny")  # as if it was read from a file
    want, _ = RUNTIMES["eager"](checkpoint, pixels[:20])(pixels[20:])
    got, visual = RUNTIMES[name](checkpoint, pixels[:20])(pixels[20:])
    np.testing.assert_allclose(got, want, atol=atol)
    np.testing.assert_allclose(np.linalg.norm(visual, axis=1), 1, atol=1e-4)


def test_int8_is_close_to_fp32() -> None:
    # Of the shipped model: rounding tells nothing about a random one, which amplifies it.
    checkpoint = read_checkpoint()
    size = checkpoint.config.input_size
    birds = np.stack([to_pixels(draw_layers(sample_bird(i)).image, size) for i in range(24)])
    want, _ = RUNTIMES["eager"](checkpoint, birds[:16])(birds[16:])
    got, visual = RUNTIMES["int8"](checkpoint, birds[:16])(birds[16:])
    assert 0 < np.abs(got - want).mean() < 0.01
    assert np.corrcoef(got.ravel(), want.ravel())[0, 1] > 0.99
    np.testing.assert_allclose(np.linalg.norm(visual, axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("name", ["onnx", "ncnn"])
def test_trunks_agree(tmp_path: Path, name: str) -> None:
    if name == "ncnn" and not importlib.util.find_spec("ncnn"):
        pytest.skip("the extra `bench` is not installed")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 48, 48, 3), dtype=np.uint8)
    trunk = Vgg16(seed=0)
    want = TRUNK_RUNTIMES["eager"](trunk, 48, tmp_path)(pixels)
    got = TRUNK_RUNTIMES[name](trunk, 48, tmp_path)(pixels)
    assert got.shape == want.shape == (1, 512, 3, 3)
    np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())
