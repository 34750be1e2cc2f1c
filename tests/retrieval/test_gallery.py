"""The gallery page, read as a browser would."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from finetag_model.errors import FineTagError
from indexer import Index, build
from retrieval import Catalog
from retrieval.facets import Facet
from retrieval.gallery import THUMBNAIL, render_gallery, write_gallery


class Page(HTMLParser):
    """The tags, pictures and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[dict[str, str]] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(html)
        self.text = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = {key: value or "" for key, value in attrs}
        self.links += [values[key] for key in ("src", "href", "srcset") if key in values]
        if tag == "img":
            self.images.append(values)

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] != "style":
            self.words += data


def decoded(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_every_hit_is_on_the_page_with_its_picture(catalog: Catalog, root: Path) -> None:
    query = root / "red" / "red_blue.png"
    answer = catalog.search(query, "upper=red", limit=5)
    page = Page(render_gallery(answer, query))
    assert len(page.images) == 1 + len(answer.hits) == 6
    assert page.images[0]["alt"] == "The query image"
    for hit, image in zip(answer.hits, page.images[1:], strict=True):
        assert image["alt"] == f"Hit {hit.rank}: {hit.path.name}"
        assert hit.path.name in page.text
        assert f"{hit.similarity:.3f}" in page.text
        assert f"upper red {hit.attributes['upper=red']:.0%}" in page.text
    assert "Images like this one, with upper red" in page.text
    assert answer.plan in page.text
    assert f"5 of {answer.total} matches" in page.text


def test_nothing_is_fetched_and_nothing_runs(catalog: Catalog, root: Path) -> None:
    query = root / "red" / "red_blue.png"
    html = render_gallery(catalog.search(query), query)
    page = Page(html)
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert not {"script", "link", "iframe", "a"} & set(page.tags)
    assert "://" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert str(root) not in html  # a page that is sent on does not tell where it was made


def test_without_a_query_the_filter_is_the_title(catalog: Catalog) -> None:
    html = render_gallery(catalog.search(where=["upper=red", "lower=blue"]))
    assert "<title>upper=red, lower=blue · FineTag</title>" in html
    assert "Images with upper red and lower blue" in Page(html).text
    assert 'class="bar"' not in html


def test_any_other_filter_is_shown_as_it_was_read(catalog: Catalog, root: Path) -> None:
    query = root / "red" / "red_blue.png"
    html = render_gallery(catalog.search(query, "upper=red or not lower=blue"), query)
    assert "Images like this one, where upper=red OR lower!=blue" in Page(html).text
    html = render_gallery(catalog.search(where=["upper=red,blue>=0.5"]))
    assert "<title>upper=red,blue&gt;=0.5 · FineTag</title>" in html


def test_an_empty_answer_says_why(catalog: Catalog) -> None:
    where = ["upper=red", "upper=blue"]
    answer = catalog.search(where=where)
    page = Page(render_gallery(answer))
    assert page.images == []
    assert f"Nothing found: {answer.reason}." in page.text


def test_pictures_are_small_and_upright(tmp_path: Path, color_embedder: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "one").mkdir()
    Image.new("RGB", (2000, 1000), "red").save(tmp_path / "one" / "turned.jpg", exif=exif)
    build(tmp_path / "one", tmp_path / "index", color_embedder)
    catalog = Catalog(Index.open(tmp_path / "index"), embedder=color_embedder)
    (image,) = Page(render_gallery(catalog.search(where="upper=red"))).images
    assert decoded(image["src"]).size == (THUMBNAIL // 2, THUMBNAIL)


def test_hostile_file_names_are_only_text(
    tmp_path: Path, paint: Callable[..., Path], color_embedder: Any
) -> None:
    name = "<script>alert('1')&\".png"
    query = paint(tmp_path / "odd" / "<b>bold" / name, "red", "red")
    build(tmp_path / "odd", tmp_path / "index", color_embedder)
    catalog = Catalog(Index.open(tmp_path / "index"), embedder=color_embedder)
    html = render_gallery(catalog.search(query), query)
    page = Page(html)
    assert "script" not in page.tags
    assert page.images[1]["alt"] == f"Hit 1: {name}"
    assert page.text.count(name) == 3  # title, caption of the query, caption of the hit
    assert "<b>bold" in page.text


def test_vanished_and_damaged_files_leave_a_placeholder(
    tmp_path: Path, paint: Callable[..., Path], color_embedder: Any
) -> None:
    for lower in ("red", "green", "blue"):
        paint(tmp_path / "three" / f"{lower}.png", "red", lower)
    build(tmp_path / "three", tmp_path / "index", color_embedder)
    answer = Catalog(Index.open(tmp_path / "index")).search(where="upper=red")
    answer.hits[0].path.unlink()
    answer.hits[1].path.write_bytes(b"no longer an image")
    page = Page(render_gallery(answer, tmp_path / "vanished query.png"))
    assert page.text.count("This picture can no longer be read") == 2
    assert "Images like vanished query.png, with upper red" in page.text
    assert len(page.images) == len(answer.hits) - 2
    assert all(hit.path.name in page.text for hit in answer.hits)


def test_writing_replaces_the_whole_file_and_keeps_links(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    page = tmp_path / "out" / "page.html"
    page.write_text("old")
    link = tmp_path / "out" / "link.html"
    link.symlink_to(page)
    answer = catalog.search(where="upper=red")
    write_gallery(link, answer)
    assert link.is_symlink()
    assert page.read_text(encoding="utf-8") == render_gallery(answer)
    assert sorted(path.name for path in page.parent.iterdir()) == ["link.html", "page.html"]


@pytest.mark.parametrize("target", ["", "missing/page.html", "file/page.html", "x" * 300])
def test_a_place_that_cannot_be_written(catalog: Catalog, tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("a file")
    answer = catalog.search(where="upper=red")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FineTagError, match="--html"):
        write_gallery(tmp_path / target, answer)
    assert sorted(tmp_path.iterdir()) == before


def test_score_group_and_near_duplicates_are_on_the_card(catalog: Catalog, root: Path) -> None:
    query = root / "red" / "red_blue.png"
    answer = catalog.search(query, weight=0.5, group_by="upper", limit=2)
    hits = tuple(replace(hit, near_duplicates=3) for hit in answer.hits)
    text = Page(render_gallery(replace(answer, hits=hits), query)).text
    for hit in answer.hits:
        assert f"score {hit.score:.3f}" in text
        assert f"similarity {hit.similarity:.3f}" in text
        assert f"{hit.group} and {hit.grouped} more" in text
    assert text.count("+3 that look the same") == 2
    plain = Page(render_gallery(catalog.search(query), query)).text
    assert not [word for word in ("score", "more", "the same", "query hit") if word in plain]


def test_an_explanation_has_bars_of_query_and_hit(catalog: Catalog, root: Path) -> None:
    query = root / "red" / "red_blue.png"
    html = render_gallery(catalog.search(query, limit=3, explain=True), query)
    assert html.count('<span class="bar query"') == 3 * 2  # red above, blue below
    assert "upper red 99 100%" in Page(html).text
    html = render_gallery(catalog.search(where="upper=red", limit=3, explain=True))
    assert '<span class="bar query"' not in html
    assert Page(html).text.count("Probability upper red") == 3


def test_facets_stand_at_the_top_the_most_frequent_first(catalog: Catalog) -> None:
    answer = catalog.search(where="upper=red", facets=["lower"])
    page = Page(render_gallery(answer))
    (facet,) = answer.facets
    first = max(facet.values, key=lambda pair: pair[1])
    heading = f"What there is among {answer.total} matches lower {first[0]} {first[1]}"
    assert heading in page.text
    assert page.text.index("What there is") < page.text.index("red_blue.png")
    assert "<details" not in render_gallery(catalog.search(where="upper=red"))
    many = replace(answer, facets=answer.facets * 7)
    assert '<details class="facets">' in render_gallery(many)  # not open


def test_hostile_values_are_only_text(catalog: Catalog) -> None:
    evil = "<script>"
    answer = catalog.search(where="upper=red", limit=1)
    hit = replace(answer.hits[0], group=evil)
    facet = Facet(evil, "text", ((evil, 1),), 1, 1)
    page = Page(render_gallery(replace(answer, hits=(hit,), facets=(facet,))))
    assert "script" not in page.tags
    assert page.text.count(evil) == 3


def test_several_queries_and_what_hits_are_not_like(catalog: Catalog, root: Path) -> None:
    files = [root / "red" / "red_blue.png", root / "mixed_00.png"]
    answer = catalog.search(files, like=1, unlike=2, where="upper=red")
    ours = {"like": catalog.paths_of([1]), "unlike": catalog.paths_of([2])}
    page = Page(render_gallery(answer, files, **ours))
    alts = [image["alt"] for image in page.images[:5]]
    assert alts[:4] == [*["The query image"] * 3, "Not like this image"]
    assert f"not like {ours['unlike'][0].name}" in page.text
    assert "Images like these but not like the faded one, with upper red" in page.text


def test_the_part_that_was_meant_is_shown(catalog: Catalog, root: Path) -> None:
    query = root / "red" / "red_blue.png"
    answer = catalog.search(query, crop=(0, 12, 16, 12))
    page = Page(render_gallery(answer, query, crop=(0, 12, 16, 12)))
    assert decoded(page.images[0]["src"]).size == (16, 12)
    assert decoded(page.images[1]["src"]).size == (32, 24)
