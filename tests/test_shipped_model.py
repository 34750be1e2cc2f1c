"""What README and model card promise of the checkpoint in the repository."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.demo_filters import all_colors, count, precision_recall
from finetag_model import load_embedder
from finetag_model.checkpoint import SHIPPED, read_checkpoint
from finetag_model.cli_eval import main as evaluate
from finetag_model.drawn import write_catalogue
from finetag_model.embedder import open_network
from finetag_model.explain import Explainer
from finetag_model.images import load_rgb
from indexer import build
from retrieval import Catalog

CUB = Path(__file__).parents[2] / "shared" / "data" / "cub127"


def test_it_is_small_enough_to_ship() -> None:
    assert SHIPPED.stat().st_size < 20_000_000


def test_it_knows_the_attributes_of_cub() -> None:
    vocabulary = load_embedder().model.vocabulary
    assert len(vocabulary) == 312
    assert len(vocabulary.groups) == 28
    assert vocabulary.names[vocabulary.position("underparts_color=grey")] == "underparts_color=grey"


def test_colour_filters_on_the_demo_catalogue_are_as_right_as_readme_says(tmp_path: Path) -> None:
    write_catalogue(tmp_path / "catalog", count=100, seed=0)
    build(tmp_path / "catalog", tmp_path / "index", load_embedder())
    counts = all_colors(count(tmp_path / "catalog", Catalog.open(tmp_path / "index")))
    precision, recall = precision_recall(counts)
    assert precision == pytest.approx(0.96, abs=0.02)
    assert recall == pytest.approx(0.97, abs=0.02)


def test_both_runtimes_paint_the_same_heat(tmp_path: Path) -> None:
    write_catalogue(tmp_path, count=3, seed=5)
    checkpoint = read_checkpoint()
    onnx, on_torch = (
        Explainer(checkpoint, open_network(checkpoint, runtime)) for runtime in ("onnx", "torch")
    )
    for path in sorted(tmp_path.glob("*.jpg")):
        picture, names = load_rgb(path), checkpoint.vocabulary.names
        maps = zip(onnx.explain(picture, names), on_torch.explain(picture, names), strict=True)
        for heat, expected in maps:
            assert heat.probability == pytest.approx(expected.probability, abs=1e-4)
            np.testing.assert_allclose(heat.evidence, expected.evidence, rtol=0, atol=1e-4)


@pytest.mark.skipif(not CUB.is_dir(), reason="the photographs are not beside the repository")
def test_it_ranks_the_attributes_of_real_photographs() -> None:
    ids = str(CUB / "fully_labelled.txt")
    result = CliRunner().invoke(evaluate, ["--data", str(CUB), "--validation", ids, "--json"])
    metrics = json.loads(result.stdout)
    assert metrics["images"] == 373
    assert metrics["all"]["w_map"] == pytest.approx(0.599, abs=0.002)
    assert metrics["all"]["avgprec"] == pytest.approx(0.641, abs=0.002)
