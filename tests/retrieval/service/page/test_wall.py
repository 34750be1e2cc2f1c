"""The wall of hits goes on to the end, and the panel says why each hit is there."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.retrieval.service.page.conftest import BIRDS, BRANDS, TITLE, TITLED, Visits
from tests.retrieval.service.page.looking import SEARCH, api, hits, settled, total, value


class Gate:
    """Holds requests until it is opened."""

    def __init__(self) -> None:
        self._held: list[Route] = []
        self._open = False

    def __call__(self, route: Route) -> None:
        if self._open:
            route.continue_()
        else:
            self._held.append(route)

    def open(self) -> None:
        self._open = True
        for route in self._held:
            route.continue_()


def to_the_end(page: Page) -> None:
    settled(page)
    expect(page.locator(".card").first).to_be_visible()  # above the wall, and comes after it
    page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")


def test_every_image_is_shown_once(visit: Visits) -> None:
    page = visit()
    to_the_end(page)
    expect(page.locator("#hits .hit")).to_have_count(BIRDS)
    assert len(set(hits(page))) == BIRDS == total(page)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_a_cursor_that_is_refused_begins_again(visit: Visits) -> None:
    visit.refusals = True
    page = visit.blank()
    refused = []

    def refuse_once(route: Route) -> None:
        if "cursor" in (route.request.post_data or "") and not refused:
            refused.append(True)
            route.fulfill(status=410, json={"detail": "the cursor is of generation 1"})
        else:
            route.continue_()

    page.route(f"**{SEARCH}", refuse_once)
    page.goto(visit.site)
    to_the_end(page)
    expect(page.get_by_text("The catalogue has just been renewed")).to_be_visible()
    to_the_end(page)
    expect(page.locator("#hits .hit")).to_have_count(BIRDS)
    assert len(set(hits(page))) == BIRDS


def test_hits_have_their_place_before_their_pictures(visit: Visits) -> None:
    page = visit.blank()
    gate = Gate()
    page.route("**/thumbnail**", gate)
    page.goto(f"{visit.site}/?has=size:small")
    settled(page)
    places = "(all) => all.map((each) => JSON.stringify(each.getBoundingClientRect()))"
    before = page.locator("#hits .hit").evaluate_all(places)
    gate.open()
    expect(page.locator("#hits .picture.there").first).to_be_visible()
    assert page.locator("#hits .hit").evaluate_all(places) == before


def test_a_search_that_is_overtaken_shows_nothing(visit: Visits) -> None:
    page = visit()
    gate = Gate()
    page.route(f"**{SEARCH}", gate)
    value(page, "size", "small").click()
    expect(page).to_have_url(re.compile("small"))
    value(page, "size", "small").click()
    expect(page).not_to_have_url(re.compile("small"))
    gate.open()
    settled(page)
    assert total(page) == BIRDS


def heat(page: Page) -> None:
    """Rest on an attribute until both pictures show where it is seen."""
    page.locator(".part").nth(1).hover()
    expect(page.locator(".heat.there")).to_have_count(2, timeout=60_000)
    for picture in page.locator(".heat").all():
        assert picture.evaluate("(each) => each.naturalWidth") > 0
    expect(page.locator(".heat-note")).to_contain_text("is seen")


def test_why_a_hit_is_similar(visit: Visits, stranger: Path) -> None:
    page = visit("?like=3&looks=0.5")
    tile = page.locator("#hits .hit").first
    tile.hover()
    panel = page.get_by_role("dialog", name="Why hit 1 is similar")
    expect(panel).to_be_visible()
    hit = api(page, like=[3], weight=0.5, explain=True)["hits"][0]
    names = panel.locator(".part-name").all_inner_texts()
    expected = [each["name"] for each in hit["explanation"]["attributes"]]
    assert names == [each.replace("=", " ").replace("_", " ") for each in expected[: len(names)]]
    expect(panel).to_contain_text(f"Score {hit['score']:.2f}")
    heat(page)
    page.mouse.move(1, 1)
    expect(panel).to_be_hidden()


def test_why_by_keyboard(visit: Visits) -> None:
    page = visit("?like=3")
    page.locator("#hits a.picture").nth(1).focus()
    page.keyboard.press("Tab")
    button = page.get_by_role("button", name="Why hit 2?")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    panel = page.get_by_role("dialog", name="Why hit 2 is similar")
    expect(panel.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    panel.get_by_role("button", name="Not like this").focus()
    page.keyboard.press("Tab")
    expect(panel).to_be_hidden()
    expect(button).to_be_focused()


def test_from_hit_to_hit_by_arrows(visit: Visits) -> None:
    page = visit("?like=3")
    tiles = page.locator("#hits .hit")
    links = page.locator("#hits a.picture")
    links.first.focus()
    page.keyboard.press("ArrowRight")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    focused = page.evaluate("() => document.activeElement.parentElement.offsetTop")
    tops = tiles.evaluate_all("(all) => all.map((each) => each.offsetTop)")
    assert focused == sorted(set(tops))[1]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    expect(links.first).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(links.first).to_be_focused()


def test_a_double_click_searches_once(visit: Visits) -> None:
    page = visit("?has=size:small")
    wanted = hits(page)[0]
    page.locator("#hits a.picture").first.dblclick(delay=20)
    settled(page)
    expect(page).to_have_url(re.compile(rf"like={wanted}(&|$)"))
    page.go_back()
    settled(page)
    expect(page).not_to_have_url(re.compile("like="))


def test_the_count_stays_in_sight_and_leads_back_up(visit: Visits) -> None:
    page = visit("?has=size:small", height=500)
    up = page.get_by_role("button", name="Back to the top")
    expect(up).to_be_hidden()
    page.mouse.move(700, 300)
    page.mouse.wheel(0, 900)
    up.click()
    assert page.evaluate("() => window.scrollY") == 0
    expect(up).to_be_hidden()


def test_a_hit_is_seen_large(visit: Visits) -> None:
    page = visit("?like=3")
    page.locator("#hits .hit").first.hover()
    page.get_by_role("button", name="Why hit 1?").click()
    link = page.get_by_role("link", name="See it large")
    answer = page.request.get(f"{visit.site}/{link.get_attribute('href')}")
    assert answer.headers["content-type"] == "image/jpeg"


def test_a_hit_is_called_by_its_title_or_by_its_file(visit: Visits) -> None:
    page = visit("?from=price:7.5&to=price:9")
    captions = page.locator(".captions").all_inner_texts()
    told = dict(zip(hits(page), (each.split()[1:] for each in captions), strict=True))
    assert told == {
        TITLED: [*TITLE.split(), "7.5", "·", *BRANDS[TITLED % 3].split()],
        6: ["bird-0006", "9", "·", *BRANDS[0].split()],
    }


def test_without_a_picture_the_panel_tells_what_an_image_has(visit: Visits) -> None:
    page = visit("?has=primary_color:blue")
    first = hits(page)[0]
    page.locator("#hits .hit").first.hover()
    panel = page.get_by_role("dialog", name="What hit 1 has")
    expect(panel.locator(".part-name").first).to_have_text("primary color blue")
    image = page.request.get(f"{visit.site}/v1/catalogs/birds/images/{first}").json()
    known = {each["name"].replace("=", " ").replace("_", " ") for each in image["attributes"]}
    assert set(panel.locator(".part-name").all_inner_texts()) <= known


def test_hits_are_added_and_avoided(visit: Visits) -> None:
    page = visit("?like=3")
    first, second = hits(page)[:2]
    for rank, act in ((1, "Add to the search"), (2, "Not like this")):
        page.locator("#hits .hit").nth(rank - 1).hover()
        page.get_by_role("button", name=f"Why hit {rank}?").click()
        if rank == 2:
            second = hits(page)[1]
        page.get_by_role("button", name=act).click()
        settled(page)
    expect(page).to_have_url(re.compile(f"like=3&like={first}&unlike={second}"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("but not the faded")
