"""Starts a PostgreSQL server of the tests' own, and leaves nothing of it behind."""

from __future__ import annotations

import importlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where Debian and its kin, which leave the server's programs off PATH, have a folder a version.
VERSIONS = Path("/usr/lib/postgresql")

# Reached through a socket in its own folder alone, and as fast as a server may be that need not
# survive a crash.
SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
port = 5432
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 16MB
"""

# This shell keeps the server for as long as its input stays open. The input closes however the
# tests end, so that killed ones leave no server behind either.
KEEPER = """
initdb --pgdata=data --username=finetag --auth=trust --encoding=UTF8 --no-locale --no-sync >&2 &&
    echo "$1" >>data/postgresql.conf &&
    pg_ctl --pgdata=data --silent start >&2 &&
    echo ready || echo failed
read -r _
pg_ctl --pgdata=data --silent --mode=immediate stop >&2
rm -rf "$PWD"
"""


class Unavailable(Exception):  # noqa: N818 - it is a reason to skip, not an error
    """Why there is no server to be had."""


@contextmanager
def server() -> Iterator[str]:
    """Run a server with an empty database; yield the URL at which SQLAlchemy finds it."""
    try:
        psycopg = importlib.import_module("psycopg")
    except ImportError as error:
        raise Unavailable(f"psycopg cannot be imported: {error}") from error
    path = os.pathsep.join([os.environ["PATH"], *_version_folders()])
    if not shutil.which("initdb", path=path):
        raise Unavailable("PostgreSQL's initdb is not installed")
    # Not one of pytest's folders, which nobody but their owner may enter.
    with (
        tempfile.TemporaryDirectory(prefix="finetag-postgres-", ignore_cleanup_errors=True) as name,
        tempfile.TemporaryFile("w+") as log,
        _keeper(Path(name), path, log) as keeper,
    ):
        try:
            if keeper.stdout.readline() != "ready\n":
                raise Unavailable(f"PostgreSQL does not start: {_complaint(log)}")
            where = {"host": name, "port": 5432, "user": "finetag"}
            with psycopg.connect(**where, dbname="postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE finetag")
            yield f"postgresql+psycopg:///finetag?{urlencode(where, safe='/')}"
        finally:
            # A line, because a process forked by a test may still hold the input open.
            keeper.communicate("\n")


def _version_folders() -> list[str]:
    """Return the folders of programs in `VERSIONS`, newest first."""
    folders = VERSIONS.glob("[0-9]*/bin")
    return [str(f) for f in sorted(folders, key=lambda f: float(f.parent.name), reverse=True)]


def _keeper(folder: Path, path: str, log: IO[str]) -> subprocess.Popen[str]:
    account: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        accounts = {entry.pw_name: entry for entry in pwd.getpwall()}
        entry = accounts.get("postgres") or accounts["nobody"]
        account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, "keeper", SETTINGS.format(folder=folder)],
            cwd=folder,
            env={"PATH": path, "LC_ALL": "C"},  # none of the PG* variables that steer a server
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is for pytest, which then ends this in order
            **account,
        )
    except OSError as error:
        raise Unavailable(f"PostgreSQL's account cannot be taken on: {error}") from error


def _complaint(log: IO[str]) -> str:
    """Return the last line of the log that tells of an error, or else the last one."""
    log.seek(0)
    lines = log.read().splitlines()
    errors = [line for line in lines if re.search("FATAL:|error:", line)]
    return (errors or lines or ["it says nothing"])[-1]
