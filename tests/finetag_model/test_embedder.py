from __future__ import annotations

import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit

from finetag_model import CheckpointError, Embedder, load_embedder
from finetag_model.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from finetag_model.embedder import has_cuda_gpu
from finetag_model.images import load_rgb, to_pixels
from finetag_model.inference import load_network
from finetag_model.runtime_onnx import OnnxEmbedder, exported_graph
from finetag_model.runtime_torch import TorchEmbedder

BOTH = pytest.mark.parametrize("runtime", ["onnx", "torch"])


@pytest.fixture(scope="module")
def embedders(checkpoint_path: Path) -> dict[str, Embedder]:
    """The tiny checkpoint in both runtimes; the graph is exported here, once."""
    return {runtime: load_embedder(checkpoint_path, runtime) for runtime in ("onnx", "torch")}


def random_pixels(images: int) -> NDArray[np.uint8]:
    """Pictures that differ a good deal: noise of different levels and colours."""
    random = np.random.default_rng(images)
    low = random.integers(0, 200, (images, 1, 1, 3))
    return (low + random.integers(0, 56, (images, 64, 64, 3))).astype(np.uint8)


@pytest.mark.parametrize("images", [1, 3, 17])
def test_both_runtimes_give_the_same_numbers(embedders: dict[str, Embedder], images: int) -> None:
    pixels = random_pixels(images)
    onnx, on_torch = (embedders[runtime].embed(pixels) for runtime in ("onnx", "torch"))
    np.testing.assert_allclose(onnx.scores, on_torch.scores, atol=1e-4)
    np.testing.assert_allclose(onnx.visual, on_torch.visual, atol=1e-4)


@BOTH
def test_what_images_become(embedders: dict[str, Embedder], runtime: str) -> None:
    embedding = embedders[runtime].embed(random_pixels(17))
    assert embedding.scores.dtype == embedding.visual.dtype == np.float32
    assert embedding.scores.shape == (17, 6)
    assert embedding.visual.shape == (17, 8)
    assert ((embedding.scores >= 0) & (embedding.scores <= 1)).all()
    np.testing.assert_allclose(np.linalg.norm(embedding.visual, axis=1), 1, atol=1e-5)
    # The pictures differ, and so do the numbers: the network is no constant.
    assert np.ptp(embedding.scores, axis=0).max() > 0.01
    assert np.ptp(embedding.visual, axis=0).max() > 0.1


@BOTH
def test_an_image_does_not_depend_on_its_batch(
    embedders: dict[str, Embedder], runtime: str
) -> None:
    pixels = random_pixels(5)
    together = embedders[runtime].embed(pixels)
    alone = embedders[runtime].embed(pixels[3:4])
    np.testing.assert_allclose(alone.scores[0], together.scores[3], atol=1e-5)
    np.testing.assert_allclose(alone.visual[0], together.visual[3], atol=1e-5)


@pytest.mark.parametrize("images", [4, 5, 17])
def test_many_images_at_a_time_get_the_bits_they_get_alone(
    checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch, images: int
) -> None:
    monkeypatch.setattr("finetag_model.runtime_onnx.CORES", 2)  # fewer than images
    embedder = load_embedder(checkpoint_path, "onnx")
    pixels = random_pixels(images)
    alone = [embedder.embed(pixels[at : at + 1]) for at in range(images)]
    with ThreadPoolExecutor(3) as pool:  # a service embeds for several at once
        for together in pool.map(embedder.embed, [pixels] * 3):
            np.testing.assert_array_equal(together.scores, [each.scores[0] for each in alone])
            np.testing.assert_array_equal(together.visual, [each.visual[0] for each in alone])


def test_scores_and_visual_vectors_are_as_documented(
    embedders: dict[str, Embedder], checkpoint_path: Path
) -> None:
    checkpoint = read_checkpoint(checkpoint_path)
    network = load_network(checkpoint)
    pixels = random_pixels(4)
    with torch.inference_mode():
        descriptor = network.descriptor(network.features(torch.from_numpy(pixels)))
        logits = network.classify(descriptor).numpy()
    calibration, projection = checkpoint.calibration, checkpoint.projection
    unit = descriptor.numpy() / np.linalg.norm(descriptor.numpy(), axis=1, keepdims=True)
    visual = (unit - projection.mean) @ projection.components.T
    visual /= np.linalg.norm(visual, axis=1, keepdims=True)
    embedding = embedders["torch"].embed(pixels)
    scores = expit(logits * calibration.slope + calibration.offset)
    # A GPU adds in another order: its scores differ by 1.2e-5, and by 1e-3 if it rounds to TF32.
    np.testing.assert_allclose(embedding.scores, scores, atol=5e-5)
    np.testing.assert_allclose(embedding.scores, calibration.probabilities(logits), atol=5e-5)
    np.testing.assert_allclose(embedding.visual, visual, atol=1e-4)


