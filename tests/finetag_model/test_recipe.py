from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from finetag_model import recipe
from finetag_model.cub import CubDataset, read_cub
from finetag_model.errors import DataError
from finetag_model.network import FineTag
from finetag_model.pictures import Picture
from finetag_model.recipe import LabelPolicy, Recipe, TrainingSet
from finetag_model.run_folder import RunFolder
from finetag_model.training import Stage, StageTraining

STAGES = [Stage(layer=4, epochs=2, batch=16)]


@pytest.fixture
def cub(make_cub: Callable[..., Path]) -> CubDataset:
    return read_cub(make_cub(images=12))


def nothing(cub: CubDataset) -> NDArray[np.bool_]:
    return np.zeros(len(cub), dtype=bool)


def test_a_photograph_with_a_margin_gives_two_pictures(cub: CubDataset) -> None:
    cub.boxes[5] = (0, 0, 48, 40)  # this one's box is all of it
    leave_out = nothing(cub)
    leave_out[[0, 1]] = True
    source = recipe.photographs(cub, leave_out, LabelPolicy())
    rows = list(range(2, 12))
    with_margin = [row for row in rows if row != 5]
    assert source.pictures[:10] == [
        Picture(cub.paths[row], tuple(cub.boxes[row].tolist())) for row in rows
    ]
    assert source.pictures[10:] == [Picture(cub.paths[row]) for row in with_margin]
    assert source.subjects.tolist() == [row + 1 for row in rows + with_margin]
    np.testing.assert_array_equal(source.presence, cub.presence[rows + with_margin])


def test_unknown_labels_stay_without_a_reference_and_are_filled_with_one(cub: CubDataset) -> None:
    cub.presence[1] = [np.nan, np.nan, 1, 1, 0, 0]
    leave_out = nothing(cub)
    plain = recipe.photographs(cub, leave_out, LabelPolicy())
    assert np.isnan(plain.presence[1, :2]).all()
    reference = np.array([[1, 0, 1, 1, 0, 0], [1, 0, 1, 0, 1, 0]], dtype=np.float32)
    filled = recipe.photographs(cub, leave_out, LabelPolicy("conditional", reference))
    np.testing.assert_allclose(filled.presence[1], [1, 0, 1, 1, 0, 0], atol=0.01)
    assert np.isnan(cub.presence[1, :2]).all()


def test_unknown_labels_may_be_taken_for_absent(cub: CubDataset) -> None:
    cub.presence[1] = [np.nan, np.nan, 1, 1, 0, 0]
    source = recipe.photographs(cub, nothing(cub), LabelPolicy("negative"))
    assert source.presence[1].tolist() == [0, 0, 1, 1, 0, 0]


def test_certainty_softens_what_was_recorded_and_nothing_else(cub: CubDataset) -> None:
    cub.presence[1] = [np.nan, np.nan, 1, 1, 0, 0]
    cub.certainty[1] = [0, 0, 2, 4, 3, 1]
    reference = np.array([[1, 0, 1, 1, 0, 0], [1, 0, 1, 0, 1, 0]], dtype=np.float32)
    policy = LabelPolicy("conditional", reference, certainty=True)
    source = recipe.photographs(cub, nothing(cub), policy)
    np.testing.assert_allclose(source.presence[1], [1, 0, 0.6, 1, 0.2, np.nan], atol=0.01)


def test_labels_are_shared_among_the_species_trained_on(cub: CubDataset) -> None:
    leave_out = nothing(cub)
    leave_out[0] = True
    cub.presence[0] = np.nan  # would spoil the mean of its species if it took part
    plain = recipe.photographs(cub, leave_out, LabelPolicy())
    shared = recipe.photographs(cub, leave_out, LabelPolicy(species_share=0.5))
    assert np.isfinite(shared.presence).all()
    assert np.abs(shared.presence - plain.presence).max() > 0.1
    # Both pictures of a photograph have its labels.
    first = shared.subjects.tolist()
    assert (shared.presence[0] == shared.presence[first.index(first[0], 1)]).all()
    # A probability is calibrated to what was recorded, not to the mean of a species.
    np.testing.assert_array_equal(shared.recorded, plain.presence)


