"""The page of finetag-serve as the README shows it: page-light.png and page-phone-dark.png.

    python benchmarks/page_screenshots.py docs

The catalogue is drawn, so that no photograph has to be shown; its prices and brands are made up.
It takes Chromium (`apt-get install chromium`) and the extra `dev`.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from finetag_model.drawn import write_catalogue
from finetag_model.embedder import load_embedder
from finetag_model.errors import UsageError
from indexer import build, import_fields
from retrieval.service.app import create
from retrieval.service.settings import Settings

BIRDS = 90
BRANDS = ("Lynx", "Ibis", "Heron & Sons", "Kestrel")
QUERY_SEED = 4  # of a picture that is not in the catalogue


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Write the pictures into FOLDER."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise UsageError("there is no Chromium; install it with apt-get install chromium")
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        work = Path(made)
        query = _draw(work)
        with _served(work) as address:
            browser = playwright.chromium.launch(executable_path=chromium, args=args)
            _save(_desktop(browser, address, query), folder / "page-light.png")
            _save(_phone(browser, address, query), folder / "page-phone-dark.png")
            browser.close()


def _draw(work: Path) -> Path:
    """Draw and index a catalogue with fields; return a picture to search with."""
    write_catalogue(work / "catalog", BIRDS, seed=0)
    write_catalogue(work / "query", 1, seed=QUERY_SEED)
    build(work / "catalog", work / "index", load_embedder())
    table = work / "fields.csv"
    rows = [
        f"bird-{i:04}.jpg,{9.5 + i * 37 % 110},{BRANDS[i * 7 % 4]}" for i in range(1, BIRDS + 1)
    ]
    table.write_text("\n".join(["path,price,brand", *rows]))
    import_fields(table, work / "index")
    return work / "query" / "bird-0001.jpg"


@contextmanager
def _served(work: Path) -> Iterator[str]:
    """Serve the catalogue on a port of its own; gives the address."""
    settings = Settings(catalogs={"birds": work / "index"}, state=work / "state")
    server = uvicorn.Server(uvicorn.Config(create(settings), port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.05)
    host, port = server.servers[0].sockets[0].getsockname()
    yield f"http://{host}:{port}"
    server.should_exit = True
    thread.join()


def _desktop(browser: Browser, address: str, query: Path) -> bytes:
    """Search by picture and filter, and rest on an attribute of a hit until its heat is shown."""
    page = browser.new_page(
        viewport={"width": 1400, "height": 820}, color_scheme="light", reduced_motion="reduce"
    )
    page.goto(f"{address}/?has=size:small&has=size:very_small&looks=0.5")
    page.set_input_files("#file", query)
    _complete(page)
    page.locator("summary", has_text="Wing color").click()
    page.locator("#hits .hit").nth(1).hover()
    page.locator("#hits .why-button").nth(1).click()
    page.locator(".part", has_text="color").first.hover()
    expect(page.locator(".heat.there")).to_have_count(2, timeout=60_000)
    return page.screenshot(animations="disabled")


def _phone(browser: Browser, address: str, query: Path) -> bytes:
    """Search by picture on a phone in a dark room."""
    page = browser.new_page(
        viewport={"width": 390, "height": 844},
        color_scheme="dark",
        reduced_motion="reduce",
        has_touch=True,
        is_mobile=True,
        device_scale_factor=1.5,
    )
    page.goto(f"{address}/?has=size:small&has=size:very_small")
    page.set_input_files("#file", query)
    _complete(page)
    return page.screenshot(animations="disabled")


def _complete(page: Page) -> None:
    """Wait until hits and their pictures are there."""
    expect(page.get_by_role("heading", level=1)).to_contain_text("like this one", timeout=30_000)
    page.reload()  # the first search of a picture takes as long as the network
    expect(page.locator("#hits[aria-busy], .coming")).to_have_count(0, timeout=30_000)
    page.wait_for_load_state("networkidle")


def _save(picture: bytes, path: Path) -> None:
    """Write a picture without an alpha channel, as small as it gets."""
    Image.open(io.BytesIO(picture)).convert("RGB").save(path, optimize=True)
    click.echo(f"{path}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
