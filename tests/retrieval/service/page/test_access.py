"""For everyone: phones, keyboards, screen readers, dark rooms; and the headers of the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect

from tests.retrieval.service.page.conftest import BIRDS, Visits
from tests.retrieval.service.page.looking import settled, total


def check(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("dark", [False, True])
def test_start_results_and_panel_have_no_barriers(visit: Visits, *, dark: bool) -> None:
    page = visit(dark=dark)
    expect(page.locator(".card").first).to_be_visible()
    check(page)
    page.goto(f"{visit.site}/?like=3&has=primary_color:blue&has=size:small&from=price:3&unlike=7")
    settled(page)
    page.locator("summary", has_text="Primary color").click()
    page.locator("#hits .hit").first.hover()
    page.get_by_role("button", name="Why hit 1?").click()
    expect(page.locator("#why")).to_be_visible()
    check(page)


def test_the_crop_has_no_barriers(visit: Visits, stranger: Path) -> None:
    page = visit()
    page.set_input_files("#file", stranger)
    page.get_by_role("button", name="Choose a part").click()
    expect(page.locator("#cropper")).to_be_visible()
    check(page)


@pytest.mark.parametrize("query", ["?has=nothing:blue", "?has=size:small&from=price:9999"])
def test_troubles_have_no_barriers(visit: Visits, query: str) -> None:
    visit.refusals = True
    page = visit(query)
    expect(page.locator(".trouble")).to_be_visible()
    check(page)


def test_a_phone(visit: Visits) -> None:
    page = visit("?like=3", width=360, height=740, touch=True)
    width = "() => document.documentElement.scrollWidth"
    assert page.evaluate(width) == 360
    page.get_by_role("button", name="Filters").click()
    sheet = page.get_by_role("dialog", name="Filters")
    expect(sheet).to_be_visible()
    sheet.locator("summary", has_text="Size").first.click()
    sheet.locator(".value", has_text="small").first.click()
    settled(page)
    check(page)
    sheet.get_by_role("button", name=f"Show {total(page)} image").click()
    expect(sheet).to_be_hidden()
    expect(page.get_by_role("button", name="Filters (1)")).to_be_visible()
    page.get_by_role("button", name="Why hit 1?").tap()
    expect(page.locator("#why")).to_be_visible()
    page.wait_for_timeout(600)  # a finger has left the hit, and the panel stays all the same
    expect(page.locator("#why")).to_contain_text("Tap an attribute")
    expect(page.locator("#why")).to_be_visible()
    check(page)
    assert page.evaluate(width) == 360
    page.keyboard.press("Escape")
    expect(page.locator("#why")).to_be_hidden()


def test_by_keyboard_alone(visit: Visits) -> None:
    page = visit()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the pictures")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("primary blue")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    settled(page)
    expect(page.get_by_role("button", name="Remove primary color blue")).to_be_visible()
    assert 0 < total(page) < BIRDS
    page.locator("#results").focus()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.locator("#hits a.picture").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Images like this one, with")
    settled(page)
    expect(page.locator("#hits a.picture").first).to_be_focused()
    page.get_by_role("button", name="Remove primary color blue").focus()
    page.keyboard.press("Enter")
    settled(page)
    expect(page.locator("#results")).to_be_focused()


def test_the_count_is_announced(visit: Visits) -> None:
    page = visit()
    expect(page.get_by_role("status").filter(has_text=f"{BIRDS} images")).to_have_count(1)
    for landmark in ("banner", "main", "complementary"):
        expect(page.get_by_role(landmark)).to_have_count(1)


def test_nothing_but_the_page_itself_may_run(client: TestClient) -> None:
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    assert "style=" not in answer.text
    assert "<style" not in answer.text


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("main.js", "text/javascript"), ("base.css", "text/css"), ("favicon.svg", "image/svg+xml")],
)
def test_files_of_the_page(client: TestClient, name: str, media_type: str) -> None:
    answer = client.get(f"/page/{name}")
    assert answer.headers["content-type"].startswith(media_type)
    assert answer.headers["cache-control"] == "no-cache"
    known = {"If-None-Match": f'"other", W/{answer.headers["etag"]}'}
    assert client.get(f"/page/{name}", headers=known).status_code == 304


@pytest.mark.parametrize(
    "name", ["nothing.js", "..%2F__init__.py", "%2e%2e/__init__.py", "..%5Ccli.py", ".", "a/b.js"]
)
def test_no_other_file_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/page/{name}").status_code == 404
