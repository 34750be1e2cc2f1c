from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from finetag_model.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from finetag_model.errors import CheckpointError


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def rewrite(source: Path, target: Path, **changes: Any) -> Path:
    """Copy a checkpoint with entries of its header changed; None takes an entry out."""
    with safe_open(source, framework="numpy") as file:
        header = json.loads(file.metadata()["finetag"])
    header = {key: value for key, value in {**header, **changes}.items() if value is not None}
    save_file(load_file(source), target, metadata={"finetag": json.dumps(header)})
    return target


def test_what_is_written_is_read(tiny_checkpoint: Checkpoint, checkpoint_path: Path) -> None:
    read = read_checkpoint(checkpoint_path)
    assert read.name == "tiny"
    assert read.config == tiny_checkpoint.config
    assert read.vocabulary == tiny_checkpoint.vocabulary
    assert read.notes == {"seed": 1}
    assert read.digest == hashlib.sha256(checkpoint_path.read_bytes()).hexdigest()
    assert read.weights.keys() == tiny_checkpoint.weights.keys()
    for name, array in read.weights.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, tiny_checkpoint.weights[name].astype(np.float16))
    for name in ("slope", "offset", "thresholds"):
        written, got = (getattr(each.calibration, name) for each in (tiny_checkpoint, read))
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, written)  # not rounded
    np.testing.assert_array_equal(read.projection.mean, tiny_checkpoint.projection.mean)
    np.testing.assert_array_equal(
        read.projection.components, tiny_checkpoint.projection.components.astype(np.float16)
    )


def test_a_checkpoint_from_before_there_was_a_rival(checkpoint_path: Path, tmp_path: Path) -> None:
    config = asdict(read_checkpoint(checkpoint_path).config)
    del config["head"], config["hidden"]
    path = rewrite(checkpoint_path, tmp_path / "old", config=config)
    assert read_checkpoint(path).config.head == "bilinear"


