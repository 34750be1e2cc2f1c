"""The command `finetag-serve`: catalogues over HTTP, and the page to search them with."""

from __future__ import annotations

from pathlib import Path

import click

from finetag_model.console import Command, model_option, runtime_option
from finetag_model.embedder import Runtime
from indexer import find_index


@click.command(cls=Command)
@click.option("--index", type=click.Path(path_type=Path), metavar="DIR", help="Serve this index.")
@click.option(
    "--catalog", "named", metavar="NAME=DIR", multiple=True, help="Serve this index by a name."
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1))
@click.option("--state", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--fetch-urls", is_flag=True, help="Let pictures be named by URL.")
@model_option
@runtime_option
def main(
    index: Path | None,
    named: tuple[str, ...],
    host: str,
    port: int,
    workers: int,
    state: Path | None,
    fetch_urls: bool,
    model: Path | None,
    runtime: Runtime,
) -> None:
    """Serve catalogues over HTTP, with a page to search them at /."""
    import uvicorn  # noqa: PLC0415

    from retrieval.service.settings import Settings  # noqa: PLC0415

    catalogs = dict(each.split("=", 1) for each in named)
    folders = {name: Path(folder).absolute() for name, folder in catalogs.items()}
    if not folders:
        folders = {"main": find_index(index).absolute()}
    settings = Settings(
        catalogs=folders,
        state=(state or Path(".finetag-serve")).absolute(),
        model=model,
        runtime=runtime,
        fetch_urls=fetch_urls,
    )
    settings.hand_down()
    uvicorn.run("retrieval.service.app:create", factory=True, host=host, port=port, workers=workers)
