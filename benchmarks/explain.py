"""Do heat maps lie on the part they speak of? Measured on drawn birds, whose parts are known.

    python benchmarks/explain.py --seed 102 --count 60

For each coloured part, the map of its true colour is laid over the picture. The figure is the
share of the supporting evidence on the part over the part's share of the picture: 1 is what a
map without a clue would have. Beside it, what the maps of the other parts have there: more than 1
where a part lies in the middle of birds. All figures are medians over the birds that show the part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.ndimage import maximum_filter

from finetag_model.checkpoint import read_checkpoint
from finetag_model.console import model_option
from finetag_model.drawn import draw_layers, sample_bird
from finetag_model.drawn.bird import COLOURED_PARTS
from finetag_model.drawn.catalogue import MOST
from finetag_model.explain import Explainer

MARGIN = 9  # pixels by which parts are widened; one location stands for about 60 of the 480
SMALLEST = 1e-3  # share of the picture below which a widened part counts as hidden


@click.command()
@click.option("--seed", default=102, show_default=True, help="Of the catalogue, as when drawing.")
@click.option("--count", default=60, show_default=True, help="How many birds.")
@model_option
def main(seed: int, count: int, model: Path | None) -> None:
    """Print how much more of a part's evidence lies on it than its area would get."""
    seeds = range(seed * (MOST + 1) + 1, seed * (MOST + 1) + 1 + count)
    own, other = localisation(Explainer(read_checkpoint(model)), seeds, COLOURED_PARTS)
    table = Table(title=f"{count} drawn birds of seed {seed}", title_justify="left")
    for heading in ("part", "its own map", "maps of other parts", "birds"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part in COLOURED_PARTS:
        figures = (f"{np.median(ratios[part]):.2f}" for ratios in (own, other))
        table.add_row(part, *figures, str(len(own[part])))
    Console().print(table)


def localisation(
    explainer: Explainer, seeds: Iterable[int], parts: Sequence[str]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return share of evidence over share of area, by part: of its own maps, and of the others'."""
    own: defaultdict[str, list[float]] = defaultdict(list)
    other: defaultdict[str, list[float]] = defaultdict(list)
    for seed in seeds:
        bird = sample_bird(seed)
        drawing = draw_layers(bird)
        names = [f"{part}_color={bird.coats[part].base}" for part in parts]
        heats = explainer.explain(drawing.image, names)
        support = [heat.support(drawing.image.size) for heat in heats]
        for i, part in enumerate(parts):
            if part not in drawing.parts:
                continue
            mask = maximum_filter(drawing.parts[part], size=2 * MARGIN + 1)
            if mask.mean() < SMALLEST:
                continue
            own[part].append(concentration(support[i], mask))
            other[part] += [concentration(s, mask) for j, s in enumerate(support) if j != i]
    return own, other


def concentration(support: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Return the share of evidence on a mask over its share of area; 0 without evidence."""
    total = float(support.sum(dtype=np.float64))
    return float(support[mask].sum(dtype=np.float64)) / total / float(mask.mean()) if total else 0.0


if __name__ == "__main__":
    main()
