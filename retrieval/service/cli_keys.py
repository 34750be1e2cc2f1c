"""The command `finetag-keys`: makes, lists and revokes the API keys of a service."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from finetag_model.console import Command, Group, printable
from retrieval.service.cli_options import check_name, state_folder, state_option
from retrieval.service.keys import EVERY, Key, Keys, Role
from retrieval.service.store import open_store

EPILOG = """\b
Examples:
  finetag-keys create --role read --note "the shop's own page"
      a key to search every catalogue; it is shown once
  KEY=$(finetag-keys create --role write --catalog shoes --expires-days 90)
      one to change the catalogue shoes with, for three months
  finetag-keys list
      what keys there are, and when each was last used
  finetag-keys revoke 3f9a0c5d17e2
      five seconds later it opens nothing any more
"""


@click.group(cls=Group, epilog=EPILOG)
def main() -> None:
    """Make, list and revoke the keys that requests to finetag-serve show."""


@main.command(cls=Command)
@click.option(
    "--role", type=click.Choice(["read", "write"]), required=True, help="Search, or change too."
)
@click.option(
    "--catalog",
    "catalogs",
    metavar="NAME",
    multiple=True,
    help="Open this catalogue; repeat it for several.  [default: every one]",
)
@click.option("--note", default="", metavar="TEXT", help="What the key is for.")
@click.option(
    "--expires-days",
    "days",
    type=click.FloatRange(min=0, min_open=True, max=36_500),
    metavar="N",
    help="Let it expire.  [default: never]",
)
@state_option
def create(
    role: Role, catalogs: tuple[str, ...], note: str, days: float | None, state: Path | None
) -> None:
    """Make a key and print it, this once."""
    names = [check_name(name) for name in catalogs] or [EVERY]
    key = Keys(open_store(state_folder(state))).create(role, names, note=note, days=days)
    click.echo(key)
    click.echo("keep it safe: nobody can read it again, and who has it can use it", err=True)


@main.command("list", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@state_option
def list_(as_json: bool, state: Path | None) -> None:
    """List all keys, without what makes them secret."""
    keys = Keys(open_store(state_folder(state))).all()
    if as_json:
        click.echo(json.dumps([_as_dict(key) for key in keys]))
        return
    table = Table("id", "role", "catalogues", "created", "last used", "state", "note")
    for key in keys:
        catalogs = "every one" if EVERY in key.catalogs else ", ".join(key.catalogs)
        used = "never" if key.last_used is None else str(key.last_used)
        cells = (key.id, key.role, catalogs, _day(key.created), used, _state(key), key.note)
        table.add_row(*map(printable, cells))
    Console(highlight=False, markup=False).print(table)


@main.command(cls=Command)
@click.argument("id_", metavar="ID")
@state_option
def revoke(id_: str, state: Path | None) -> None:
    """Have the key ID open nothing any more."""
    Keys(open_store(state_folder(state))).revoke(id_)
    click.echo(f"revoked {id_}; a running service knows it within 5 seconds", err=True)


def _as_dict(key: Key) -> dict[str, object]:
    times = {"created": key.created, "expires": key.expires, "revoked": key.revoked}
    return {
        "id": key.id,
        "role": key.role,
        "catalogs": key.catalogs,
        "note": key.note,
        **{name: None if time is None else time.isoformat() for name, time in times.items()},
        "last_used": None if key.last_used is None else key.last_used.isoformat(),
        "good": key.is_good,
    }


def _state(key: Key) -> str:
    if key.revoked is not None:
        return f"revoked {_day(key.revoked)}"
    if key.expires is None:
        return "good"
    return f"{'good until' if key.is_good else 'expired'} {_day(key.expires)}"


def _day(time: datetime) -> str:
    return time.date().isoformat()