def test_an_annotated_folder_is_taken_whole(cub: CubDataset, tmp_path: Path) -> None:
    table = tmp_path / "more" / "attributes.csv"
    table.parent.mkdir()
    table.write_text("image,group,value\na.png,upper_color,blue\nb.png,lower_color,red\n")
    for name in ("a.png", "b.png"):
        (table.parent / name).touch()
    (source,) = recipe.annotated([table], cub.vocabulary)
    assert source.pictures == [Picture(table.parent / name) for name in ("a.png", "b.png")]
    assert source.presence[0, :3].tolist() == [0, 0, 1]
    # No subject of it is one of the photographs.
    assert len(set(source.subjects)) == 2
    assert not set(source.subjects) & set(cub.image_ids)


def test_an_image_of_two_annotated_folders_is_one_subject(cub: CubDataset, tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    tables = [tmp_path / "upper.csv", tmp_path / "lower.csv"]
    tables[0].write_text("image,group,value\na.png,upper_color,blue\nb.png,upper_color,red\n")
    tables[1].write_text(
        f"image,group,value\nc.png,lower_color,blue\n{tmp_path / 'b.png'},lower_color,red\n"
    )
    upper, lower = recipe.annotated(tables, cub.vocabulary)
    assert upper.subjects.tolist() == [-1, -2]
    assert lower.subjects.tolist() == [-3, -2]
    assert np.isnan(upper.presence[:, 3:]).all()
    assert np.isnan(lower.presence[:, :3]).all()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Watch what the recipe trains, calibrates and projects with."""
    seen: dict[str, Any] = {}

    def watch(name: str, keep: Callable[..., Any]) -> None:
        real = getattr(recipe, name)

        def call(*args: Any) -> Any:
            seen.setdefault(name, keep(*args))
            return real(*args)

        monkeypatch.setattr(recipe, name, call)

    watch("StageTraining", lambda network, maps, presence, rows, *_: (presence, rows))
    watch("fit_calibration", lambda logits, presence: presence)
    watch("fit_projection", lambda features, *_: len(features))
    return seen


def test_subjects_are_held_out_together_and_only_for_the_calibration(
    tiny_network: FineTag, make_cub: Callable[..., Path], steps: dict[str, Any], tmp_path: Path
) -> None:
    cub = read_cub(make_cub(images=40))
    photographs = recipe.photographs(cub, nothing(cub), LabelPolicy())
    labels = photographs.presence[:20]
    twenty = TrainingSet(photographs.pictures[:20], labels, labels, -1 - np.arange(20))
    lines: list[str] = []
    settings = Recipe(STAGES, held_out=0.25, visual_dim=4, seed=1)
    calibration, projection = recipe.train(
        tiny_network, [photographs, twenty], settings, RunFolder(tmp_path / "run", {}), lines.append
    )
    presence, rows = steps["StageTraining"]
    subjects = np.concatenate([photographs.subjects, twenty.subjects])
    trained = np.concatenate(rows)
    held_out = np.setdiff1d(np.arange(100), trained)
    assert (rows[0] < 80).all()
    assert (rows[1] >= 80).all()
    assert 0.1 < len(held_out) / 100 < 0.4
    assert not set(subjects[trained]) & set(subjects[held_out])
    np.testing.assert_array_equal(steps["fit_calibration"], presence[held_out])
    assert steps["fit_projection"] == len(trained)
    assert f"{len(trained)} pictures to train on, {len(held_out)} to calibrate on" in lines[0]
    assert calibration.slope.shape == (6,)
    assert projection.components.shape == (4, 8)


@pytest.mark.parametrize("shift", [0, 5])
def test_too_few_pictures_are_one_clear_line(
    tiny_network: FineTag, cub: CubDataset, tmp_path: Path, shift: int
) -> None:
    leave_out = nothing(cub)
    leave_out[2 + shift :] = True
    source = recipe.photographs(cub, leave_out, LabelPolicy())
    settings = Recipe(STAGES, visual_dim=32)
    with pytest.raises(DataError, match="pictures") as error:
        recipe.train(
            tiny_network, [source], settings, RunFolder(tmp_path / "run", {}), lambda line: None
        )
    assert "\n" not in str(error.value)


def test_no_pictures_at_all_is_one_clear_line(
    tiny_network: FineTag, cub: CubDataset, tmp_path: Path
) -> None:
    source = recipe.photographs(cub, ~nothing(cub), LabelPolicy())
    assert len(source.pictures) == 0
    with pytest.raises(DataError, match="pictures"):
        recipe.train(
            tiny_network,
            [source],
            Recipe(STAGES, visual_dim=4),
            RunFolder(tmp_path / "run", {}),
            lambda line: None,
        )


def test_nothing_held_out_is_one_clear_line(
    tiny_network: FineTag, cub: CubDataset, tmp_path: Path
) -> None:
    source = recipe.photographs(cub, nothing(cub), LabelPolicy())
    settings = Recipe(STAGES, held_out=0.001, visual_dim=4)
    with pytest.raises(DataError, match="calibrate"):
        recipe.train(
            tiny_network, [source], settings, RunFolder(tmp_path / "run", {}), lambda line: None
        )


LONG = [Stage(layer=4, epochs=2, batch=16), Stage(layer=2, epochs=3, batch=16, ema=0.8)]


class Killed(BaseException):
    """Stands for a kill: nothing in the program catches it."""


def weights(network: FineTag) -> dict[str, Any]:
    return {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("epochs_before_the_kill", [1, 2, 3, 5])
def test_a_run_that_was_killed_goes_on_to_the_same_result(
    tiny_network: FineTag,
    make_cub: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    epochs_before_the_kill: int,
) -> None:
    cub = read_cub(make_cub(images=40))
    source = recipe.photographs(cub, nothing(cub), LabelPolicy())
    settings = Recipe(LONG, held_out=0.25, visual_dim=4, seed=1)
    killed, resumed = copy.deepcopy(tiny_network), copy.deepcopy(tiny_network)

    def run(network: FineTag, folder: str) -> tuple[Any, list[str]]:
        lines: list[str] = []
        run = RunFolder(tmp_path / folder, {"seed": 1})
        return recipe.train(network, [source], settings, run, lines.append), lines

    (calibration, projection), _ = run(tiny_network, "whole")
    with monkeypatch.context() as patch:
        done: list[int] = []
        real = StageTraining.run_epoch

        def until(training: StageTraining) -> float:
            if len(done) == epochs_before_the_kill:
                raise Killed
            done.append(1)
            return real(training)

        patch.setattr(StageTraining, "run_epoch", until)
        if epochs_before_the_kill < 5:
            with pytest.raises(Killed):
                run(killed, "killed")
        else:
            patch.setattr(recipe, "fit_projection", lambda *_: (_ for _ in ()).throw(Killed))
            with pytest.raises(Killed):
                run(killed, "killed")
    (again, projected), lines = run(resumed, "killed")
    for name, array in weights(tiny_network).items():
        np.testing.assert_array_equal(array, weights(resumed)[name], err_msg=name)
    np.testing.assert_array_equal(calibration.thresholds, again.thresholds)
    np.testing.assert_array_equal(projection.components, projected.components)
    assert any("going on after epoch" in line for line in lines)
    without_time = [
        [
            line.rpartition(",")[0]
            for line in (tmp_path / folder / "metrics.csv").read_text().splitlines()
        ]
        for folder in ("whole", "killed")
    ]
    assert without_time[0] == without_time[1]
    assert len(without_time[0]) == 1 + 5
