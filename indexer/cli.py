"""The command `finetag-index`: each of its commands reads options, calls the library, prints.

The commands that embed images are here, the others in `cli_care`. Modules are imported by the
command that needs them, for whoever asks for help need not wait.
"""

from __future__ import annotations

from pathlib import Path

import click

from finetag_model.console import (
    FINISHED_BUT_SKIPPED,
    Group,
    model_option,
    runtime_option,
    version_option,
)
from finetag_model.embedder import Runtime, load_embedder
from indexer import cli_care
from indexer.cli_options import (
    FOUND_DAMAGE,
    PathArgument,
    database_option,
    existing_index_option,
    exit_if,
    index_option,
    json_option,
    new_database_option,
    print_report,
    watched,
)
from indexer.locate import find_index, index_to_build

EPILOG = """\b
Examples:
  finetag-index build catalog/
      index a folder; again after it has changed, or after a stop, to go on
  finetag-index update
      the same, from anywhere below the folder that holds .finetag
  finetag-index import prices.csv
      fields to filter by: a table with the columns path, price, brand, ...
  finetag-index delete old/ summer.jpg
      of a folder and a file; their files stay, and updates pass over them
  finetag-index stats --json | jq .images
      every command prints one JSON object if asked to
  finetag-index verify --files && finetag-index snapshot backup.tar.gz
      see that all is whole, then keep it in one file

\b
Exit codes:
  0         done
  1         an error, in one line; or damage, from verify and repair
  2         wrong usage
  3         done, but some files or cells were left out, each with its reason
  130, 143  stopped by Ctrl-C, by SIGTERM; the same command goes on from there

\b
Environment:
  FINETAG_INDEX     the index, where --index does not name one
  FINETAG_DATABASE  the PostgreSQL database that new indexes go to
"""

_SECTIONS = {
    "Keeping it up to date": ("build", "update", "add", "delete", "import"),
    "Looking after it": ("stats", "verify", "repair", "compact"),
    "Taking it elsewhere": ("snapshot", "restore", "export"),
}


class IndexGroup(Group):
    """A group whose help shows its commands by what they are for."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, section by section."""
        width = max(map(len, self.commands))
        for heading, names in _SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [
                        (name.ljust(width), self.commands[name].get_short_help_str(limit=60))
                        for name in names
                    ]
                )


@click.group(cls=IndexGroup, epilog=EPILOG)
@version_option
def main() -> None:
    """Make a folder of images searchable, and keep it so.

    An index is a folder, .finetag unless --index names another. Every command leaves it whole:
    what is killed halfway has changed nothing, or goes on when it is run again.
    """


@main.command("build")
@click.argument("catalogue", type=PathArgument)
@index_option("Folder of the index.  [default: the nearest .finetag upwards, or ./.finetag]")
@model_option
@runtime_option
@click.option("--reembed", is_flag=True, help="Change the model: embed every image again.")
@new_database_option
@json_option
def build_command(
    catalogue: Path,
    index_dir: Path | None,
    model: Path | None,
    runtime: Runtime,
    reembed: bool,
    database: str | None,
    as_json: bool,
) -> None:
    """Index the images in the folder CATALOGUE.

    If they are indexed already, the index is brought up to date. Only new and changed images
    are read; a build that was stopped goes on where it was.
    Exits with 3 if it finished but skipped files.
    """
    from indexer.building import build  # noqa: PLC0415

    embedder = load_embedder(model, runtime)
    with watched("indexing") as watch:
        folder = index_to_build(index_dir)
        report = build(catalogue, folder, embedder, database=database, reembed=reembed, **watch)
    print_report(report, as_json)
    exit_if(report.skipped, FINISHED_BUT_SKIPPED)


@main.command("update")
@existing_index_option
@click.option(
    "--moved-to",
    type=PathArgument,
    metavar="FOLDER",
    help="The catalogue folder now lies here.",
)
@model_option
@runtime_option
@click.option("--reembed", is_flag=True, help="Change the model: embed every image again.")
@database_option
@json_option
def update_command(
    index_dir: Path | None,
    moved_to: Path | None,
    model: Path | None,
    runtime: Runtime,
    reembed: bool,
    database: str | None,
    as_json: bool,
) -> None:
    """Bring the index up to date.

    It takes in new and changed images of its catalogue, and drops those that are gone. What
    has moved keeps its id and metadata. Exits with 3 if it finished but skipped files.
    """
    from indexer.building import build, update  # noqa: PLC0415

    folder = find_index(index_dir)
    embedder = load_embedder(model, runtime)
    with watched("indexing") as watch:
        options = {"database": database, "reembed": reembed, **watch}
        if moved_to is None:
            report = update(folder, embedder, **options)
        else:
            report = build(moved_to, folder, embedder, moved=True, **options)
    print_report(report, as_json)
    exit_if(report.skipped, FINISHED_BUT_SKIPPED)


@main.command("add")
@click.argument("files", type=PathArgument, nargs=-1, required=True)
@existing_index_option
@model_option
@runtime_option
@database_option
@json_option
def add_command(
    files: tuple[Path, ...],
    index_dir: Path | None,
    model: Path | None,
    runtime: Runtime,
    database: str | None,
    as_json: bool,
) -> None:
    """Take FILES into the index.

    They lie in the catalogue folder; no others are looked for. Takes back what was deleted.
    Exits with 3 if it finished but skipped files.
    """
    from indexer.building import add  # noqa: PLC0415

    folder = find_index(index_dir)
    embedder = load_embedder(model, runtime)
    with watched("adding") as watch:
        report = add(files, folder, embedder, database=database, **watch)
    print_report(report, as_json)
    exit_if(report.skipped, FINISHED_BUT_SKIPPED)


@main.command("repair")
@existing_index_option
@model_option
@runtime_option
@database_option
@json_option
def repair_command(
    index_dir: Path | None,
    model: Path | None,
    runtime: Runtime,
    database: str | None,
    as_json: bool,
) -> None:
    """Find what is damaged and make it anew from what is not.

    The published files from the database, the database from the published files, and what both
    have lost from the images. Exits with 1 if something is still damaged.
    """
    from indexer.repairing import repair  # noqa: PLC0415

    with watched("embedding again") as watch:
        folder = find_index(index_dir)
        report = repair(folder, lambda: load_embedder(model, runtime), database=database, **watch)
    print_report(report, as_json)
    exit_if(not report.after.is_whole, FOUND_DAMAGE)


main.add_command(cli_care.delete_command)
main.add_command(cli_care.import_command)
main.add_command(cli_care.verify_command)
main.add_command(cli_care.compact_command)
main.add_command(cli_care.stats_command)
main.add_command(cli_care.snapshot_command)
main.add_command(cli_care.restore_command)
main.add_command(cli_care.export_command)
