"""What a page shows, and what the API says it should, for the tests of the page."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

SEARCH = "/v1/catalogs/birds/search"

_BRING = """([kind, name, data]) => {
  const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
  const brought = new DataTransfer();
  brought.items.add(new File([bytes], name, { type: "image/jpeg" }));
  const happen = (event) => document.body.dispatchEvent(event);
  const common = { bubbles: true, cancelable: true };
  if (kind === "paste") happen(new ClipboardEvent("paste", { clipboardData: brought, ...common }));
  else happen(new DragEvent(kind, { dataTransfer: brought, ...common }));
}"""


def settled(page: Page) -> None:
    """Wait until the answer of a search, or why there is none, is shown."""
    expect(page.locator("#status.waiting")).to_have_count(0)
    expect(page.locator("#hits[aria-busy], .coming")).to_have_count(0)
    expect(page.locator(".hit:not(.skeleton), .trouble").first).to_be_visible()


def hits(page: Page) -> list[int]:
    """Return the ids of the hits shown, in order."""
    found = page.locator("#hits a.picture").evaluate_all(
        "(links) => links.map((link) => Number(new URL(link.href).searchParams.get('like')))"
    )
    return [int(each) for each in found]


def api(page: Page, **search: Any) -> Any:
    """Ask the API itself."""
    site = re.match(r"https?://[^/]+", page.url)
    assert site is not None
    response = page.request.post(f"{site[0]}{SEARCH}", data={"limit": 40, **search})
    assert response.ok, response.text()
    return response.json()


def ids(answer: Any) -> list[int]:
    """Return the ids of an answer of the API."""
    return [hit["id"] for hit in answer["hits"]]


def total(page: Page) -> int:
    """Return how many images the page says pass."""
    found = re.match(r"[\d,]+", page.locator("#status").inner_text())
    assert found is not None
    return int(found[0].replace(",", ""))


def bring(page: Page, kind: str, path: Path) -> None:
    """Have a file be pasted or dropped: `paste`, `dragenter` or `drop`."""
    page.evaluate(_BRING, [kind, path.name, base64.b64encode(path.read_bytes()).decode()])


def group(page: Page, name: str) -> Locator:
    """Return a group of filters, unfolded."""
    box = page.locator("details.group-box").filter(
        has=page.locator(".group-name", has_text=re.compile(f"^{name}$", re.IGNORECASE))
    )
    if box.get_attribute("open") is None:
        box.locator("summary").click()
    return box


def value(page: Page, group_name: str, value_name: str) -> Locator:
    """Return the row of a value in a group."""
    name = page.locator(".value-name", has_text=re.compile(f"^{re.escape(value_name)}$"))
    return group(page, group_name).locator(".value").filter(has=name)


def choose(page: Page, group_name: str, value_name: str) -> None:
    """Choose a value, or no longer."""
    value(page, group_name, value_name).click()
    settled(page)


def counts(page: Page, group_name: str) -> dict[str, int]:
    """Return the counts that a group shows."""
    rows = group(page, group_name).locator(".value")
    found = rows.evaluate_all(
        """(rows) => rows.map((row) => [
          row.querySelector(".value-name").textContent, row.querySelector(".count").textContent])"""
    )
    return {name: int(number.replace(",", "")) for name, number in found}


def token(page: Page) -> str:
    """Return the token of the picture that is searched with, by the address."""
    found = re.search(r"picture=([\w-]{22})", page.url)
    assert found is not None, page.url
    return found[1]
