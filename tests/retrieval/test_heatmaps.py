"""Heat maps of a search, with the shipped model on drawn birds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image, ImageChops

from finetag_model.drawn import write_catalogue
from finetag_model.embedder import load_embedder
from finetag_model.images import load_rgb
from indexer import build
from retrieval.cli import main


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three drawn birds in `catalog` and their index in `index`."""
    folder = tmp_path_factory.mktemp("birds")
    write_catalogue(folder / "catalog", count=3, seed=3)
    build(folder / "catalog", folder / "index", load_embedder())
    return folder


def search(birds: Path, *arguments: object) -> Result:
    index = ["--index", str(birds / "index")]
    return CliRunner().invoke(main, [*map(str, arguments), *index])


def test_a_map_of_the_query_and_of_each_hit(birds: Path, tmp_path: Path) -> None:
    query, folder = birds / "catalog" / "bird-0001.jpg", tmp_path / "new" / "maps"
    result = search(birds, query, "--limit", 2, "--json", "--heatmap", folder)
    assert result.stderr == f"wrote 3 heat maps to {folder}\n"
    hits = json.loads(result.stdout)["hits"]
    names = [hit["explanation"]["attributes"][0]["name"].replace("=", "-") for hit in hits]
    ids = [hit["id"] for hit in hits]
    files = sorted(path.name for path in folder.iterdir())
    assert files[:2] == [f"01-{ids[0]}-{names[0]}.png", f"02-{ids[1]}-{names[1]}.png"]
    assert files[2].startswith("query-")
    with Image.open(query) as picture, Image.open(folder / files[0]) as heat:
        assert heat.format == "PNG"
        assert heat.size == picture.size
        assert ImageChops.difference(heat, picture.convert("RGB")).getbbox()


def test_a_crop_is_of_the_query_alone(birds: Path, tmp_path: Path) -> None:
    query = birds / "catalog" / "bird-0002.jpg"
    crop = ("--crop", "0,0,100,50", "--limit", 1, "--paths", "--heatmap", tmp_path)
    assert search(birds, query, query, *crop).exit_code == 0
    sizes = {path.name[:7]: load_rgb(path).size for path in tmp_path.iterdir()}
    assert sizes["query-1"] == sizes["query-2"] == (100, 50)
    assert len(sizes) == 3


def test_attributes_alone_and_ids_have_maps_of_the_hits(birds: Path, tmp_path: Path) -> None:
    result = search(birds, "--like", 1, "--heatmap", tmp_path / "like")
    assert "wrote 2 heat maps" in result.stderr
    assert "why" in result.stdout
    where = "size=small OR NOT size=small"
    result = search(birds, "--attr", where, "--heatmap", tmp_path / "attributes")
    assert "wrote 3 heat maps" in result.stderr
    assert all("size-small" in path.name for path in (tmp_path / "attributes").iterdir())


def test_nothing_found_and_nothing_to_show_write_nothing(birds: Path, tmp_path: Path) -> None:
    for where in ("size=small AND size!=small", "NOT size=small OR NOT size=large"):
        result = search(birds, "--attr", where, "--heatmap", tmp_path / "maps")
        assert result.exit_code == 0
        assert result.stderr == f"wrote 0 heat maps to {tmp_path / 'maps'}\n"
    assert not (tmp_path / "maps").exists()


def test_pictures_that_are_gone_are_counted(birds: Path, tmp_path: Path) -> None:
    hidden = birds / "catalog" / "bird-0003.jpg"
    hidden.rename(tmp_path / "elsewhere.jpg")
    try:
        result = search(birds, "--like", 1, "--heatmap", tmp_path / "maps")
    finally:
        (tmp_path / "elsewhere.jpg").rename(hidden)
    assert result.stderr == (
        f"wrote 1 heat map to {tmp_path / 'maps'}; 1 picture could not be read\n"
    )


def test_a_folder_that_cannot_be_written(birds: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    result = search(birds, "--like", 1, "--heatmap", tmp_path / "file")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "name another folder with --heatmap" in result.stderr
