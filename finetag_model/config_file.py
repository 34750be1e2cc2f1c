"""`--config`: options of a command from a TOML file, one of the user's or one that is shipped.

A key is the name of an option without its dashes; what is given on the command line goes
before. Which options there are is the command's business.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

import click

from finetag_model.nearest import nearest

SHIPPED_CONFIGS = Path(__file__).parent / "configs"


def _load(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    try:
        settings = tomllib.loads(_find(value).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise click.BadParameter(f"cannot read {value}: {error}") from None
    parameters = {
        flag.removeprefix("--"): parameter
        for parameter in context.command.params
        if parameter is not option
        for flag in parameter.opts
    }
    defaults: dict[str, Any] = {}
    for key, setting in settings.items():
        if key not in parameters:
            raise click.BadParameter(
                f"{value} has an unknown key {key!r}; nearest: "
                f"{', '.join(nearest(key, parameters))}"
            )
        parameter = parameters[key]
        assert parameter.name is not None  # noqa: S101  (click names every option)
        defaults[parameter.name] = _as_typed(setting, parameter.multiple, f"{value}, {key}")
    context.default_map = defaults


config_option = click.option(
    "--config",
    metavar="NAME_OR_FILE",
    is_eager=True,  # before the options that it gives defaults to
    expose_value=False,
    callback=_load,
    help="TOML of options by name, such as `epochs = 20`; options given here go before.",
)


def _find(name_or_file: str) -> Path:
    """Return the shipped file of that name, or the user's."""
    shipped = {
        path.relative_to(SHIPPED_CONFIGS).with_suffix("").as_posix(): path
        for path in sorted(SHIPPED_CONFIGS.rglob("*.toml"))
    }
    path = shipped.get(name_or_file, Path(name_or_file))
    if not path.exists():
        near = difflib.get_close_matches(name_or_file, shipped, n=3, cutoff=0.6)
        raise click.BadParameter(
            f"{name_or_file} is neither a file nor shipped; "
            f"{'nearest' if near else 'shipped'}: {', '.join(near or shipped)}"
        )
    return path


def _as_typed(setting: object, multiple: bool, where: str) -> str | list[str]:
    """Return a value as a user would type it, so that click checks it as if one had."""
    values = setting if multiple and isinstance(setting, list) else [setting]
    if any(isinstance(value, dict | list) for value in values):
        raise click.BadParameter(f"{where}: {setting!r} is not a single value")
    typed = [str(value) for value in values]
    return typed if multiple else typed[0]
