"""The page in a browser, on a service with the shipped model over drawn birds that have fields."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image, ImageOps
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from finetag_model.drawn import write_catalogue
from finetag_model.embedder import load_embedder
from indexer import build, import_fields
from retrieval.service.settings import Limits, Settings
from tests.retrieval.service.page.looking import settled
from tests.retrieval.service.running import running

DRAWN = 24
BIRDS = 2 * DRAWN
"""More than a page; drawing takes long, so half of them are the others in a mirror."""
BRANDS = ("Lynx", "Ibis", "Heron & Sons")
TITLED, TITLE = 5, "A bird with a title of its own"


@pytest.fixture(scope="session")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw the pictures of the catalogue."""
    folder = tmp_path_factory.mktemp("birds")
    write_catalogue(folder, DRAWN, seed=0)
    for i in range(1, DRAWN + 1):
        with Image.open(folder / f"bird-{i:04}.jpg") as bird:
            ImageOps.mirror(bird).save(folder / f"bird-{DRAWN + i:04}.jpg", quality=92)
    return folder


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw a picture that is not in the catalogue."""
    folder = tmp_path_factory.mktemp("stranger")
    write_catalogue(folder, 1, seed=1)
    return folder / "bird-0001.jpg"


@pytest.fixture(scope="session")
def settings(birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Index the catalogue, with fields, for a service."""
    folder = tmp_path_factory.mktemp("service")
    build(birds, folder / "index", load_embedder())
    rows = [
        f"bird-{i:04}.jpg,{i * 1.5},{BRANDS[i % 3]},{TITLE if i == TITLED else ''}"
        for i in range(1, BIRDS + 1)
    ]
    table = folder / "fields.csv"
    table.write_text("\n".join(["path,price,brand,title", *rows]))
    import_fields(table, folder / "index")
    return Settings(
        catalogs={"birds": folder / "index"},
        state=folder / "state",
        limits=Limits(per_minute=0),
    )


@pytest.fixture(scope="session")
def site(settings: Settings) -> Iterator[str]:
    """Serve the catalogue; gives the address of the page."""
    with running(settings) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium; for one module, since playwright keeps an event loop running meanwhile."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("there is no Chromium (apt-get install chromium)")
    expect.set_options(timeout=15_000)
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=args)
        yield browser
        browser.close()


@dataclass
class Visits:
    """Opens pages, and keeps what they complain about.

    Attributes:
        refusals: whether answers that are errors are part of the test.
    """

    browser: Browser
    site: str
    refusals: bool = False
    contexts: list[BrowserContext] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __call__(
        self,
        query: str = "",
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        touch: bool = False,
    ) -> Page:
        """Open the page at a search, in a browser that knows nothing of others."""
        page = self.blank(width=width, height=height, dark=dark, touch=touch)
        page.goto(f"{self.site}/{query}")
        settled(page)
        return page

    def blank(
        self, *, width: int = 1280, height: int = 900, dark: bool = False, touch: bool = False
    ) -> Page:
        """Return a page that is not yet anywhere."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            has_touch=touch,
            is_mobile=touch,
            reduced_motion="reduce",
        )
        context.set_default_timeout(15_000)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )
        return page


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Visits]:
    """Open the page; no page may complain in its console."""
    visits = Visits(browser, site)
    yield visits
    for context in visits.contexts:
        context.close()
    refused = "Failed to load resource"
    assert [
        each for each in visits.complaints if not (visits.refusals and each.startswith(refused))
    ] == []