@BOTH
def test_pixels_of_an_image_are_taken_as_they_come(
    embedders: dict[str, Embedder], runtime: str, tmp_path: Path, paint: object
) -> None:
    pixels = to_pixels(load_rgb(paint(tmp_path / "a.png", "red", "blue")), 64)  # type: ignore[operator]
    single = embedders[runtime].embed(pixels[np.newaxis])  # a view, which may be read-only
    stacked = embedders[runtime].embed(np.stack([pixels]))
    np.testing.assert_allclose(single.visual, stacked.visual, atol=1e-6)


@BOTH
def test_the_model_behind_the_vectors(
    embedders: dict[str, Embedder], runtime: str, checkpoint_path: Path
) -> None:
    model = embedders[runtime].model
    assert model.digest == read_checkpoint(checkpoint_path).digest
    assert (model.name, model.input_size, model.visual_dim) == ("tiny", 64, 8)


def test_the_graph_is_kept_under_the_digest(
    embedders: dict[str, Embedder], checkpoint_path: Path, cache: Path
) -> None:
    graph = exported_graph(read_checkpoint(checkpoint_path))
    assert graph.parent == cache / "onnx"
    assert graph.name.startswith(embedders["onnx"].model.digest)
    assert [path.name for path in graph.parent.iterdir() if path.name.startswith("tmp")] == []


@pytest.mark.usefixtures("embedders")
def test_with_the_graph_in_the_cache_torch_is_not_imported(checkpoint_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from finetag_model import load_embedder\n"
        "embedder = load_embedder(Path(sys.argv[1]), 'onnx')\n"
        "print(embedder.embed(np.zeros((2, 64, 64, 3), np.uint8)).visual.shape)\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(checkpoint_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("(2, 8)\n", "")


def test_a_cache_that_cannot_be_written(
    checkpoint_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    monkeypatch.setenv("FINETAG_CACHE", str(in_the_way))
    with pytest.raises(CheckpointError, match="set FINETAG_CACHE to a folder") as error:
        load_embedder(checkpoint_path, "onnx")
    assert str(in_the_way) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_failed_export_leaves_no_graph(
    checkpoint_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(checkpoint: Checkpoint, path: Path) -> None:
        path.write_bytes(b"half a graph of " + checkpoint.name.encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("FINETAG_CACHE", str(tmp_path))
    monkeypatch.setattr("finetag_model.export.export_onnx", fail)
    with pytest.raises(CheckpointError, match="No space left on device"):
        load_embedder(checkpoint_path, "onnx")
    assert list((tmp_path / "onnx").iterdir()) == []


@pytest.mark.usefixtures("embedders")
@pytest.mark.parametrize(("gpu", "kind"), [(False, OnnxEmbedder), (True, TorchEmbedder)])
def test_auto_takes_torch_where_there_is_a_gpu(
    checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool, kind: type
) -> None:
    monkeypatch.setattr("finetag_model.embedder.has_cuda_gpu", lambda: gpu)
    assert isinstance(load_embedder(checkpoint_path), kind)


@pytest.mark.parametrize(
    ("init", "count", "devices", "expected"),
    [(0, 0, 2, True), (0, 0, 0, False), (100, 0, 1, False), (0, 3, 1, False)],
)
def test_the_driver_is_asked_for_a_gpu(
    monkeypatch: pytest.MonkeyPatch, init: int, count: int, devices: int, expected: bool
) -> None:
    class Driver:
        def __init__(self, name: str) -> None:
            assert "cuda" in name

        def cuInit(self, flags: int) -> int:  # noqa: N802
            assert flags == 0
            return init

        def cuDeviceGetCount(self, pointer: object) -> int:  # noqa: N802
            ctypes.cast(pointer, ctypes.POINTER(ctypes.c_int))[0] = devices  # type: ignore[arg-type]
            return count

    monkeypatch.setattr(ctypes, "CDLL", Driver)
    assert has_cuda_gpu() is expected


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", fail)
    assert has_cuda_gpu() is False


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.safetensors does not exist"):
        load_embedder(tmp_path / "none.safetensors")


@pytest.mark.parametrize("change", ["missing", "shape"])
def test_weights_that_do_not_fit(tiny_checkpoint: Checkpoint, tmp_path: Path, change: str) -> None:
    weights = dict(tiny_checkpoint.weights)
    if change == "missing":
        del weights["classify.bias"]
    else:
        weights["classify.weight"] = weights["classify.weight"][:2]
    path = tmp_path / "odd.safetensors"
    write_checkpoint(replace(tiny_checkpoint, weights=weights), path)
    with pytest.raises(CheckpointError, match="the weights do not fit the network") as error:
        load_embedder(path, "torch")
    assert "\n" not in str(error.value)


def test_a_damaged_graph_in_the_cache_is_exported_again(
    checkpoint_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.zeros((1, 64, 64, 3), dtype=np.uint8)
    want = load_embedder(checkpoint_path, "onnx").embed(pixels)
    monkeypatch.setenv("FINETAG_CACHE", str(tmp_path))
    graph = exported_graph(read_checkpoint(checkpoint_path))
    graph.write_bytes(graph.read_bytes()[:1000])
    got = load_embedder(checkpoint_path, "onnx").embed(pixels)
    np.testing.assert_array_equal(got.visual, want.visual)