def test_writing_what_was_read_changes_nothing(checkpoint_path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    write_checkpoint(read_checkpoint(checkpoint_path), again)
    assert read_checkpoint(again).digest == read_checkpoint(checkpoint_path).digest


def test_arrays_need_not_be_contiguous(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    def turned(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The same numbers, laid out the other way round in memory."""
        return np.asfortranarray(array) if array.ndim > 1 else np.repeat(array, 2)[::2]

    calibration, projection = tiny_checkpoint.calibration, tiny_checkpoint.projection
    scattered = replace(
        tiny_checkpoint,
        weights={name: turned(array) for name, array in tiny_checkpoint.weights.items()},
        calibration=replace(
            calibration,
            **{key: turned(getattr(calibration, key)) for key in ("slope", "offset", "thresholds")},
        ),
        projection=replace(
            projection, mean=turned(projection.mean), components=turned(projection.components)
        ),
    )
    assert not all(array.flags.c_contiguous for array in scattered.weights.values())
    for name, checkpoint in [("plain", tiny_checkpoint), ("scattered", scattered)]:
        write_checkpoint(checkpoint, tmp_path / name)
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "scattered").read_bytes()


def test_the_model_is_what_an_index_must_know(checkpoint_path: Path) -> None:
    checkpoint = read_checkpoint(checkpoint_path)
    model = checkpoint.model
    assert (model.name, model.digest) == ("tiny", checkpoint.digest)
    assert (model.input_size, model.visual_dim) == (64, 8)
    assert model.vocabulary == checkpoint.vocabulary
    np.testing.assert_array_equal(model.thresholds, checkpoint.calibration.thresholds)


def test_weights_that_are_no_floats_keep_their_type(
    tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    weights = {"steps": np.array([70_000], dtype=np.int64)}
    write_checkpoint(replace(tiny_checkpoint, weights=weights), tmp_path / "model")
    read = read_checkpoint(tmp_path / "model").weights["steps"]
    assert read.dtype == np.int64
    assert read.tolist() == [70_000]


def test_folders_are_made_and_nothing_is_left_beside(
    tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "a" / "b" / "model.safetensors"
    write_checkpoint(tiny_checkpoint, path)
    write_checkpoint(tiny_checkpoint, path)
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.safetensors")
    assert "cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize("kept", [0, 4, 100, 5_000, -1])
def test_a_truncated_file(checkpoint_path: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(checkpoint_path.read_bytes()[:kept])
    assert "cannot be read" in refusal(path)


@pytest.mark.parametrize("position", [0, 7, 8, 9, 20])
def test_a_flipped_byte_of_the_header(checkpoint_path: Path, tmp_path: Path, position: int) -> None:
    content = bytearray(checkpoint_path.read_bytes())
    content[position] ^= 0xFF
    path = tmp_path / "flipped.safetensors"
    path.write_bytes(content)
    refusal(path)


def test_any_flipped_byte_of_the_header_is_a_checkpoint_error_or_harmless(
    checkpoint_path: Path, tmp_path: Path
) -> None:
    content = checkpoint_path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    path = tmp_path / "flipped.safetensors"
    for position in np.random.default_rng(0).integers(header, size=60).tolist():
        damaged = bytearray(content)
        damaged[position] ^= 0x04
        path.write_bytes(damaged)
        with contextlib.suppress(CheckpointError):
            read_checkpoint(path)  # a letter of the name, say: nothing can notice


def test_other_files(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"weight": np.zeros(3)}, other)
    assert "a safetensors file, but not a FineTag checkpoint" in refusal(other)
    text = tmp_path / "text.safetensors"
    text.write_text("this is no model, whatever its name says")
    assert "cannot be read" in refusal(text)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"cposix\nsystem\n(S'touch " + bytes(tmp_path / "harm") + b"'\ntR.")
    assert "cannot be read" in refusal(path)
    assert not (tmp_path / "harm").exists()


def test_a_later_format_is_refused(checkpoint_path: Path, tmp_path: Path) -> None:
    message = refusal(rewrite(checkpoint_path, tmp_path / "later", format=2))
    assert "its format is 2, this version reads 1" in message


@pytest.mark.parametrize("entry", ["format", "name", "config", "vocabulary", "notes"])
def test_a_header_without_an_entry(checkpoint_path: Path, tmp_path: Path, entry: str) -> None:
    path = rewrite(checkpoint_path, tmp_path / "part", **{entry: None})
    assert "damaged or of another FineTag version" in refusal(path)


@pytest.mark.parametrize(
    "change",
    [
        {"vocabulary": ["a=b"]},
        {"vocabulary": 7},
        {"vocabulary": ["no form"] * 6},
        {"config": {"attributes": 6, "depth": 3}},
        {"config": {}},
        {"config": ["attributes"]},
    ],
    ids=lambda change: json.dumps(change)[:40],
)
def test_a_header_that_makes_no_sense(
    checkpoint_path: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    path = rewrite(checkpoint_path, tmp_path / "odd", **change)
    assert "damaged or of another FineTag version" in refusal(path)


@pytest.mark.parametrize("metadata", ["", "{", "[]", "null", "[1]"])
def test_a_header_that_is_no_object(tmp_path: Path, metadata: str) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({"weight": np.zeros(3)}, path, metadata={"finetag": metadata})
    assert "damaged or of another FineTag version" in refusal(path)


@pytest.mark.parametrize(
    "tensor", ["calibration.slope", "calibration.thresholds", "projection.components"]
)
def test_a_missing_tensor_is_named(checkpoint_path: Path, tmp_path: Path, tensor: str) -> None:
    tensors = load_file(checkpoint_path)
    with safe_open(checkpoint_path, framework="numpy") as file:
        metadata = file.metadata()
    del tensors[tensor]
    path = tmp_path / "part.safetensors"
    save_file(tensors, path, metadata=metadata)
    assert tensor in refusal(path)


def test_a_failed_write_leaves_the_old_file(
    tiny_checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    write_checkpoint(tiny_checkpoint, path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for step in ("replace", "write_bytes"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, step, fail)
            with pytest.raises(CheckpointError, match="No space left on device") as error:
                write_checkpoint(replace(tiny_checkpoint, name="other"), path)
        assert str(path) in str(error.value)
        assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot write") as error:
        write_checkpoint(tiny_checkpoint, tmp_path / "file" / "model.safetensors")
    assert "\n" not in str(error.value)


def test_reading_needs_neither_torch_nor_onnxruntime(checkpoint_path: Path) -> None:
    program = (
        "import sys, finetag_model\n"
        "from pathlib import Path\n"
        "from finetag_model.checkpoint import read_checkpoint\n"
        "print(read_checkpoint(Path(sys.argv[1])).name)\n"
        "assert not {'torch', 'onnxruntime', 'torchvision'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(checkpoint_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("tiny\n", "")
