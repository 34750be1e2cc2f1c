"""What goes wrong is told kindly, and there is a way on."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from retrieval.service.keys import Keys
from retrieval.service.settings import Settings
from retrieval.service.store import open_store
from tests.retrieval.service.page.conftest import BIRDS, Visits
from tests.retrieval.service.page.looking import SEARCH, settled, total, value
from tests.retrieval.service.running import running


def test_a_file_that_is_no_picture(visit: Visits, tmp_path: Path) -> None:
    visit.refusals = True
    page = visit()
    file = tmp_path / "<b>notes.jpg"
    file.write_text("no picture")
    page.set_input_files("#file", file)
    alert = page.locator("#notices [role=alert]")
    expect(alert).to_contain_text("<b>notes.jpg: the image is not an image in a known format")
    assert total(page) == BIRDS
    alert.get_by_role("button", name="Dismiss").click()
    expect(alert).to_have_count(0)


def test_what_says_itself_that_it_is_no_picture(
    visit: Visits, stranger: Path, tmp_path: Path
) -> None:
    page = visit()  # which sends none of it
    file = tmp_path / "list.pdf"
    file.write_bytes(b"%PDF-1.7")
    page.set_input_files("#file", [file, stranger])
    expect(page.get_by_role("heading", level=1)).to_have_text("Images like this one")
    expect(page.get_by_role("alert")).to_have_text("list.pdf is no picture.")
    page.evaluate(
        """() => {
          const clipboardData = new DataTransfer();
          clipboardData.setData("text/plain", "a wren");
          const event = new ClipboardEvent("paste", { clipboardData, bubbles: true });
          document.body.dispatchEvent(event);
        }"""
    )
    expect(page.get_by_role("alert")).to_contain_text("What was pasted is text.")


def test_a_folder_is_dropped(visit: Visits) -> None:
    page = visit()
    page.evaluate(
        """() => {
          const folder = { isDirectory: true, name: "holiday" };
          const items = [{ webkitGetAsEntry: () => folder }];
          const event = new DragEvent("drop", { bubbles: true, cancelable: true });
          const dataTransfer = { types: ["Files"], items, files: [new File([], "holiday")] };
          Object.defineProperty(event, "dataTransfer", { value: dataTransfer });
          document.body.dispatchEvent(event);
        }"""
    )
    expect(page.get_by_role("alert")).to_contain_text("“holiday” is a folder.")


def test_more_pictures_than_a_search_takes(visit: Visits, birds: Path) -> None:
    page = visit()
    page.set_input_files("#file", sorted(birds.glob("*.jpg"))[:9])
    expect(page.get_by_role("heading", level=1)).to_have_text("Images like these 8")
    expect(page.get_by_role("alert")).to_contain_text("so the others are left out")


def test_a_service_that_is_gone_and_comes_back(visit: Visits) -> None:
    visit.refusals = True
    page = visit()
    page.route(f"**{SEARCH}", lambda route: route.abort())
    value(page, "size", "small").click()
    expect(page.get_by_role("alert")).to_contain_text("The service cannot be reached")
    page.unroute(f"**{SEARCH}")
    page.get_by_role("button", name="Try again").click()
    settled(page)
    assert 0 < total(page) < BIRDS


def test_a_picture_that_is_no_longer_kept(visit: Visits) -> None:
    visit.refusals = True
    page = visit(f"?picture={'A' * 22}&has=size:small")
    expect(page.get_by_role("heading", name="This picture is no longer kept")).to_be_visible()
    page.get_by_role("button", name="Go on without it").click()
    expect(page).not_to_have_url(re.compile("picture="))
    settled(page)
    assert 0 < total(page) < BIRDS


def test_a_picture_that_has_expired(visit: Visits) -> None:
    visit.refusals = True
    page = visit.blank()
    gone = {"detail": "this picture is no longer kept"}
    page.route(f"**{SEARCH}", lambda route: route.fulfill(status=410, json=gone))
    page.goto(f"{visit.site}/?picture={'A' * 22}")
    expect(page.get_by_role("heading", name="This picture is no longer kept")).to_be_visible()
    expect(page.get_by_role("button", name="Choose a part")).to_be_hidden()


def test_a_link_that_names_what_is_not_there(visit: Visits) -> None:
    visit.refusals = True
    page = visit("?has=primary_colour:blue")
    expect(page.get_by_role("alert")).to_contain_text("nearest: primary_color")
    page.get_by_role("button", name="Begin anew").click()
    settled(page)
    assert total(page) == BIRDS


def test_a_link_of_nonsense_begins_at_the_start(visit: Visits) -> None:
    page = visit("?like=x&crop=1,2&from=price:much&has=%25&sure=7&picture=../../etc")
    assert total(page) == BIRDS


def test_a_catalogue_that_is_not_there(visit: Visits) -> None:
    page = visit("?catalog=other")
    expect(page.get_by_role("alert")).to_contain_text("There is no catalogue “other”.")


def test_a_service_that_wants_a_key(
    visit: Visits, settings: Settings, stranger: Path, tmp_path: Path
) -> None:
    visit.refusals = True
    page = visit.blank()
    state = tmp_path / "state"
    key = Keys(open_store(state)).create("read")
    with running(settings.model_copy(update={"keys": True, "state": state})) as address:
        page.goto(address)
        field = page.get_by_label("API key")
        expect(field).to_be_focused()
        field.fill("ft_wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_text("The service does not know this key.")).to_be_visible()
        field.fill(key)
        page.get_by_role("button", name="Open").click()
        settled(page)
        assert total(page) == BIRDS
        page.set_input_files("#file", stranger)
        expect(page.get_by_role("heading", level=1)).to_have_text("Images like this one")
        settled(page)
        page.reload()
        settled(page)
        expect(page.locator("#hits .picture.there").first).to_be_visible()
        page.close()
