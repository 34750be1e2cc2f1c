"""The commands of `finetag-index` that look after an index and embed nothing; see `cli`."""

from __future__ import annotations

from pathlib import Path

import click

from finetag_model.console import FINISHED_BUT_SKIPPED
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
)
from indexer.locate import find_index, index_to_build
from indexer.progress import shown

IMPORT_EPILOG = """\b
Example:
  path,price,brand,underparts_color
  spring/wren.jpg,12.50,Lynx,grey|white
      is found by finetag-search --attr "price<20 AND brand=lynx"
"""


@click.command("delete")
@click.argument("paths", nargs=-1)
@click.option("--id", "ids", type=int, multiple=True, metavar="ID", help="An image, by its id.")
@existing_index_option
@database_option
@json_option
def delete_command(
    paths: tuple[str, ...],
    ids: tuple[int, ...],
    index_dir: Path | None,
    database: str | None,
    as_json: bool,
) -> None:
    """Delete images from the index.

    They are named by path, of an image or a folder in the catalogue, or by id. Their files
    stay, and later updates pass over them; 'add' takes them back.
    """
    if not paths and not ids:
        raise click.UsageError("nothing to delete: give paths, or --id")
    from indexer.removing import delete_images  # noqa: PLC0415

    with shown("deleting", "images") as progress:
        folder = find_index(index_dir)
        report = delete_images(folder, paths, ids, database=database, progress=progress)
    print_report(report, as_json)


@click.command("import", epilog=IMPORT_EPILOG)
@click.argument("file", type=PathArgument)
@click.option(
    "--key",
    type=click.Choice(["path", "id"]),
    help="The column that says which image a row is about.  [default: the one there is]",
)
@existing_index_option
@database_option
@json_option
def import_command(
    file: Path, key: str | None, index_dir: Path | None, database: str | None, as_json: bool
) -> None:
    """Take metadata from a table.

    FILE is .csv, .tsv, .jsonl or .parquet, with a column `path` (or `id`), and others for price,
    brand, title, own attributes. A column named like an attribute (underparts_color) outranks
    what the network predicts; several values stand between '|'. An empty cell takes away what an
    earlier import said. Exits with 3 if it finished but left out some cells.
    """
    from indexer.importing import import_fields  # noqa: PLC0415

    with shown("importing", "rows") as progress:
        folder = find_index(index_dir)
        report = import_fields(file, folder, key=key, database=database, progress=progress)
    print_report(report, as_json)
    exit_if(report.problems, FINISHED_BUT_SKIPPED)


@click.command("verify")
@click.option("--files", is_flag=True, help="Read the images' own files through, too.")
@existing_index_option
@database_option
@json_option
def verify_command(
    files: bool, index_dir: Path | None, database: str | None, as_json: bool
) -> None:
    """Say whether anything is damaged.

    Reads the whole index through, compares checksums, and the database with the published
    rows. Exits with 1 if it is.
    """
    from indexer.verifying import verify  # noqa: PLC0415

    with shown("reading") as progress:
        folder = find_index(index_dir)
        found = verify(folder, catalogue_files=files, database=database, progress=progress)
    print_report(found, as_json)
    exit_if(not found.is_whole or found.catalogue, FOUND_DAMAGE)


@click.command("compact")
@existing_index_option
@database_option
@json_option
def compact_command(index_dir: Path | None, database: str | None, as_json: bool) -> None:
    """Give back the space of what was deleted.

    It also drops what a stopped build would go on from.
    """
    from indexer.compacting import compact  # noqa: PLC0415

    with shown("compacting") as progress:
        report = compact(find_index(index_dir), database=database, progress=progress)
    print_report(report, as_json)


@click.command("stats")
@existing_index_option
@database_option
@json_option
def stats_command(index_dir: Path | None, database: str | None, as_json: bool) -> None:
    """Say what the index holds.

    That is images, duplicates and near duplicates, skipped files, metadata, bytes.
    """
    from indexer.statistics import statistics  # noqa: PLC0415

    with shown("comparing", "steps") as progress:
        report = statistics(find_index(index_dir), database=database, progress=progress)
    print_report(report, as_json)


@click.command("snapshot")
@click.argument("file", type=PathArgument)
@existing_index_option
@json_option
def snapshot_command(file: Path, index_dir: Path | None, as_json: bool) -> None:
    """Write the index as one FILE.

    A .tar, .tar.gz or .tgz; one that is there is replaced. It holds everything but the images. The
    index goes on serving meanwhile.
    """
    from indexer.snapshot import snapshot  # noqa: PLC0415

    with shown("copying") as progress:
        report = snapshot(find_index(index_dir), file, progress=progress)
    print_report(report, as_json)


@click.command("restore")
@click.argument("file", type=PathArgument)
@index_option("Folder of the index.  [default: the nearest .finetag upwards, or ./.finetag]")
@click.option(
    "--catalogue",
    type=PathArgument,
    metavar="FOLDER",
    help="Where the catalogue folder is now.  [default: where it was]",
)
@new_database_option
@json_option
def restore_command(
    file: Path,
    index_dir: Path | None,
    catalogue: Path | None,
    database: str | None,
    as_json: bool,
) -> None:
    """Make an index of a snapshot.

    Or take an existing index back to what it was then, in one step: until then it serves what it
    served before.
    """
    from indexer.snapshot import restore  # noqa: PLC0415

    folder = index_to_build(index_dir)
    with shown("restoring", "images") as progress:
        report = restore(file, folder, root=catalogue, database=database, progress=progress)
    print_report(report, as_json)


@click.command("export")
@click.argument("file", type=PathArgument)
@existing_index_option
@json_option
def export_command(file: Path, index_dir: Path | None, as_json: bool) -> None:
    """Write the rows as one Parquet file.

    FILE ends in .parquet and gets a row for each image, with its scores, its visual vector and
    its metadata, for pandas, DuckDB and other programs.
    """
    from indexer.export import export  # noqa: PLC0415
    from indexer.index import Index  # noqa: PLC0415

    with shown("exporting", "images") as progress, Index.open(find_index(index_dir)) as index:
        report = export(index, file, progress=progress)
    print_report(report, as_json)
