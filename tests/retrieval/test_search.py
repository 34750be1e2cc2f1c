"""What a search may be asked beside a picture and a filter, checked against brute force."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from finetag_model.errors import UsageError
from indexer import Index, build
from indexer.importing import import_fields
from retrieval import Answer, Catalog

COLORS = ("red", "green", "blue", "grey", "white")
NAMES = [f"{half}={color}" for half in ("upper", "lower") for color in COLORS]
BRANDS = ["Lynx", "Ibis", "Ärmel", "a b", "zebra"]
ROWS = 65

once_built = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
filters = st.lists(st.sampled_from(NAMES), max_size=2)
some_ids = st.lists(st.integers(1, ROWS), min_size=1, max_size=3, unique=True)


def fields_of(row: int) -> dict[str, Any]:
    """Make up prices and brands that some lack, a code that is a number or a text, and tags."""
    fields: dict[str, Any] = {
        "price": None if row % 5 == 0 else (row * 7 % 11) / 2,
        "brand": None if row % 4 == 0 else BRANDS[row % 3],
        "code": [None, float(row % 7), BRANDS[row % 5]][row % 3],
        "tags": [None, ["new"], ["sale", "new"], ["old", "sale"]][row % 4],
    }
    return {name: value for name, value in fields.items() if value is not None}


@pytest.fixture
def shop(
    shared: Path, root: Path, reference: Any, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> Catalog:
    """The catalogue of all pairs of colours, with fields."""
    monkeypatch.delenv("FINETAG_DATABASE", raising=False)
    folder = shared / "shop"
    if not folder.exists():
        build(root, folder, color_embedder)
        table = shared / "shop.jsonl"
        rows = ({"path": name, **fields_of(row)} for row, name in enumerate(reference.names))
        table.write_text("".join(json.dumps(each) + "\n" for each in rows))
        import_fields(table, folder)
    return Catalog(Index.open(folder), embedder=color_embedder)


def row_of(catalog: Catalog, id_: int) -> int:
    return catalog.index.row_of(id_)


def passing(reference: Any, where: list[str]) -> NDArray[np.int64]:
    positions = [NAMES.index(name) for name in where]
    return np.flatnonzero((reference.scores[:, positions] >= 128).all(axis=1))


def unit(vector: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(vector / np.linalg.norm(vector))


def attribute_similarity(reference: Any, scores: NDArray[Any]) -> NDArray[Any]:
    """Weigh each attribute that the query has by its probability in it."""
    has = np.flatnonzero(scores >= 0.5)
    if not len(has):
        has = np.argsort(-scores, kind="stable")[:10]
    return np.asarray(reference.scores[:, has] / 255 @ (scores[has] / scores[has].sum()))


def assert_ranked(answer: Answer, reference: Any, scores: dict[int, float]) -> None:
    """Check that the hits are the best of these rows, with these scores."""
    found = [reference.names.index(hit.name) for hit in answer.hits]
    assert len(set(found)) == len(found)
    assert [hit.score for hit in answer.hits] == pytest.approx(
        [scores[row] for row in found], abs=1e-5
    )
    best = sorted(scores.values(), reverse=True)[: len(found)]
    assert [hit.score for hit in answer.hits] == pytest.approx(best, abs=1e-5)


@once_built
@given(
    like=some_ids,
    unlike=st.lists(st.integers(1, ROWS), max_size=2),
    where=filters,
    weight=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_like_and_unlike_are_means(
    *, shop: Catalog, reference: Any, like: list, unlike: list, where: list, weight: float
) -> None:
    like_rows, unlike_rows = ([row_of(shop, each) for each in ids] for ids in (like, unlike))
    looks = reference.visual[like_rows].mean(axis=0)
    has = (reference.scores[like_rows] / 255).mean(axis=0)
    if unlike:
        looks = looks - reference.visual[unlike_rows].mean(axis=0)
        has = np.clip(has - (reference.scores[unlike_rows] / 255).mean(axis=0), 0, 1)
    if np.linalg.norm(looks) < 1e-6:
        with pytest.raises(UsageError, match="cancel each other out"):
            shop.search(like=like, unlike=unlike, where=where)
        return
    # Stored and computed probabilities differ in the last bit, which thresholds may turn on.
    if np.any(np.abs(has - 0.5) < 1e-6) or not has.sum():
        return
    alike = reference.visual @ unit(looks)
    scores = weight * alike + (1 - weight) * attribute_similarity(reference, has)
    rows = set(passing(reference, where).tolist()) - {*like_rows, *unlike_rows}

    answer = shop.search(where=where, like=like, unlike=unlike, weight=weight, limit=99)

    assert answer.total == len(rows) == len(answer.hits)
    assert_ranked(answer, reference, {row: float(scores[row]) for row in rows})
    for hit in answer.hits:
        assert hit.similarity == pytest.approx(alike[reference.names.index(hit.name)], abs=1e-5)


def test_an_image_and_an_id_count_the_same(shop: Catalog, root: Path) -> None:
    files = [root / "red" / "red_blue.png", root / "green" / "green_grey.png"]
    ids = [hit.id for file in files for hit in shop.search(file, limit=1).hits]
    both = shop.search(files, limit=99)
    mixed = shop.search(files[0], like=ids[1], limit=99)
    names = [hit.name for hit in both.hits if hit.id != ids[1]]
    assert [hit.name for hit in mixed.hits] == names
    assert (both.total, mixed.total) == (ROWS, ROWS - 1)


def test_an_unknown_id_is_told_before_a_network_is_asked(shop: Catalog, root: Path) -> None:
    with pytest.raises(UsageError, match="no image with the id 4711"):
        shop.search(root / "none.png", like=4711)


@once_built
@given(least=st.floats(-1, 1), weight=st.sampled_from([0.0, 0.5, 1.0]))
def test_no_hit_is_below_the_least_score(shop: Catalog, least: float, weight: float) -> None:
    everything = shop.search(like=1, weight=weight, limit=99).hits
    answer = shop.search(like=1, weight=weight, limit=99, min_score=least)
    assert answer.hits == tuple(hit for hit in everything if hit.score >= least)
    assert answer.total == ROWS - 1
    assert bool(answer.hits) == (answer.reason is None)


def pages(catalog: Catalog, sizes: list[int], **asked: Any) -> list[Any]:
    """Ask for page after page; the sizes go round."""
    hits: list[Any] = []
    cursor = None
    for i in range(200):
        answer = catalog.search(limit=sizes[i % len(sizes)], cursor=cursor, **asked)
        assert [hit.rank for hit in answer.hits] == list(
            range(len(hits) + 1, len(hits) + len(answer.hits) + 1)
        )
        hits += answer.hits
        cursor = answer.next
        if cursor is None:
            return hits
        assert len(answer.hits) == sizes[i % len(sizes)]
    raise AssertionError("pages without end")


rankings = st.sampled_from(
    [
        {"like": 3},
        {"like": 3, "where": "upper=red"},
        {"like": [3, 9], "unlike": 30, "weight": 0.5},
        {"where": "upper=red OR lower=blue,green"},
        {"where": "price>=0"},
        {"like": 3, "where": "upper=red AND upper=blue"},
    ]
)


@once_built
@given(
    asked=rankings,
    min_score=st.none() | st.sampled_from([0.2, 0.9]),
    sort=st.none() | st.sampled_from(["price", "-code"]),
    folding=st.sampled_from([{}, {"dedup": True}, {"group_by": "brand"}, {"group_by": "upper"}]),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=3),
)
def test_pages_joined_are_one_long_page(
    *, shop: Catalog, asked: dict, min_score: float | None, sort: str | None, folding: dict,
    sizes: list,
) -> None:  # fmt: skip
    asked = {**asked, **folding, "min_score": min_score, "sort": sort}
    long = shop.search(limit=99, **asked)
    assert long.next is None
    if sort and "like" in asked and min_score is None:
        assert shop.search(limit=sizes[0], **asked).next is None  # the order of one page
        return
    joined = pages(shop, sizes, **asked)
    assert [(hit.id, hit.score, hit.group) for hit in joined] == [
        (hit.id, hit.score, hit.group) for hit in long.hits
    ]
    assert len({hit.id for hit in joined}) == len(joined)


def test_a_cursor_is_of_one_search_and_one_generation(
    shop: Catalog, root: Path, tmp_path: Path, paint: Callable[..., Path], color_embedder: Any
) -> None:
    cursor = shop.search(like=3, limit=5).next
    assert shop.search(like=3, limit=7, cursor=cursor).hits[0].rank == 6
    for other in ({"like": 4}, {"like": 3, "where": "upper=red"}, {"like": 3, "dedup": True}):
        with pytest.raises(UsageError, match="another search"):
            shop.search(cursor=cursor, **other)
    with pytest.raises(UsageError, match="'nonsense' is not a cursor"):
        shop.search(like=3, cursor="nonsense")
    paint(tmp_path / "two" / "a.png", "red", "red")
    paint(tmp_path / "two" / "b.png", "red", "blue")
    build(tmp_path / "two", tmp_path / "index", color_embedder)
    old = Catalog(Index.open(tmp_path / "index")).search(where="upper=red", limit=1).next
    paint(tmp_path / "two" / "c.png", "red", "green")
    build(tmp_path / "two", tmp_path / "index", color_embedder)
    with pytest.raises(UsageError, match="of generation 1 of the index, which is at 2 now"):
        Catalog(Index.open(tmp_path / "index")).search(where="upper=red", cursor=old)


@once_built
@given(name=st.sampled_from(["price", "brand", "code", "tags", "upper", "Lower"]), where=filters)
def test_groups_show_their_best_and_count_the_others(
    shop: Catalog, reference: Any, name: str, where: list
) -> None:
    def group(row: int) -> float | str | None:
        if name.lower() in {"upper", "lower"}:
            start = 5 * (name != "upper")
            return COLORS[int(reference.scores[row, start : start + 5].argmax())]
        value = fields_of(row).get(name)
        return ", ".join(sorted(value)) if isinstance(value, list) else value

    everything = shop.search(like=1, where=where, limit=99).hits
    expected: dict[Any, list[int]] = {}
    for hit in everything:
        expected.setdefault(group(reference.names.index(hit.name)), []).append(hit.id)
    answer = shop.search(like=1, where=where, limit=99, group_by=name)
    assert [(hit.group, hit.id, hit.grouped) for hit in answer.hits] == [
        (label, ids[0], len(ids) - 1) for label, ids in expected.items()
    ]
    assert answer.total == len(everything)


@once_built
@given(
    where=filters,
    like=st.none() | st.integers(1, ROWS),
    at_least=st.none() | st.integers(0, 255).map(lambda score: score / 255),
)
def test_facets_are_counted_exactly(
    shop: Catalog, reference: Any, where: list, like: int | None, at_least: float | None
) -> None:
    if not where and like is None:
        return
    answer = shop.search(where=where, like=like, limit=1, facets=(), facets_at_least=at_least)
    rows = [row for row in passing(reference, where) if like is None or row != row_of(shop, like)]
    assert answer.total == len(rows)
    counted = {(facet.name, facet.kind): facet for facet in answer.facets}
    assert list(counted) == [
        ("upper", "attribute"),
        ("lower", "attribute"),
        ("brand", "text"),
        ("code", "number"),
        ("code", "text"),
        ("price", "number"),
        ("tags", "text"),
    ]
    least = 128 if at_least is None else round(at_least * 255)
    for half in ("upper", "lower"):
        columns = [NAMES.index(f"{half}={color}") for color in COLORS]
        passes = reference.scores[np.ix_(rows, columns)] >= least
        facet = counted[half, "attribute"]
        assert facet.values == tuple(zip(COLORS, passes.sum(axis=0).tolist(), strict=True))
        assert facet.images == passes.any(axis=1).sum()
    for name, kind in [("brand", "text"), ("code", "text")]:
        texts = [value for row in rows if isinstance(value := fields_of(row).get(name), str)]
        facet = counted[name, kind]
        assert dict(facet.values) == {each: texts.count(each) for each in texts}
        numbers = [count for _, count in facet.values]
        assert numbers == sorted(numbers, reverse=True)
        assert (facet.images, facet.different) == (len(texts), len(set(texts)))
    tags = [fields_of(row).get("tags", []) for row in rows]
    every = [tag for each in tags for tag in each]
    assert dict(counted["tags", "text"].values) == {tag: every.count(tag) for tag in every}
    assert counted["tags", "text"].images == sum(each != [] for each in tags)
    for name in ("price", "code"):
        values = [value for row in rows if isinstance(value := fields_of(row).get(name), float)]
        facet = counted[name, "number"]
        assert (facet.images, facet.values) == (len(values), ())
        assert (facet.least, facet.greatest) == (
            (min(values), max(values)) if values else (None, None)
        )


def test_facets_that_are_named_are_counted_alone(shop: Catalog) -> None:
    answer = shop.search(where="upper=red", facets=["Lower", "BRAND"])
    assert [facet.name for facet in answer.facets] == ["lower", "brand"]
    assert shop.search(where="upper=red").facets == ()
    fields_alone = shop.search(like=1, facets=["brand"]).facets
    assert fields_alone == shop.search(like=1, facets=["upper", "brand", "upper"]).facets[1:2]


@pytest.mark.parametrize("asked", [{"sort": "-price"}, {"group_by": "brand"}, {"facets": ()}])
def test_the_whole_catalogue_can_be_browsed(shop: Catalog, asked: dict) -> None:
    """As with a filter that everything passes."""
    whole, passed = (shop.search(where=w, limit=99, **asked) for w in ((), "NOT price<-1"))
    assert [hit.id for hit in whole.hits] == [hit.id for hit in passed.hits]
    assert {hit.score for hit in whole.hits} == {1.0}
    assert (whole.total, whole.facets, whole.exact) == (ROWS, passed.facets, True)
    first = shop.search(limit=2, **asked)
    second = shop.search(limit=2, cursor=first.next, **asked)
    assert [*first.hits, *second.hits] == list(whole.hits[:4])


@pytest.mark.parametrize("sort", ["price", "-price", "brand", "-brand", "code", "-code", "Code"])
def test_sorting_puts_numbers_before_texts_and_what_is_missing_last(
    shop: Catalog, reference: Any, sort: str
) -> None:
    name, sign = sort.lstrip("-").lower(), -1 if sort.startswith("-") else 1

    def key(row: int) -> tuple[int, float]:
        value = fields_of(row).get(name)
        if value is None:
            return 2, 0.0
        if isinstance(value, str):
            return 1, sign * sorted(BRANDS).index(value)
        return 0, sign * value

    everything = shop.search(where="NOT price<0", limit=99)  # in the catalogue's order
    rows = [reference.names.index(hit.name) for hit in everything.hits]
    answer = shop.search(where="NOT price<0", limit=99, sort=sort)
    assert [hit.name for hit in answer.hits] == [
        reference.names[row] for row in sorted(rows, key=key)
    ]


def test_with_a_picture_the_best_are_put_in_order(shop: Catalog) -> None:
    best = shop.search(like=1, limit=9).hits
    ordered = shop.search(like=1, limit=9, sort="-price").hits
    assert {hit.id for hit in ordered} == {hit.id for hit in best}
    prices = [hit.fields.get("price", -math.inf) for hit in ordered]
    assert prices == sorted(prices, reverse=True)
    everything = shop.search(like=1, limit=3, sort="-price", min_score=-1)
    assert [hit.fields["price"] for hit in everything.hits] == [5.0, 5.0, 5.0]


def test_of_each_group_the_best_are_put_in_order(shop: Catalog) -> None:
    best = shop.search(like=1, limit=3, group_by="upper").hits
    ordered = shop.search(like=1, limit=3, group_by="upper", sort="price").hits
    assert {hit.id for hit in ordered} == {hit.id for hit in best}


@once_built
@given(like=some_ids, weight=st.floats(0, 1), unlike=st.lists(st.integers(1, ROWS), max_size=1))
def test_the_parts_of_an_explanation_add_up(
    shop: Catalog, like: list, weight: float, unlike: list
) -> None:
    if set(like) & set(unlike):
        return
    for hit in shop.search(like=like, unlike=unlike, weight=weight, limit=9, explain=True).hits:
        explanation = hit.explanation
        assert explanation is not None
        assert explanation.looks == pytest.approx(weight * hit.similarity)
        total = explanation.looks + sum(part.part for part in explanation.attributes)
        assert total == pytest.approx(hit.score, abs=1e-6)
        assert all(0 <= part.hit <= 1 and 0 <= part.query <= 1 for part in explanation.attributes)


def test_without_a_picture_the_parts_are_factors(shop: Catalog) -> None:
    answer = shop.search(where="upper=red AND lower=blue", explain=True)
    for hit in answer.hits:
        assert hit.explanation is not None
        assert hit.explanation.looks is None
        assert [(part.name, part.query) for part in hit.explanation.attributes] == [
            ("upper=red", None),
            ("lower=blue", None),
        ]
        product = math.prod(part.part for part in hit.explanation.attributes)
        assert product == pytest.approx(hit.score)
    assert shop.search(where="price>1", explain=True).hits[0].explanation.attributes == ()
    assert shop.search(where="upper=red").hits[0].explanation is None


@once_built
@given(
    picked=st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=20),
    where=filters,
    limit=st.integers(1, 80),
)
def test_many_at_once_are_answered_as_one_by_one(
    *, shop: Catalog, root: Path, reference: Any, picked: list, where: list, limit: int
) -> None:
    files = [root / reference.names[row] for row in picked]
    answers = shop.search_each(files, where, limit)
    for file, together in zip(files, answers, strict=True):
        alone = shop.search(file, where, limit)
        assert (together.total, together.reason) == (alone.total, alone.reason)
        assert [hit.score for hit in together.hits] == pytest.approx(
            [hit.score for hit in alone.hits], abs=1e-5
        )
        assert {hit.id for hit in together.hits if hit.score > alone.hits[-1].score + 1e-5} <= {
            hit.id for hit in alone.hits
        }


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"like": 1, "sort": "prize"}, "unknown field 'prize'; nearest: price"),
        ({"like": 1, "sort": "upper"}, "unknown field 'upper'; it is an attribute"),
        ({"like": 1, "group_by": "brnd"}, "unknown attribute or field 'brnd'; nearest: brand"),
        ({"like": 1, "facets": ["uper"]}, "unknown attribute or field 'uper'; nearest: upper"),
        ({"like": 1, "group_by": "brand", "dedup": True}, "not both"),
        ({"where": "upper=red", "weight": 0.5}, "about a picture"),
        ({"where": "upper=red", "unlike": 3}, "about a picture"),
        ({"like": 1, "crop": (0, 0, 1, 1)}, "not of one in the index"),
        ({"like": 1, "weight": 1.5}, "from 0 to 1"),
        ({"like": 1, "weight": math.nan}, "from 0 to 1"),
        ({"like": 1, "min_score": math.nan}, "must be a number"),
        ({"like": 1, "facets": [], "facets_at_least": 1.2}, "is 1.2, but must be from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(shop: Catalog, asked: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        shop.search(**asked)


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ((0, 0, 33, 10), "33,10 is not inside the picture, which is 32 x 24"),
        ((0.5, 0, 0.6, 1), "not inside"),
        ((0, 0, 0, 5), "empty"),
        ((-1, 0, 5, 5), "none below 0"),
        ((0, 0, math.inf, 5), "four numbers"),
    ],
)
def test_a_crop_lies_in_the_picture(shop: Catalog, root: Path, crop: tuple, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        shop.search(root / "red" / "red_blue.png", crop=crop)


@pytest.mark.parametrize("crop", [(0, 12, 32, 12), (0, 0.5, 1, 0.5), (3, 14, 2, 1)])
def test_a_crop_is_searched_for_alone(shop: Catalog, root: Path, crop: tuple) -> None:
    answer = shop.search(root / "red" / "red_blue.png", crop=crop, limit=1)
    assert answer.hits[0].name == "blue/blue_blue.png"


def test_an_index_of_what_is_searched_with_alone(
    tmp_path: Path, paint: Callable[..., Path], color_embedder: Any
) -> None:
    paint(tmp_path / "one" / "a.png", "red", "red", size=(1, 1))
    build(tmp_path / "one", tmp_path / "index", color_embedder)
    catalog = Catalog(Index.open(tmp_path / "index"), embedder=color_embedder)
    for asked in ({}, {"weight": 0.5}, {"dedup": True}, {"group_by": "upper"}, {"explain": True}):
        answer = catalog.search(like=1, facets=(), **asked)
        assert (answer.hits, answer.total) == ((), 0)
        assert answer.reason == "nothing but what was searched with passes the filter"
        assert [facet.images for facet in answer.facets] == [0, 0]
    assert catalog.search(tmp_path / "one" / "a.png", weight=0.5).hits[0].id == 1
