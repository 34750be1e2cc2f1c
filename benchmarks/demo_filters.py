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
    catalog = Catalog.open(index_dir)
    vocabulary = catalog.index.manifest.vocabulary
    folder = read_annotations(catalogue / "attributes.csv", vocabulary)
    names = [path.name for path in folder.paths]
    by_group: dict[str, Counter[str]] = {}
    for group, positions in vocabulary.groups.items():
        known = {
            name
            for name, labels in zip(names, folder.presence[:, positions], strict=True)
            if not np.isnan(labels).any()
        }
        counts = by_group.setdefault(group, Counter())
        for position in positions:
            having = set(np.array(names)[folder.presence[:, position] == 1])
            answer = catalog.search(where=vocabulary.names[position], limit=catalog.index.rows)
            found = {hit.name for hit in answer.hits} & known
            counts.update(right=len(found & having), found=len(found), having=len(having))
    table = Table(title=f"Filters over {len(names)} images of {catalogue}", title_justify="left")
    for heading in ("group", "precision", "recall", "annotated"):
        table.add_column(heading, justify="left" if heading == "group" else "right")
    colors = Counter[str]()
    for group, counts in by_group.items():
        if counts["having"]:
            table.add_row(group, *_row(counts))
        if group.endswith("_color"):
            colors += counts
    table.add_section()
    table.add_row("all colours", *_row(colors))
    Console().print(table)


def _row(counts: Counter[str]) -> tuple[str, str, str]:
    precision = counts["right"] / max(counts["found"], 1)
    recall = counts["right"] / max(counts["having"], 1)
    return f"{precision:.3f}", f"{recall:.3f}", str(counts["having"])


if __name__ == "__main__":
    main()
