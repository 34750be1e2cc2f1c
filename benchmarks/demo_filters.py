"""How right `--attr` filters are: search an annotated catalogue by every attribute it names.

    python benchmarks/demo_filters.py demo/catalog --index demo/.finetag

Each attribute is searched for through `retrieval.Catalog`, as `finetag-search --attr` does, and
the images found are compared with the annotations. Precision and recall are counted over all
found and all annotated pairs of a group (micro average); the last line is all colour groups.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from finetag_model.annotations import read_annotations
from retrieval import Catalog


@click.command()
@click.argument("catalogue", type=click.Path(path_type=Path))
@click.option("--index", "index_dir", type=click.Path(path_type=Path), required=True)
def main(catalogue: Path, index_dir: Path) -> None:
    """Measure precision and recall of attribute filters over CATALOGUE/attributes.csv."""
    by_group = count(catalogue, Catalog.open(index_dir))
    table = Table(title=f"Filters over {catalogue}", title_justify="left")
    for heading in ("group", "precision", "recall", "annotated"):
        table.add_column(heading, justify="left" if heading == "group" else "right")
    for group, counts in by_group.items():
        table.add_row(group, *(f"{x:.3f}" for x in precision_recall(counts)), str(counts["having"]))
    table.add_section()
    colors = all_colors(by_group)
    table.add_row(
        "all colours", *(f"{x:.3f}" for x in precision_recall(colors)), str(colors["having"])
    )
    Console().print(table)


def count(catalogue: Path, catalog: Catalog) -> dict[str, Counter[str]]:
    """Count by group the pairs of image and value: `found`, `having` by annotation, `right`."""
    vocabulary = catalog.index.manifest.vocabulary
    folder = read_annotations(catalogue / "attributes.csv", vocabulary)
    names = np.array([path.name for path in folder.paths])
    by_group: dict[str, Counter[str]] = {}
    for group, positions in vocabulary.groups.items():
        labels = folder.presence[:, positions]
        known = set(names[~np.isnan(labels).any(axis=1)])
        if not known:
            continue
        counts = by_group[group] = Counter()
        for position in positions:
            having = set(names[folder.presence[:, position] == 1])
            answer = catalog.search(where=vocabulary.names[position], limit=catalog.index.rows)
            found = {hit.name for hit in answer.hits} & known
            counts.update(right=len(found & having), found=len(found), having=len(having))
    return by_group


def all_colors(by_group: dict[str, Counter[str]]) -> Counter[str]:
    """Add up the colour groups."""
    colors = (counts for group, counts in by_group.items() if group.endswith("color"))
    return sum(colors, Counter[str]())


def precision_recall(counts: Counter[str]) -> tuple[float, float]:
    """Return both as shares; 0 where nothing was found or annotated."""
    return counts["right"] / max(counts["found"], 1), counts["right"] / max(counts["having"], 1)


if __name__ == "__main__":
    main()
