"""The command `finetag-index build` as its user sees it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from finetag_model.console import FINISHED_BUT_SKIPPED
from finetag_model.errors import CatalogueError, CheckpointError
from indexer import Index, cli, progress
from indexer.lock import writer_lock


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, color_embedder: Any, tmp_path: Path
) -> Callable[..., Result]:
    def load(checkpoint: Path | None, runtime: str) -> Any:
        assert runtime in {"auto", "onnx", "torch"}
        if checkpoint is not None:
            raise CheckpointError(f"{checkpoint} does not exist")
        return color_embedder

    monkeypatch.setattr(cli, "load_embedder", load)
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object, **environment: str) -> Result:
        result = CliRunner().invoke(cli.main, [str(each) for each in arguments], env=environment)
        assert "Traceback" not in result.output
        return result

    return invoke


@pytest.mark.usefixtures("database")
def test_a_first_and_a_second_build(run: Callable[..., Result], catalogue: Path) -> None:
    (catalogue / "notes.txt").write_text("no image")
    first = run("build", catalogue)
    assert first.exit_code == 0
    assert "5 images indexed in" in first.stdout
    assert "5 new, 0 changed, 0 moved, 0 unchanged, 0 gone" in first.stdout
    assert "0 duplicates, 5 images embedded, 1 other file ignored" in first.stdout
    assert "embed" in first.stdout
    assert Index.open(Path(".finetag")).rows == 5
    second = run("build", catalogue)
    assert second.exit_code == 0
    assert "nothing has changed" in second.stdout
    assert "0 new, 0 changed, 0 moved, 5 unchanged, 0 gone" in second.stdout


def test_skipped_images_are_listed_with_reasons_and_exit_code_3(
    run: Callable[..., Result], catalogue: Path
) -> None:
    for number in range(25):
        (catalogue / f"bad{number:02}.jpg").write_text("?")
    result = run("build", catalogue)
    assert result.exit_code == 3
    listed = [line for line in result.stdout.splitlines() if line.startswith("  bad")]
    assert len(listed) == 20
    assert listed[0] == "  bad00.jpg: the image is not an image in a known format"
    assert "25 files skipped" in result.stdout
    assert "and 5 more: --json lists all" in result.stdout


def test_a_name_cannot_garble_the_terminal(run: Callable[..., Result], catalogue: Path) -> None:
    (catalogue / "\x1b[2Jgone\n.jpg").write_text("?")
    result = run("build", catalogue)
    assert "\x1b" not in result.output
    assert r"  \x1b[2Jgone\n.jpg: the image" in result.stdout


def test_json_is_one_object_with_everything(run: Callable[..., Result], catalogue: Path) -> None:
    for number in range(25):
        (catalogue / f"bad{number:02}.jpg").write_text("?")
    (Path(os.fsdecode(os.fsencode(catalogue) + b"/caf\xe9.jpg"))).write_text("?")
    result = run("build", catalogue, "--json", "--index", "elsewhere")
    assert result.exit_code == 3
    report = json.loads(result.stdout)
    assert len(report["skipped"]) == 26
    assert report["skipped"][0] == {
        "path": "bad00.jpg",
        "reason": "the image is not an image in a known format",
        "quarantined": False,
    }
    numbers = ("images", "new", "changed", "unchanged", "embedded", "duplicates", "gone", "ignored")
    assert [report[name] for name in numbers] == [5, 5, 0, 0, 5, 0, 0, 0]
    assert (report["generation"], report["published"]) == (1, True)
    assert report["catalogue"] == str(catalogue)
    assert list(report["stages"]) == ["scan", "hash", "decode", "embed", "write", "publish"]
    assert report["stages"]["embed"]["images"] == 5
    assert report["seconds"] >= 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["build", "nowhere"], 1, "error: the catalogue folder nowhere does not exist"),
        (["build", ".", "--model", "gone.st"], 1, "error: gone.st does not exist"),
        (["build", "."], 1, "error: there is no image in"),
        (["build"], 2, "Missing argument 'CATALOGUE'"),
        (["build", ".", "--runtime", "fast"], 2, "'fast' is not one of"),
        (["build", ".", "--nonsense"], 2, "No such option"),
        (["destroy"], 2, "No such command"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    run: Callable[..., Result], arguments: list[str], exit_code: int, message: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == exit_code
    assert message in result.stderr
    assert result.stdout == ""
    if exit_code == 1:
        assert result.stderr.count("\n") == 1


def test_the_index_is_found_as_git_finds_its_own(
    run: Callable[..., Result],
    catalogue: Path,
    many: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run("build", catalogue).exit_code == 0
    monkeypatch.chdir(catalogue / "sub")
    assert "5 unchanged" in run("build", "..").stdout
    assert not (catalogue / "sub" / ".finetag").exists()
    other = run("build", many)
    assert other.exit_code == 1
    assert "--index" in other.stderr
    assert run("build", many, FINETAG_INDEX=str(tmp_path / "second")).exit_code == 0
    assert Index.open(tmp_path / "second").rows == 50
    named = run("build", many, "--index", tmp_path / "third", FINETAG_INDEX="no")
    assert named.exit_code == 0
    assert Index.open(tmp_path / "third").rows == 50


def test_ctrl_c_ends_without_a_traceback_and_without_an_index(
    run: Callable[..., Result], catalogue: Path, color_embedder: Any
) -> None:
    def interrupt(_pixels: Any) -> None:
        raise KeyboardInterrupt

    color_embedder.embed = interrupt
    result = run("build", catalogue)
    assert result.exit_code not in {0, FINISHED_BUT_SKIPPED}
    assert result.stdout == ""
    with pytest.raises(CatalogueError, match="never finished"):
        Index.open(Path(".finetag"))


def test_progress_is_lines_now_and_then_where_there_is_no_terminal(
    run: Callable[..., Result], catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("build", catalogue).stderr == ""
    monkeypatch.setattr(progress, "_LOG_EVERY", 0.0)
    assert "5 of 5 files" in run("build", catalogue).stderr


def test_progress_is_a_bar_on_a_terminal_and_leaves_the_report_clean(
    run: Callable[..., Result], many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    result = run("build", many)
    assert result.exit_code == 0
    assert "50/50" in result.stderr
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_tells_every_command_and_option(run: Callable[..., Result], option: str) -> None:
    group = run(option)
    assert group.exit_code == 0
    assert all(f"  {name}  " in group.stdout for name in cli.main.commands)
    for name, command in cli.main.commands.items():
        result = run(name, option)
        assert result.exit_code == 0
        assert "Usage" in result.stdout
        for parameter in command.params:
            for flag in parameter.opts if parameter.param_type_name == "option" else []:
                assert flag in result.stdout


def test_what_nobody_expected_is_one_line_too(
    run: Callable[..., Result], catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the network\nhas a bug")

    monkeypatch.setattr("indexer.building.build", fail)
    result = run("build", catalogue)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: unexpected RuntimeError: the network has a bug (")
    assert result.stderr.count("\n") == 1


def test_a_build_that_fails_on_another_one_running_says_so(
    run: Callable[..., Result], catalogue: Path, tmp_path: Path
) -> None:
    assert run("build", catalogue).exit_code == 0
    with writer_lock(tmp_path / ".finetag"):
        result = run("build", catalogue)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("error: another command is changing the index ")
    assert "wait until it has finished" in result.stderr


def test_an_index_folder_of_any_name_can_be_reported(
    run: Callable[..., Result], catalogue: Path, tmp_path: Path
) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n?#%41"))
    result = run("build", catalogue, "--index", folder)
    assert result.exit_code == 0
    assert "\\udce9\\n?#%41 (generation 1)" in result.stdout
    assert Index.open(folder).rows == 5
    assert json.loads(run("build", catalogue, "--index", folder, "--json").stdout)["index"] == str(
        folder
    )
