"""Every command of `finetag-index` as its user sees it: what it prints, and its exit code."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from finetag_model.drawn import write_catalogue
from indexer import Index, cli
from tests.pages import ROOT, run_well
from tests.pages import run as run_line

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, color_embedder: Any, tmp_path: Path) -> Run:
    """Run a command in a folder of its own, with a model small enough to reason about."""
    monkeypatch.setattr(cli, "load_embedder", lambda _model, _runtime: color_embedder)
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object, **environment: str) -> Result:
        result = CliRunner().invoke(cli.main, [str(each) for each in arguments], env=environment)
        assert "Traceback" not in result.output
        return result

    return invoke


@pytest.fixture
def built(run: Run, catalogue: Path) -> Run:
    """Do as `run`, where there is an index of five images already."""
    assert run("build", catalogue).exit_code == 0
    return run


def words(run: Run, *arguments: object, code: int = 0) -> str:
    """Return what a command says to people, who get nothing else but its exit code."""
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (code, "")
    return result.stdout


def report(run: Run, *arguments: object, code: int = 0) -> dict[str, Any]:
    """Return what a command says to programs: one JSON object, and nothing beside it."""
    result = run(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (code, "")
    said: dict[str, Any] = json.loads(result.stdout)
    return said


def complaint(run: Run, *arguments: object, code: int = 1, **environment: str) -> str:
    """Return the one line of a command that refuses."""
    result = run(*arguments, **environment)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (code, "", 1)
    assert result.stderr.startswith("error: ")
    return result.stderr.removeprefix("error: ")


@pytest.mark.usefixtures("database")
def test_a_year_of_an_index(built: Run, catalogue: Path, paint: Callable[..., Path]) -> None:
    paint(catalogue / "new.png", "white", "white")
    (catalogue / "a.png").rename(catalogue / "sub" / "a.png")
    assert "1 new, 0 changed, 1 moved, 4 unchanged, 0 gone" in words(built, "update")

    said = words(built, "delete", "new.png", "sub")
    assert said.startswith("4 images deleted, 2 images left (generation 3)")
    assert "4 files passed over, deleted from the index before" in words(built, "update")
    assert "1 new" in words(built, "add", catalogue / "new.png")

    Path("table.csv").write_text("path,price,upper\nb.png,12.5,grey|white\nsoon.png,3,\n")
    said = words(built, "import", "table.csv")
    assert "2 rows of table.csv: 1 about images of the index, 1 not indexed yet" in said
    assert "fields: price\n" in said
    assert "attributes, which outrank predicted ones: upper\n" in said
    assert "nothing has changed" in words(built, "import", "table.csv")

    assert "3 images of" in words(built, "snapshot", "backup.tar.gz")
    assert "1 image deleted" in words(built, "delete", "b.png")
    said = words(built, "compact")
    assert "before" in said
    assert "now" in said

    assert "3 images restored from backup.tar.gz" in words(built, "restore", "backup.tar.gz")
    said = words(built, "stats")
    assert "3 images of" in said
    assert "3 deleted from the index" in said
    assert "price  1 (33%)" in said
    for option in ([], ["--files"]):
        assert "every file and every row is as it was written" in words(built, "verify", *option)
    assert "every file and every row is as it was written" in words(built, "repair")
    assert "3 images" in words(built, "export", "all.parquet")
    with Index.open(Path(".finetag")) as index:
        records = index.images(range(index.rows))
        assert [each.path for each in records] == ["b.png", "c.png", "new.png"]
        assert records[0].fields == {"price": 12.5, "upper": ["grey", "white"]}


@pytest.mark.usefixtures("database")
def test_every_report_is_one_json_object(built: Run, catalogue: Path, tmp_path: Path) -> None:
    index = str(tmp_path / ".finetag")
    for update in (["update"], ["build", catalogue], ["add", catalogue / "a.png"]):
        said = report(built, *update)
        assert (said["index"], said["catalogue"]) == (index, str(catalogue))
        assert (said["generation"], said["published"], said["skipped"]) == (1, False, [])
        assert said["images"] == said["unchanged"]

    said = report(built, "delete", "--id", 1, "sub/d.png")
    assert said == {
        "index": index,
        "generation": 2,
        "deleted": ["a.png", "sub/d.png"],
        "images": 3,
    }

    Path("table.jsonl").write_text('{"id": 2, "brand": "Acme", "lower": ["red", "grey"]}\n')
    said = report(built, "import", "table.jsonl", "--key", "id")
    assert (said["rows"], said["images"], said["waiting"], said["problems"]) == (1, 1, 0, [])
    assert (said["fields"], said["attributes"]) == (["brand"], ["lower"])
    assert (said["generation"], said["published"]) == (3, True)

    whole = report(built, "verify")
    nothing_wrong: dict[str, Any] = {"database": [], "files": [], "catalogue": []}
    assert whole == {"index": index, "generation": 3, "images": 3, "whole": True, **nothing_wrong}
    assert report(built, "repair") == {"before": whole, "done": [], "after": whole}

    said = report(built, "compact")
    assert set(said) == {"index", "before", "after"}
    said = report(built, "stats")
    assert (said["images"], said["excluded"]) == (3, 2)
    assert (said["fields"]["brand"], said["failures"]) == (1, {})

    said = report(built, "snapshot", "backup.tar")
    assert (said["file"], said["images"], said["restored"]) == ("backup.tar", 3, False)
    assert said["bytes"] == Path("backup.tar").stat().st_size
    said = report(built, "restore", "backup.tar", "--index", "second")
    assert (said["index"], said["generation"], said["restored"]) == ("second", 1, True)
    said = report(built, "export", "all.parquet")
    assert (said["path"], said["images"], said["generation"]) == ("all.parquet", 3, 3)
    assert said["bytes"] == Path("all.parquet").stat().st_size


@pytest.mark.parametrize("command", ["update", "add"])
def test_what_was_skipped_is_said_once_the_rest_is_done(
    built: Run, catalogue: Path, paint: Callable[..., Path], command: str
) -> None:
    (catalogue / "bad.png").write_text("?")
    paint(catalogue / "new.png", "white", "white")
    files = [catalogue / "bad.png", catalogue / "new.png"] if command == "add" else []
    said = words(built, command, *files, code=3)
    assert "1 new" in said
    assert "1 file skipped:\n  bad.png: the image is not an image in a known format" in said
    (skipped,) = report(built, command, *files, code=3)["skipped"]
    assert (skipped["path"], skipped["quarantined"]) == ("bad.png", False)


def test_cells_that_are_left_out_are_named_once_the_rest_is_taken(built: Run) -> None:
    Path("table.csv").write_text("path,price,upper\na.png,1,gray\n")
    said = words(built, "import", "table.csv", code=3)
    assert "1 row of table.csv: 1 about images of the index" in said
    assert "table.csv, line 2: upper has no value 'gray'; nearest: grey" in said
    (problem,) = report(built, "import", "table.csv", code=3)["problems"]
    assert "line 2" in problem


def test_damage_is_named_and_mended(built: Run) -> None:
    scores = Path(".finetag/generations/1/scores.npy")
    scores.write_bytes(scores.read_bytes()[:-1] + b"?")
    said = words(built, "verify", code=1)
    assert "generation 1: scores.npy is damaged" in said
    assert "mend it with 'finetag-index repair'" in said
    assert report(built, "verify", code=1)["whole"] is False
    said = words(built, "repair")
    assert "mend it" not in said
    assert "generation 2 was written from the database" in said
    assert said.endswith("every file and every row is as it was written\n")
    assert report(built, "verify")["whole"] is True


def test_an_index_that_was_never_finished_is_not_sent_to_repair_alone(built: Run) -> None:
    Path(".finetag/current").unlink()
    said = words(built, "verify", code=1)
    assert ": no generation, 0 images\n" in said
    assert said.endswith("; if it was never finished, run 'finetag-index build CATALOGUE'\n")


def test_where_both_copies_are_damaged_the_images_are_embedded_again(built: Run) -> None:
    Path(".finetag/catalogue.db").write_text("?")
    Path(".finetag/generations/1/scores.npy").write_text("?")
    said = words(built, "repair")
    assert "5 of 5 images were embedded again" in said
    assert said.endswith("every file and every row is as it was written\n")


def test_images_that_are_not_as_indexed_are_named(built: Run, catalogue: Path) -> None:
    (catalogue / "a.png").write_text("?")
    (catalogue / "b.png").unlink()
    words(built, "verify")
    said = words(built, "verify", "--files", code=1)
    assert "2 image files not as indexed:\n  a.png has changed\n  b.png: no such file" in said
    assert "finetag-index update" in said


@pytest.mark.usefixtures("database")
def test_a_catalogue_that_has_moved(built: Run, catalogue: Path) -> None:
    moved = catalogue.rename(catalogue.with_name("elsewhere"))
    assert f"{catalogue} does not exist" in complaint(built, "update")
    assert "update --moved-to" in complaint(built, "build", moved)
    said = words(built, "update", "--moved-to", moved)
    assert "0 new, 0 changed, 0 moved, 5 unchanged, 0 gone" in said
    assert "nothing has changed" in words(built, "update")


@pytest.mark.usefixtures("database")
def test_another_model_is_taken_when_it_is_asked_for(
    built: Run, catalogue: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = type(color_embedder)(digest="d1" * 32)
    monkeypatch.setattr(cli, "load_embedder", lambda _model, _runtime: other)
    for command in (["update"], ["build", catalogue], ["add", catalogue / "a.png"]):
        assert "--reembed" in complaint(built, *command)
    assert "5 images embedded" in words(built, "update", "--reembed")
    assert "nothing has changed" in words(built, "update")


COMMANDS = {
    "update": [],
    "add": ["a.png"],
    "delete": ["a.png"],
    "import": ["table.csv"],
    "verify": [],
    "repair": [],
    "compact": [],
    "stats": [],
    "snapshot": ["backup.tar"],
    "export": ["all.parquet"],
}
"""The commands that need an index, and what else they need."""


@pytest.mark.parametrize("command", COMMANDS)
def test_where_there_is_no_index_every_command_says_so(
    run: Run, tmp_path: Path, command: str
) -> None:
    said = complaint(run, command, *COMMANDS[command])
    assert said.startswith("there is no index in ")
    said = complaint(run, command, *COMMANDS[command], "--index", "nowhere")
    assert said.startswith("there is no index in ")
    assert "nowhere" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["add", "nowhere.png"], "nowhere.png is not in the catalogue folder"),
        (["add", "catalogue/nowhere.png"], "nowhere.png cannot be read: no such file"),
        (["add", "catalogue/sub"], "catalogue/sub is not a file"),
        (["delete", "nowhere.png"], "there is no image nowhere.png in"),
        (["delete", "--id", "99"], "there is no image with the id 99"),
        (["delete", "a.png", "b.png", "c.png", "sub"], "would leave no image"),
        (["import", "nowhere.csv"], "cannot read nowhere.csv: no such file"),
        (["import", "no-key.csv"], "no-key.csv has no column 'path'"),
        (["import", "by-path.csv", "--key", "id"], "by-path.csv has no column 'id'"),
        (["import", "table.xls"], "table.xls is none of .csv"),
        (["snapshot", "nowhere/backup.tar"], "cannot write nowhere/backup.tar"),
        (["export", "nowhere/all.parquet"], "cannot write nowhere/all.parquet"),
        (["restore", "nowhere.tar"], "there is no snapshot nowhere.tar"),
        (["restore", "no-key.csv"], "no-key.csv is no whole snapshot"),
        (["update", "--moved-to", "nowhere"], "the catalogue folder nowhere does not exist"),
        (["update", "--database", "postgresql://shop@db/shop"], "keeps its database in SQLite"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(
    built: Run, arguments: list[str], message: str
) -> None:
    Path("no-key.csv").write_text("name,price\na.png,1\n")
    Path("by-path.csv").write_text("path,price\na.png,1\n")
    assert message in complaint(built, *arguments)
    with Index.open(Path(".finetag")) as index:
        assert (index.manifest.generation, index.rows) == (1, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["add"], "Missing argument 'FILES...'"),
        (["delete"], "nothing to delete: give paths, or --id"),
        (["delete", "--id", "one"], "'one' is not a valid integer"),
        (["import"], "Missing argument 'FILE'"),
        (["import", "table.csv", "--key", "name"], "'name' is not one of 'path', 'id'"),
        (["snapshot"], "Missing argument 'FILE'"),
        (["restore"], "Missing argument 'FILE'"),
        (["export"], "Missing argument 'FILE'"),
        (["update", "catalogue"], "unexpected extra argument"),
        (["verify", "--model", "x"], "No such option"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_explained(built: Run, arguments: list[str], message: str) -> None:
    result = built(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "--help" in result.stderr


@pytest.mark.parametrize("database", ["mysql://shop@db/shop", "sqlite:///x.db", "nonsense"])
def test_a_database_of_another_kind_is_wrong_usage(
    run: Run, catalogue: Path, database: str
) -> None:
    for said in (
        complaint(run, "build", catalogue, "--database", database, code=2),
        complaint(run, "build", catalogue, code=2, FINETAG_DATABASE=database),
    ):
        assert said.startswith("--database is not the URL of a PostgreSQL database")
    assert run("build", catalogue).exit_code == 0  # and the folder is as good as new


def test_a_server_that_cannot_be_reached_is_one_line(
    run: Run, catalogue: Path, tmp_path: Path
) -> None:
    url = f"postgresql://shop:secret@/shop?host={tmp_path}"
    said = complaint(run, "build", catalogue, "--database", url)
    assert "connection to server" in said
    assert "secret" not in said
    assert run("build", catalogue).exit_code == 0  # and the folder is as good as new


def test_a_database_for_new_indexes_does_not_disturb_old_ones(built: Run, tmp_path: Path) -> None:
    elsewhere = f"postgresql://shop@/shop?host={tmp_path}"
    result = built("update", FINETAG_DATABASE=elsewhere)
    assert result.exit_code == 0
    assert "nothing has changed" in result.stdout


@pytest.mark.usefixtures("no_index_in_the_environment")
def test_an_index_in_postgresql_by_the_command_line(tmp_path: Path, postgres_url: str) -> None:
    write_catalogue(tmp_path / "catalog", count=3, seed=4)
    url = shlex.quote(postgres_url.replace("///", "//finetag:secret@/"))
    database = f"--database {url}"
    assert "3 new" in run_well(f"finetag-index build catalog {database}", tmp_path)
    assert not (tmp_path / ".finetag" / "catalogue.db").exists()
    assert "secret" not in (tmp_path / ".finetag" / "index.json").read_text()

    assert "1 image deleted" in run_well("finetag-index delete bird-0001.jpg", tmp_path)
    assert "1 file passed over" in run_well(f"finetag-index update {database}", tmp_path)
    assert "every row is as it was written" in run_well("finetag-index verify", tmp_path)
    assert "2 images of" in run_well("finetag-index stats", tmp_path)
    run_well("finetag-index snapshot backup.tar", tmp_path)
    run_well(f"finetag-index restore backup.tar --index second {database}", tmp_path)
    run_well("finetag-index compact --index second", tmp_path)
    run_well("finetag-search --attr bill_color=black --index second", tmp_path)
    other = run_line("finetag-index update --database postgresql://elsewhere/shop", tmp_path)
    assert (other.returncode, other.stderr.count("\n")) == (1, 1)
    assert "keeps its database in postgresql+psycopg://finetag@/finetag" in other.stderr


# Asks every command for help, in one process, and says what was imported for it.
HELP = """
import json, sys
from indexer.cli import main
for arguments in (["--help"], *([name, "--help"] for name in main.commands)):
    try:
        main(arguments)
    except SystemExit as end:
        assert end.code == 0
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def test_help_waits_for_nothing_slow() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert all(f"Usage: -c {name} " in done.stdout for name in cli.main.commands)
    imported = set(json.loads(done.stderr))
    assert not imported & {"torch", "onnxruntime", "faiss", "PIL", "sqlalchemy", "pyarrow"}


def test_the_help_has_each_command_under_what_it_is_for() -> None:
    lines = CliRunner().invoke(cli.main, ["--help"]).stdout.splitlines()
    first = [line.split()[0] for line in lines if line.startswith("  ") and line[2:3].strip()]
    assert {name: first.count(name) for name in cli.main.commands} == dict.fromkeys(
        cli.main.commands, 1
    )
    assert lines.index("Looking after it:") < lines.index("  Examples:")


def test_the_version_is_told() -> None:
    told = CliRunner().invoke(cli.main, ["--version"]).stdout
    assert told == f"finetag {version('finetag')}\n"
