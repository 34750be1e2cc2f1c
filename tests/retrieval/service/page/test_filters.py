"""Filters at the side: exact counts, what is chosen, finding one, sliders, order, nothing found."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.retrieval.service.page.conftest import BIRDS, BRANDS, Visits
from tests.retrieval.service.page.looking import (
    api,
    choose,
    counts,
    group,
    hits,
    ids,
    settled,
    total,
    value,
)


def told(answer: Any, name: str) -> dict[str, int]:
    """Return the counts of a facet that are not zero."""
    (facet,) = (each for each in answer["facets"] if each["name"] == name)
    return {value.replace("_", " "): number for value, number in facet["values"] if number}


def shown(found: dict[str, int]) -> dict[str, int]:
    return {value: number for value, number in found.items() if number}


def test_counts_are_those_of_the_api(visit: Visits) -> None:
    page = visit()
    choose(page, "primary color", "blue")
    choose(page, "primary color", "grey")
    choose(page, "size", "small")
    where = "primary_color=blue,grey AND size=small"
    answer = api(page, where=where, facets=[])
    assert total(page) == answer["total"]
    assert hits(page) == ids(answer)
    for name in ("wing color", "head pattern"):
        assert shown(counts(page, name)) == told(answer, name.replace(" ", "_"))
    # What is chosen of a group itself does not count there: others of it would add to it.
    others = api(page, where="size=small", facets=["primary_color"])
    assert shown(counts(page, "primary color")) == told(others, "primary_color")


def test_chips_name_what_is_chosen_and_remove_it(visit: Visits) -> None:
    page = visit("?has=primary_color:blue&has=size:small&is=brand:Lynx")
    chips = page.get_by_role("list", name="Filters chosen")
    expect(chips).to_contain_text("primary color blue")
    page.get_by_role("button", name="Remove primary color blue").click()
    settled(page)
    assert total(page) == api(page, where="size=small AND brand=Lynx")["total"]
    expect(value(page, "primary color", "blue").locator("input")).not_to_be_checked()
    page.get_by_role("button", name="Clear all").click()
    settled(page)
    assert total(page) == BIRDS


def test_texts_and_numbers_of_the_merchant(visit: Visits) -> None:
    page = visit()
    choose(page, "brand", "Heron & Sons")
    choose(page, "brand", "Ibis")
    assert counts(page, "brand") == dict.fromkeys(BRANDS, BIRDS // 3)
    page.get_by_label("price from").fill("30")
    expect(page).to_have_url(re.compile("from=price:30"))
    page.get_by_label("price to").fill("60")
    expect(page).to_have_url(re.compile("to=price:60"))
    settled(page)
    where = 'brand="Heron & Sons",Ibis AND price>=30 AND price<=60'
    assert total(page) == api(page, where=where)["total"]
    expect(page.get_by_role("button", name="Remove price 30 to 60")).to_be_visible()


def test_finding_a_filter(visit: Visits) -> None:
    page = visit()
    page.keyboard.press("/")
    search = page.get_by_label("Find a filter")
    expect(search).to_be_focused()
    page.keyboard.type("wing rufous")
    rows = page.locator(".value:visible")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("rufous")
    search.fill("nonsense")
    expect(page.get_by_text("No filter has that name.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(search).to_have_value("")
    expect(page.locator("details.group-box:visible")).to_have_count(31)


def test_how_sure_it_must_be(visit: Visits) -> None:
    page = visit("?has=primary_color:blue")
    page.get_by_label("Confidence").focus()
    for end in (9, 18):
        while page.get_by_label("Confidence").input_value() != str(5 * end):
            page.keyboard.press("ArrowRight")
        expect(page).to_have_url(re.compile(rf"sure={5 * end / 100:g}"))
    expect(page.get_by_text("at least 90% sure").first).to_be_visible()
    expect(page).to_have_url(re.compile(r"sure=0\.9"))
    settled(page)
    answer = api(page, where="primary_color=blue>=0.9", facets=[], facets_at_least=0.9)
    assert total(page) == answer["total"]
    assert shown(counts(page, "wing color")) == told(answer, "wing_color")
    page.go_back()  # at once, however often the slider rested on its way
    expect(page).not_to_have_url(re.compile("sure"))
    page.go_forward()
    settled(page)
    # Before anything is chosen, counts say what choosing it would bring.
    page.get_by_role("button", name="Remove primary color blue").click()
    settled(page)
    for name, number in counts(page, "size").items():
        where = {"attr": "size", "in": [name.replace(" ", "_")], "at_least": 0.9}
        assert api(page, where=where)["total"] == number


def test_a_filter_stays_under_the_pointer(visit: Visits) -> None:
    page = visit()
    row = value(page, "primary color", "blue")
    before = row.bounding_box()
    row.click()
    settled(page)
    assert row.bounding_box() == before
    expect(page.locator("summary", has_text="Primary color").locator(".chosen")).to_have_text(
        "chosen: blue"
    )


def test_looks_against_attributes(visit: Visits) -> None:
    page = visit("?like=3")
    page.get_by_label("Likeness").focus()
    page.keyboard.press("End")
    expect(page).to_have_url(re.compile(r"looks=0(&|$)"))
    settled(page)
    assert hits(page) == ids(api(page, like=[3], weight=0))


def test_a_field_orders(visit: Visits) -> None:
    page = visit("?has=size:small")
    page.get_by_label("Order").select_option("price, descending")
    expect(page).to_have_url(re.compile("sort=-price"))
    settled(page)
    assert hits(page) == ids(api(page, where="size=small", sort="-price"))


def test_near_duplicates_are_hidden(visit: Visits) -> None:
    page = visit("?has=size:small")
    page.get_by_label("Hide near duplicates").check()
    expect(page).to_have_url(re.compile("dedup=1"))
    settled(page)
    assert hits(page) == ids(api(page, where="size=small", dedup=True))


def test_nothing_found_says_why_and_what_to_loosen(visit: Visits) -> None:
    page = visit("?has=primary_color:blue&is=brand:None&sure=0.35")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    expect(page.locator(".trouble p")).to_have_text("No image has brand None.")
    found = api(page, where="primary_color=blue>=0.35")["total"]
    assert found > 0
    expect(page.get_by_role("button", name="Without primary color")).to_have_count(0)
    page.get_by_role("button", name=f"Without brand: {found} image").click()
    settled(page)
    assert total(page) == found


def test_why_nothing_is_found_is_told_in_words(visit: Visits) -> None:
    page = visit("?has=size:small&has=bill_shape:needle&sure=1")
    reason = page.locator(".trouble p")
    expect(reason).to_contain_text("(100% sure)")
    expect(reason).not_to_contain_text("_")
    page.get_by_role("button", name="Clear all filters").click()
    settled(page)
    assert total(page) == BIRDS
    page.go_back()
    expect(reason).to_contain_text("(100% sure)")


@pytest.mark.parametrize("name", ["primary color", "wing pattern"])
def test_colours_and_patterns_are_drawn(visit: Visits, name: str) -> None:
    page = visit()
    swatches = group(page, name).locator(".swatch")
    drawn = swatches.evaluate_all("(all) => all.map((each) => getComputedStyle(each).background)")
    assert len(drawn) > 2
    assert len(set(drawn)) == len(drawn)


def test_the_start_leads_into_the_catalogue(visit: Visits) -> None:
    page = visit()
    card = page.locator(".card").nth(1)
    expect(card).to_be_visible()
    said = card.locator(".count").inner_text()
    card.click()
    expect(page).to_have_url(re.compile("has="))
    settled(page)
    assert said.split()[0] == str(total(page))
