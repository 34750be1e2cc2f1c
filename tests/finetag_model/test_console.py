from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from finetag_model.console import INTERRUPTED, READER_GONE, Command, Group, progress_console
from finetag_model.errors import (
    CatalogueError,
    CheckpointError,
    DataError,
    FineTagError,
    ImageError,
    UsageError,
)


def run(failure: BaseException, *, grouped: bool = False) -> Result:
    """Run a command, alone or of a group, that prints a line and then fails."""

    @click.command("work", cls=Command)
    def work() -> None:
        click.echo("a result")
        raise failure

    if not grouped:
        return CliRunner().invoke(work)
    group = Group("finetag", commands=[work])
    return CliRunner().invoke(group, ["work"])


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (FineTagError, 1),
        (ImageError, 1),
        (DataError, 1),
        (CheckpointError, 1),
        (CatalogueError, 1),
        (UsageError, 2),
    ],
)
def test_our_errors_are_one_line_and_an_exit_code(
    kind: type[FineTagError], exit_code: int, grouped: bool
) -> None:
    result = run(kind("a.txt is not as it must be"), grouped=grouped)
    assert result.exit_code == exit_code
    assert result.stderr == "error: a.txt is not as it must be\n"
    assert result.stdout == "a result\n"


@pytest.mark.parametrize("grouped", [False, True])
def test_the_unexpected_is_one_line_too(grouped: bool) -> None:
    result = run(ZeroDivisionError("first\n  second"), grouped=grouped)
    assert result.exit_code == 1
    assert result.stderr == (
        "error: unexpected ZeroDivisionError: first second "
        "(FINETAG_DEBUG=1 shows where; please report it)\n"
    )


def test_debugging_lets_the_traceback_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETAG_DEBUG", "1")
    result = run(DataError("as it is"))
    assert isinstance(result.exception, DataError)
    assert result.stderr == ""


@pytest.mark.parametrize("grouped", [False, True])
def test_an_interrupt_is_no_error_of_ours(grouped: bool) -> None:
    result = run(KeyboardInterrupt(), grouped=grouped)
    assert result.exit_code == INTERRUPTED
    assert result.stderr.strip() == "error: interrupted"


def test_success_and_clicks_own_exits_pass() -> None:
    @click.command(cls=Command)
    @click.option("--code", type=int, default=0)
    @click.pass_context
    def work(context: click.Context, code: int) -> None:
        context.exit(code)

    assert CliRunner().invoke(work).exit_code == 0
    assert CliRunner().invoke(work, ["--code", "3"]).exit_code == 3
    assert CliRunner().invoke(work, ["--help"]).exit_code == 0
    wrong = CliRunner().invoke(work, ["--cod", "3"])
    assert wrong.exit_code == 2
    assert "No such option" in wrong.stderr


def test_warnings_of_pillow_are_not_shown() -> None:
    @click.command(cls=Command)
    def work() -> None:
        scope = {"__name__": "PIL.Image"}
        exec("import warnings; warnings.warn('odd metadata')", scope)  # noqa: S102

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = CliRunner().invoke(work)
    assert result.exit_code == 0
    assert Image.__name__ == "PIL.Image"


def test_progress_goes_to_stderr() -> None:
    @click.command(cls=Command)
    def work() -> None:
        progress_console().print("half done")
        click.echo("a result")

    result = CliRunner().invoke(work)
    assert result.stdout == "a result\n"
    assert "half done" in result.stderr


def run_alone(body: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, whose stdout and stderr are real files."""
    program = (
        "import click\n"
        "from finetag_model.console import Command\n"
        "@click.command(cls=Command)\n"
        "def work() -> None:\n"
        f"    {body}\n"
        "work()\n"
    )
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([sys.executable, "-c", program], text=True, check=False, **settings)


def test_it_ends_quietly_when_nobody_reads_what_it_prints() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run_alone("[click.echo('a line') for _ in range(9)]", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (READER_GONE, "")


def test_a_broken_pipe_of_another_kind_is_told() -> None:
    done = run_alone("raise BrokenPipeError(32, 'Broken pipe')")
    assert done.returncode == 1
    assert done.stderr.startswith("error: unexpected BrokenPipeError")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_under_the_output_is_one_plain_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = run_alone("click.echo('a line')", stdout=full)
    assert done.returncode == 1
    assert done.stderr == (
        "error: cannot write: No space left on device; make room, and run this again\n"
    )


def test_letters_that_the_terminal_has_not_are_escaped() -> None:
    done = run_alone("print('12 · für')", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, "12 \\xb7 f\\xfcr\n")


@pytest.mark.parametrize("grouped", [False, True])
def test_help_has_a_short_name(grouped: bool) -> None:
    work = Command("work", help="Work well.")
    command, arguments = (Group(commands=[work]), ["work", "-h"]) if grouped else (work, ["-h"])
    assert "Work well." in CliRunner().invoke(command, arguments).stdout


def test_a_file_name_in_a_message_breaks_no_line_and_commands_no_terminal() -> None:
    result = run(DataError("a\nb\x1b[2J.txt is not as it must be\n  NOT so\n      ^"))
    assert result.stderr == ("error: a\\nb\\x1b[2J.txt is not as it must be\n  NOT so\n      ^\n")
