"""Searching as a user of the library does it, checked against brute force."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from finetag_model.errors import CatalogueError, ImageError, UsageError
from indexer import Index, build
from indexer.importing import import_fields
from retrieval import Attr, Catalog, Field
from retrieval.cli import main
from tests.image_files import ADOBE_RGB, rgb_profile, tagged

COLORS = ("red", "green", "blue", "grey", "white")
NAMES = [f"{half}={color}" for half in ("upper", "lower") for color in COLORS]

once_built = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
filters = st.lists(st.sampled_from(NAMES), max_size=3)
limits = st.integers(1, 80)
SLOW = {"torch", "onnxruntime", "faiss", "PIL", "sqlalchemy", "pyarrow", "scipy", "jinja2"}
halves = st.tuples(*[st.tuples(*[st.integers(0, 255)] * 3)] * 2)


def passing(reference: Any, where: list[str]) -> np.ndarray:
    positions = [NAMES.index(name) for name in where]
    return np.flatnonzero((reference.scores[:, positions] >= 128).all(axis=1))


@once_built
@given(where=filters, limit=limits, colors=halves)
def test_lookalikes_are_those_of_brute_force(
    *, catalog: Catalog, reference: Any, color_embedder: Any, where: list, limit: int, colors: tuple
) -> None:
    pixels = np.repeat(np.array(colors, dtype=np.uint8), 4, axis=0)[:, None].repeat(8, axis=1)
    query = color_embedder.embed(pixels[None]).visual[0]
    rows = passing(reference, where)
    cosines = dict(zip(rows, reference.visual[rows] @ query, strict=True))

    answer = catalog.search(Image.fromarray(pixels), where, limit)

    assert answer.total == len(rows)
    assert answer.exact
    assert [hit.rank for hit in answer.hits] == list(range(1, min(limit, len(rows)) + 1))
    found = [reference.names.index(hit.name) for hit in answer.hits]
    assert len(set(found)) == len(found)
    assert set(found) <= set(rows)
    similarities = [hit.similarity for hit in answer.hits]
    assert similarities == pytest.approx([cosines[row] for row in found], abs=1e-5)
    best = sorted(cosines.values(), reverse=True)[:limit]
    assert similarities == pytest.approx(best, abs=1e-5)


@once_built
@given(where=filters.filter(bool), limit=limits)
def test_without_an_image_the_most_probable_come_first(
    catalog: Catalog, reference: Any, where: list, limit: int
) -> None:
    wanted = list(dict.fromkeys(where))
    rows = passing(reference, wanted)
    scores = reference.scores[:, [NAMES.index(name) for name in wanted]] / 255
    order = sorted(rows, key=lambda row: (-np.log(scores[row]).sum().round(9), row))

    answer = catalog.search(where=where, limit=limit)

    assert [hit.name for hit in answer.hits] == [reference.names[row] for row in order[:limit]]
    assert answer.total == len(rows)
    assert answer.where == tuple(wanted)
    for hit, row in zip(answer.hits, order, strict=False):
        assert hit.similarity is None
        assert hit.attributes == pytest.approx(dict(zip(wanted, scores[row], strict=True)))


def test_a_hit_says_which_image_it_is(catalog: Catalog, root: Path) -> None:
    (hit,) = catalog.search(root / "red" / "red_blue.png", limit=1).hits
    assert hit.name == "red/red_blue.png"
    assert hit.path == root / "red" / "red_blue.png"
    assert (hit.width, hit.height) == (32, 24)
    assert hit.similarity == pytest.approx(1.0, abs=1e-6)
    assert hit.attributes == {}


def test_all_conditions_must_hold(catalog: Catalog) -> None:
    both = catalog.search(where=["upper=red", "lower=blue"], limit=99).hits
    upper = catalog.search(where="upper=red", limit=99).hits
    lower = catalog.search(where="lower=blue", limit=99).hits
    names = [{hit.name for hit in hits} for hits in (both, upper, lower)]
    assert names[0] == names[1] & names[2]
    assert "red/red_blue.png" in names[0]
    assert names[1] - names[2]


def test_the_answer_says_how_it_was_found(catalog: Catalog, root: Path) -> None:
    answer = catalog.search(root / "red" / "red_red.png", "upper=red", limit=2)
    assert answer.plan == f"exact over {answer.total} of 65 images"
    assert answer.generation == 1
    assert answer.reason is None
    assert set(answer.milliseconds) == {"decode", "embed", "filter", "search"}
    assert all(time >= 0 for time in answer.milliseconds.values())
    assert catalog.search(root / "red" / "red_red.png").plan == "exact over all 65 images"


@pytest.mark.parametrize(
    ("limit", "shown"), [(1, 1), (64, 64), (65, 65), (66, 65), (1_000_000_000_000, 65)]
)
def test_a_limit_above_the_matches_gives_all(
    catalog: Catalog, root: Path, limit: int, shown: int
) -> None:
    answer = catalog.search(root / "red" / "red_red.png", limit=limit)
    assert (len(answer.hits), answer.total) == (shown, 65)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(catalog: Catalog, limit: int) -> None:
    with pytest.raises(UsageError, match=f"limit is {limit}"):
        catalog.search(where="upper=red", limit=limit)


def test_nothing_asked_for_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match="give an image, a filter, or both"):
        catalog.search()


def test_every_form_of_the_query_gives_the_same(catalog: Catalog, root: Path) -> None:
    path = root / "mixed_03.png"
    with Image.open(path) as image:
        forms = [path, str(path), path.read_bytes(), image, image.convert("RGBA")]
        answers = [catalog.search(form, limit=9).hits for form in forms]
    assert all(hits == answers[0] for hits in answers)


def test_a_pillow_image_keeps_its_meaning(catalog: Catalog, paint: Any, tmp_path: Path) -> None:
    clear = Image.new("RGBA", (9, 9), (200, 30, 30, 0))
    white = paint(tmp_path / "white.png", "white", "white")
    assert catalog.search(clear, limit=1).hits[0].name == "white/white_white.png"
    assert catalog.search(white, limit=1).hits[0].name == "white/white_white.png"
    deep = Image.fromarray(np.full((9, 9), 128 * 257, dtype=np.uint16))
    assert catalog.search(deep, limit=1).hits[0].name == "grey/grey_grey.png"
    inked = Image.new("RGB", (9, 9), (128, 128, 128)).convert("CMYK")
    assert catalog.search(inked, limit=1).hits[0].name == "grey/grey_grey.png"
    bands = [Image.new("L", (9, 9), value) for value in (137, 128, 128)]  # L is 0 to 255
    assert catalog.search(Image.merge("LAB", bands), limit=1).hits[0].name == "grey/grey_grey.png"
    measured = Image.fromarray(np.full((9, 9), 0.5, dtype=np.float32))
    assert catalog.search(measured, limit=1).hits[0].name == "grey/grey_grey.png"


def test_a_pillow_image_keeps_its_profile(catalog: Catalog, root: Path, tmp_path: Path) -> None:
    stored = tmp_path / "adobe.png"
    with Image.open(root / "red" / "red_blue.png") as image:
        wide = tagged(image.convert("RGB"), ADOBE_RGB, 2.2)
    wide.save(stored, icc_profile=rgb_profile(ADOBE_RGB, 2.2))
    with Image.open(stored) as image:
        hits = catalog.search(image, limit=9).hits
    assert hits == catalog.search(stored, limit=9).hits
    assert hits[0].name == "red/red_blue.png"


@pytest.mark.parametrize("as_pillow", [False, True])
def test_a_rotated_photograph_is_searched_upright(
    catalog: Catalog, root: Path, tmp_path: Path, as_pillow: bool
) -> None:
    upright = root / "red" / "red_blue.png"
    turned = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by a quarter
    with Image.open(upright) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    with Image.open(turned) as image:
        hits = catalog.search(image if as_pillow else turned, limit=9).hits
    assert hits == catalog.search(upright, limit=9).hits


def test_an_image_that_cannot_be_read(catalog: Catalog, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no photograph")
    with pytest.raises(ImageError, match="does not exist"):
        catalog.search(tmp_path / "missing.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        catalog.search(tmp_path)
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        catalog.search(broken)
    with pytest.raises(ImageError):
        catalog.search(b"")


def test_a_pillow_image_of_a_truncated_file(catalog: Catalog) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    with Image.open(io.BytesIO(buffer.getvalue()[:2000])) as image, pytest.raises(ImageError):
        catalog.search(image)


def test_another_model_is_refused_before_it_embeds(
    index_dir: Path, root: Path, color_embedder: Any
) -> None:
    other = type(color_embedder)(digest="d1" * 32)
    catalog = Catalog(Index.open(index_dir), embedder=other)
    with pytest.raises(CatalogueError, match=r"c0c0c0.*d1d1d1.*--model.*--reembed"):
        catalog.search(root / "red" / "red_red.png")
    assert other.embedded == 0
    assert catalog.search(where="upper=red").hits  # needs no model


def test_the_model_is_loaded_once_and_only_for_an_image(
    index_dir: Path, root: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(
        "retrieval.catalog.load_embedder", lambda *args: calls.append(args) or color_embedder
    )
    catalog = Catalog.open(index_dir, model=Path("mine.safetensors"), runtime="onnx")
    catalog.search(where="upper=red")
    assert calls == []
    first = catalog.search(root / "red" / "red_red.png")
    second = catalog.search(root / "red" / "red_red.png")
    assert calls == [(Path("mine.safetensors"), "onnx")]
    assert "load" in first.milliseconds
    assert "load" not in second.milliseconds
    assert first.hits == second.hits


def test_without_a_folder_the_nearest_index_upwards_is_opened(
    index_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FINETAG_INDEX", raising=False)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    shutil.copytree(index_dir, tmp_path / ".finetag")
    monkeypatch.chdir(tmp_path / "deep" / "er")
    assert Catalog.open().search(where="upper=red").hits


def test_a_missing_index_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="finetag-index build"):
        Catalog.open(tmp_path / "none")


def test_an_empty_answer_names_the_attribute_that_no_image_has(
    tmp_path: Path, paint: Callable[..., Path], color_embedder: Any
) -> None:
    for upper, lower in [("red", "blue"), ("green", "grey"), ("green", "blue")]:
        paint(tmp_path / "three" / f"{upper}_{lower}.png", upper, lower)
    build(tmp_path / "three", tmp_path / "index", color_embedder)
    catalog = Catalog(Index.open(tmp_path / "index"), embedder=color_embedder)

    alone = catalog.search(where=["upper=white", "lower=blue"])
    assert (alone.hits, alone.total) == ((), 0)
    assert alone.reason == "no image has upper=white"
    never_meet = catalog.search(tmp_path / "three" / "red_blue.png", ["upper=red", "lower=grey"])
    assert (never_meet.hits, never_meet.total) == ((), 0)
    assert never_meet.reason == (
        "upper=red (1 image) and lower=grey (1 image) are found, but never in one image"
    )


def test_attributes_are_counted_as_the_filter_counts(catalog: Catalog) -> None:
    groups = catalog.attributes()
    assert [group for group, _ in groups] == ["upper", "lower"]
    for group, values in groups:
        assert [value for value, _ in values] == list(COLORS)
        for value, count in values:
            assert count == catalog.search(where=f"{group}={value}").total


def test_a_search_by_attribute_imports_no_network_and_no_vectors(index_dir: Path) -> None:
    code = (
        "import sys; from retrieval import Catalog;"
        f"catalog = Catalog.open({str(index_dir)!r});"
        "assert catalog.search(where='upper=red', facets=(), group_by='lower', explain=True).hits;"
        "assert catalog.search(where='upper=red AND upper=blue').reason;"
        f"print(*{SLOW} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.fixture
def shop(tmp_path: Path, paint: Callable[..., Path], color_embedder: Any) -> Catalog:
    """Hold four images, three of which have a price or a brand."""
    for upper, lower in [("red", "blue"), ("green", "grey"), ("green", "blue"), ("red", "red")]:
        paint(tmp_path / "four" / f"{upper}_{lower}.png", upper, lower)
    build(tmp_path / "four", tmp_path / "index", color_embedder)
    (tmp_path / "prices.csv").write_text(
        "path,price,brand,article no\n"
        "red_blue.png,12.50,Lynx,007\ngreen_blue.png,60,lynx & co,12\nred_red.png,,Ibis,\n"
    )
    import_fields(tmp_path / "prices.csv", tmp_path / "index")
    return Catalog(Index.open(tmp_path / "index"), embedder=color_embedder)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("price<50", ["red_blue.png"]),
        ("NOT price<50", ["green_blue.png", "green_grey.png", "red_red.png"]),
        ("brand~lynx* AND upper=red", ["red_blue.png"]),
        ("'article no'=007 OR Article No = 12", ["green_blue.png", "red_blue.png"]),
        (["price>5", "lower=blue"], ["green_blue.png", "red_blue.png"]),
        ((Field("price") > 5) & ~(Attr("upper") == "green"), ["red_blue.png"]),
        (
            {"and": [{"field": "brand", "in": ["IBIS", "Lynx"]}, {"field": "price", ">": 1}]},
            ["red_blue.png"],
        ),
        ("upper=red>=0.9 AND lower=red", ["red_red.png"]),
    ],
)
def test_fields_and_attributes_filter_together(
    shop: Catalog, where: Any, names: list[str], tmp_path: Path
) -> None:
    answer = shop.search(where=where)
    assert sorted(hit.name for hit in answer.hits) == names
    assert shop.search(where=answer.filter).hits == answer.hits
    alike = shop.search(tmp_path / "four" / "red_red.png", where)
    assert sorted(hit.name for hit in alike.hits) == names
    assert alike.plan == f"exact over {len(names)} of 4 images"
    assert [hit.similarity for hit in alike.hits] == sorted(
        (hit.similarity for hit in alike.hits), reverse=True
    )


def test_without_attributes_hits_keep_the_order_of_the_catalogue(shop: Catalog) -> None:
    answer = shop.search(where="price>0")
    assert [hit.name for hit in answer.hits] == ["green_blue.png", "red_blue.png"]
    assert answer.where == ()
    assert answer.filter == "price>0"
    assert all(hit.attributes == {} for hit in answer.hits)


def test_of_either_the_more_probable_counts(catalog: Catalog) -> None:
    hits = catalog.search(where="upper=red,blue AND lower=red", limit=99).hits
    joint = [
        max(hit.attributes["upper=red"], hit.attributes["upper=blue"]) * hit.attributes["lower=red"]
        for hit in hits
    ]
    assert len(hits) > 3
    assert joint == sorted(joint, reverse=True)


def test_an_empty_answer_names_the_conditions_that_never_meet(shop: Catalog) -> None:
    answer = shop.search(where="price<50 AND lower=grey AND upper!=white")
    assert answer.reason == (
        "price<50 (1 image) and lower=grey (1 image) are found, but never in one image"
    )


def test_no_image_is_more_alike_than_itself(catalog: Catalog) -> None:
    for id_, each in enumerate(catalog.index.images(range(catalog.index.rows)), start=1):
        assert each.id == id_
        (hit,) = catalog.search(each.absolute, limit=1).hits
        assert 0.999 < hit.score == hit.similarity <= 1


def test_the_table_shows_the_fields_that_are_asked_for(shop: Catalog, tmp_path: Path) -> None:
    def heading(*arguments: str) -> list[str]:
        result = CliRunner().invoke(main, ["--index", str(tmp_path / "index"), *arguments])
        return result.stdout.splitlines()[0].split()

    assert heading("--attr", "NOT price<5 AND (upper=red OR brand=ibis)", "--limit", "1") == [
        *("#", "image", "upper=red", "price", "brand", "id"),
    ]
    assert heading("--attr", "price>0 AND brand~*", "--sort", "brand")[2:4] == ["brand", "price"]
    assert "price" not in heading("--attr", "upper=red")
    assert shop.search(where="price>0").total == 2
