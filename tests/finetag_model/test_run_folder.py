from __future__ import annotations

import csv
import tomllib
from pathlib import Path

import pytest
import torch
from PIL import Image

from finetag_model.errors import DataError, FineTagError, UsageError
from finetag_model.run_folder import Epoch, RunFolder, opened_run
from finetag_model.training import State

OPTIONS = {
    "data": 'birds/"of" Jürgen\'s\\',
    "annotated": ["a.csv", "b.csv"],
    "epochs": 20,
    "ema": 0.5,
    "certainty": False,
    "reference": None,
}
STATE = State({"network.weight": torch.arange(6.0).reshape(2, 3).T}, {"epoch": 1, "groups": [1.5]})
EPOCHS = [Epoch(1, 1, 5.25, 5.5, 12.3), Epoch(1, 2, 4.25, 5.0, 12.1), Epoch(2, 1, 4.0, 4.5, 30.0)]


def test_the_options_are_kept_as_config_reads_them(tmp_path: Path) -> None:
    RunFolder(tmp_path / "runs" / "birds", OPTIONS)
    kept = tomllib.loads((tmp_path / "runs" / "birds" / "config.toml").read_text(encoding="utf-8"))
    assert kept == {name: value for name, value in OPTIONS.items() if value is not None}


def test_metrics_are_a_row_an_epoch(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, OPTIONS)
    for epoch in EPOCHS:
        run.save(epoch.stage, STATE, epoch)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["loss"] for row in rows] == ["5.25", "4.25", "4.0"]
    assert [row["held_out_loss"] for row in rows] == ["5.5", "5.0", "4.5"]
    assert [(row["stage"], row["epoch"]) for row in rows] == [("1", "1"), ("1", "2"), ("2", "1")]


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    first = RunFolder(tmp_path, OPTIONS)
    assert first.saved is None
    first.save(1, STATE, EPOCHS[0])
    again = RunFolder(tmp_path, OPTIONS)
    assert again.history == EPOCHS[:1]
    assert again.saved is not None
    stage, state = again.saved
    assert stage == 1
    assert state.values == STATE.values
    torch.testing.assert_close(dict(state.tensors), dict(STATE.tensors))


def test_other_options_are_refused_and_named(tmp_path: Path) -> None:
    RunFolder(tmp_path, OPTIONS)
    with pytest.raises(UsageError, match=r"other options \(ema, epochs\)"):
        RunFolder(tmp_path, OPTIONS | {"epochs": 21, "ema": 0.25})


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="holds other files"):
        RunFolder(tmp_path, OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_state_is_one_clear_line(tmp_path: Path, damage: bytes | None) -> None:
    run = RunFolder(tmp_path, OPTIONS)
    run.save(1, STATE, EPOCHS[0])
    state = tmp_path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-5] if damage is None else damage)
    with pytest.raises(DataError, match=r"state\.safetensors is damaged.*remove it") as error:
        RunFolder(tmp_path, OPTIONS)
    assert "\n" not in str(error.value)


def test_a_file_in_the_way_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(FineTagError, match="cannot use the run folder"):
        RunFolder(tmp_path / "run", OPTIONS)


def test_a_finished_run_has_curves_and_no_maps(tmp_path: Path) -> None:
    with opened_run(tmp_path / "run", OPTIONS) as run:
        run.maps(1).write_bytes(b"maps")
        for epoch in EPOCHS:
            run.save(epoch.stage, STATE, epoch)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"config.toml", "metrics.csv", "state.safetensors", "curves.png"}
    with Image.open(tmp_path / "run" / "curves.png") as image:
        assert image.format == "PNG"
        assert image.width > 400


def test_a_run_that_failed_keeps_its_maps(tmp_path: Path) -> None:
    def fail() -> None:
        with opened_run(tmp_path / "run", OPTIONS) as run:
            run.maps(1).write_bytes(b"maps")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "run" / "maps-1.npy").exists()


def test_without_a_folder_nothing_is_kept() -> None:
    with opened_run(None, OPTIONS) as run:
        path = run.path
        assert path.is_dir()
    assert not path.exists()
