"""What `finetag-serve` and `finetag-keys` read alike, and what must hold before a service starts.

Everything here is said as one line before a process is started; see `cli` for what follows.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

import click
from platformdirs import user_state_path

from finetag_model.checkpoint import read_checkpoint
from finetag_model.cores import cores
from finetag_model.embedder import ModelInfo
from finetag_model.errors import CatalogueError, FineTagError, UsageError
from indexer import Index, find_index
from retrieval.service.keys import Keys
from retrieval.service.store import open_store

DEFAULT_NAME = "main"
"""Of the catalogue that is served alone."""

MOST_WORKERS = 4
"""That are started unless more are asked for; each takes memory of its own."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # as `CatalogName` in `models`
_NEEDED = ("fastapi", "httptools", "pebble", "prometheus_client", "pydantic", "uvicorn")

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where keys, jobs and kept pictures are; each service needs one of its own.  "
    "[default: FINETAG_STATE, or a folder of the user's]",
)


def workers_by_default() -> int:
    """Return a worker process for each core, since Python computes on one core in each."""
    return min(cores(), MOST_WORKERS)


def state_folder(named: Path | None) -> Path:
    """Return the state folder, absolute.

    Args:
        named: taken as it is; None takes FINETAG_STATE from the environment, or else `serve` in
            the folder where programs of this user keep such things.
    """
    if named is None and (from_environment := os.environ.get("FINETAG_STATE")):
        named = Path(from_environment)
    return (named or user_state_path("finetag") / "serve").absolute()


def check_extra() -> None:
    """See that what a service needs is installed.

    Raises:
        FineTagError: it is not.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise FineTagError(
            f"a service needs {', '.join(missing)}; "
            "install FineTag with its extra: pip install 'finetag[serve]'"
        )


def check_name(name: str) -> str:
    """Return a catalogue's name as it is.

    Raises:
        UsageError: URLs cannot have it.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for a catalogue; take up to 64 small letters, digits, - and _, "
            "the first a letter or digit"
        )
    return name


def read_catalogs(index: Path | None, named: Iterable[str]) -> dict[str, Path]:
    """Return the index folders to serve, absolute, by name.

    Args:
        index: the only one, called `DEFAULT_NAME`; None: see `find_index`.
        named: texts such as `shoes=/data/shoes`, in place of `index`.

    Raises:
        UsageError: a text is not of that form, or a name is given twice; or both are given.
        CatalogueError: no folder is named, and none found.
    """
    folders: dict[str, Path] = {}
    for text in named:
        name, sign, folder = text.partition("=")
        if not sign or not folder:
            raise UsageError(f"--catalog takes NAME=DIR, as shoes=/data/shoes, not {text!r}")
        if check_name(name) in folders:
            raise UsageError(f"two catalogues are called {name}; give one another name")
        folders[name] = Path(folder).absolute()
    if folders and index:
        raise UsageError("--index serves one catalogue alone; give it a name too, with --catalog")
    return folders or {DEFAULT_NAME: find_index(index).absolute()}


def check_catalogs(folders: dict[str, Path], model: Path | None) -> dict[str, int]:
    """See that indexes can be opened and are of the model; return how many images they have.

    Raises:
        CatalogueError: one cannot, or is not.
        CheckpointError: the model cannot be read.
    """
    served = read_checkpoint(model).model
    images = {}
    for name, folder in folders.items():
        with Index.open(folder) as index:
            made_with = index.manifest.model
            if made_with.digest != served.digest:
                raise CatalogueError(
                    f"the catalogue {name} was made with another model, {_named(made_with)}, than "
                    f"is served, {_named(served)}; name its checkpoint with --model, or have its "
                    f"images embedded again with 'finetag-index build --reembed'"
                )
            images[name] = index.rows
    return images


def _named(model: ModelInfo) -> str:
    return f"{model.name} ({model.digest[:8]})"


@dataclass(frozen=True)
class Address:
    """Where a service listens.

    Attributes:
        host: as it was given.
        port: a free one.
        is_loopback: whether no other machine can reach it.
    """

    host: str
    port: int
    is_loopback: bool

    @property
    def url(self) -> str:
        """The address of the page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


def check_address(host: str, port: int) -> Address:
    """See that a service can listen at an address; for port 0 choose a free one.

    Raises:
        UsageError: no address of this machine is called so.
        FineTagError: another program listens there, or this one may not.
    """
    try:
        # No host at all would be every address for one who listens.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM) if host else []
    except (socket.gaierror, UnicodeError):
        found = []
    if not found:
        raise UsageError(f"there is no address {host!r}; name another with --host")
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((address[0], port, *address[2:]))
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise FineTagError(
                    f"cannot listen at {host}, port {port}: {reason}; "
                    "name others with --host and --port"
                ) from None
            port = port or trial.getsockname()[1]
    addresses = [ip_address(str(each[4][0]).partition("%")[0]) for each in found]
    return Address(host, port, all(each.is_loopback for each in addresses))


def needs_keys(state: Path, address: Address, *, required: bool) -> bool:
    """Say whether requests need a key: if that is asked for, others can ask, or there are any.

    Args:
        state: the folder that has the keys; it is made if there is none.
        address: where the service listens.
        required: whether keys are asked for, or the service has names that others call it by.

    Raises:
        UsageError: they do, and none is good.
        FineTagError: the folder cannot be used.
    """
    every = Keys(open_store(state)).all()
    if not (required or every or not address.is_loopback):
        return False
    if not any(key.is_good for key in every):
        why = "every key is revoked or expired" if every else "there is none yet"
        raise UsageError(
            f"requests need a key, and {why}; make one first: "
            f"'finetag-keys create --role read --state {state}'"
        )
    return True
