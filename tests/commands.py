"""What tests of several commands check alike."""

from __future__ import annotations

import subprocess
import sys

import click


def check_help(command: click.Command, module: str, *slow: str) -> None:
    """Check that `--help` names every option, and comes without importing what is slow."""
    program = (
        "import sys\n"
        f"from {module} import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "finally:\n"
        f"    assert not {set(slow)!r} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr == ""
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[0] in done.stdout
