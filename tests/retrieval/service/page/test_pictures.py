"""Searching by picture: how it comes in, its part, what resembles a hit, and links to share."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.retrieval.service.page.conftest import Visits
from tests.retrieval.service.page.looking import api, bring, hits, ids, settled, token


def with_picture(visit: Visits, picture: Path) -> Page:
    page = visit()
    page.set_input_files("#file", picture)
    expect(page.get_by_role("heading", level=1)).to_have_text("Images like this one")
    settled(page)
    return page


def test_a_picture_that_is_picked(visit: Visits, birds: Path) -> None:
    page = visit()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(birds / "bird-0007.jpg")
    expect(page.locator(".caption").first).to_contain_text("bird-0007")
    expect(page.locator(".caption .score").first).to_have_text("1.00")
    assert hits(page) == ids(api(page, pictures=[token(page)]))


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_picture_that_is_brought(visit: Visits, stranger: Path, kind: str) -> None:
    page = visit()
    if kind == "drop":
        bring(page, "dragenter", stranger)
        expect(page.locator("#drop")).to_be_visible()
    bring(page, kind, stranger)
    expect(page.get_by_role("heading", level=1)).to_have_text("Images like this one")
    expect(page.locator("#drop")).to_be_hidden()
    settled(page)
    assert hits(page) == ids(api(page, pictures=[token(page)]))


def test_several_pictures_are_added_and_removed(visit: Visits, stranger: Path, birds: Path) -> None:
    page = with_picture(visit, stranger)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add a picture to the search").click()
    chooser.value.set_files(birds / "bird-0003.jpg")
    expect(page.get_by_role("heading", level=1)).to_have_text("Images like these 2")
    settled(page)
    both = re.findall(r"picture=([\w-]{22})", page.url)
    assert hits(page) == ids(api(page, pictures=both))
    for _ in both:
        page.get_by_role("button", name="Remove your picture").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Find it by its looks")


def test_a_part_drawn_with_the_pointer(visit: Visits, stranger: Path) -> None:
    page = with_picture(visit, stranger)
    page.get_by_role("button", name="Choose a part").click()
    box = page.locator(".stage img").bounding_box()
    assert box is not None
    at = [
        (box["x"] + box["width"] * x, box["y"] + box["height"] * y)
        for x, y in ((0.2, 0.1), (0.7, 0.6))
    ]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1], steps=3)
    page.mouse.up()
    page.get_by_role("button", name="Search with this part").click()
    expect(page).to_have_url(re.compile("crop="))
    settled(page)
    found = re.search(r"crop=([\d.,]+)", page.url)
    assert found is not None
    crop = [float(each) for each in found[1].split(",")]
    assert crop == pytest.approx([0.2, 0.1, 0.5, 0.5], abs=0.02)
    assert hits(page) == ids(api(page, pictures=[token(page)], crop=crop))


def test_a_part_by_keyboard_and_the_whole_again(visit: Visits, stranger: Path) -> None:
    page = with_picture(visit, stranger)
    page.get_by_role("button", name="Choose a part").focus()
    page.keyboard.press("Enter")
    for key in (*["Shift+ArrowLeft"] * 5, *["Shift+ArrowUp"] * 10, "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"crop=0\.02,0\.02,0\.9,0\.8"))
    settled(page)
    page.get_by_role("button", name="Change the part").click()
    page.get_by_role("button", name="The whole picture").click()
    page.get_by_role("button", name="Search with this part").click()
    expect(page).not_to_have_url(re.compile("crop="))


def test_more_like_a_hit(visit: Visits) -> None:
    page = visit("?has=primary_color:blue")
    wanted = hits(page)[2]
    page.locator("#hits a.picture").nth(2).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Images like this one, with")
    settled(page)
    expected = api(page, like=[wanted], where="primary_color=blue")
    assert hits(page) == ids(expected)
    assert wanted not in hits(page)


def test_a_shared_link_shows_the_same(visit: Visits, stranger: Path) -> None:
    page = with_picture(visit, stranger)
    page.goto(f"{page.url}&has=size:small&looks=0.5&from=price:20")
    settled(page)
    other = visit(page.url.removeprefix(f"{visit.site}/"))
    assert hits(other) == hits(page)
    expect(other.locator(".asked-one img")).to_have_js_property("complete", value=True)


def test_back_and_forward(visit: Visits, stranger: Path) -> None:
    page = visit("?has=primary_color:blue")
    first = hits(page)
    page.set_input_files("#file", stranger)
    expect(page.get_by_role("heading", level=1)).to_have_text("Images like this one, with")
    settled(page)
    second = hits(page)
    page.locator("#hits a.picture").first.click()
    expect(page).to_have_url(re.compile("like="))
    settled(page)
    third = hits(page)
    for move, expected in (
        (page.go_back, second),
        (page.go_back, first),
        (page.go_forward, second),
        (page.go_forward, third),
    ):
        move()
        settled(page)
        assert hits(page) == expected
    page.reload()
    settled(page)
    assert hits(page) == third
