"""The tables and the plot of benchmarks/search.py, of the JSON lines that it wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from search_data import KINDS, K
from search_worker import TARGET
from tables import figures_table

Line = dict[str, Any]
_SAME = ("source", "rows", "dim", "tags", "queries", "seed", "cores", "processor")


def read(path: Path) -> list[Line]:
    """Read the last run of a file, and those before it that had the same rows and queries.

    Of what was measured several times, the last counts.
    """
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    last = next(line for line in reversed(lines) if line["type"] == "run")
    kept: dict[tuple[object, ...], Line] = {}
    is_same = False
    for line in lines:
        if line["type"] == "run":
            is_same = all(line[name] == last[name] for name in _SAME)
        if is_same:
            what = "engine" if line["type"] == "missing" else line["type"]
            key = (what, line.get("engine"), line.get("kind"), line.get("rate"))
            kept[key] = line
    return list(kept.values())


def tables(lines: Sequence[Line]) -> list[Table]:
    """Return a table a kind of filter, and one of what each engine takes to build and serve."""
    run = next(line for line in lines if line["type"] == "run")
    cells = [line for line in lines if line["type"] == "cell"]
    kinds = [kind for kind in KINDS if any(cell["kind"] == kind for cell in cells)]
    return [*(_of_kind(kind, cells, run) for kind in kinds), _of_engines(lines, run)]


def _of_kind(kind: str, cells: Sequence[Line], run: Line) -> Table:
    """Return queries a second, and p50 / p99 in milliseconds below them."""
    of_kind = [cell for cell in cells if cell["kind"] == kind]
    columns = sorted({(cell["rate"], cell["passing"]) for cell in of_kind})
    table = figures_table(
        f"{kind}: queries a second at recall@{K} >= {TARGET}, p50 / p99 in ms",
        ["", *(f"{100 * rate:g}%" for rate, _ in columns)],
    )
    by = {(cell["engine"], cell["rate"]): cell for cell in of_kind}
    names = list(dict.fromkeys(cell["engine"] for cell in of_kind))
    for name in names:
        table.add_row(name, *(_cell(by.get((name, rate))) for rate, _ in columns))
    table.add_section()
    ratios, floors, over = [], [], []
    for rate, passing in columns:
        finetag = by.get(("finetag", rate))
        others = [cell for cell in of_kind if cell["engine"] != "finetag" and cell["rate"] == rate]
        best = max((cell for cell in others if _is_good(cell)), key=_qps, default=None)
        both = finetag and best and _is_good(finetag)
        ratios.append(f"{_qps(finetag) / _qps(best):.2f} ({best['engine']})" if both else "")
        floor = 1000 * 4 * run["dim"] * passing / run["bytes_per_second"]
        floors.append(f"{floor:,.3f}")
        over.append(f"{finetag['p50_ms'] / floor:,.1f}" if finetag and _is_good(finetag) else "")
    table.add_row("finetag / best other", *ratios)
    table.add_row("floor of an exact plan, ms", *floors)
    table.add_row("finetag's p50 / floor", *over)
    table.caption = (
        "\\[recall] stands where no effort reached it; the floor is the bytes of the passing "
        f"vectors at {run['bytes_per_second'] / 1e9:.1f} GB/s"
    )
    return table


def _cell(cell: Line | None) -> str:
    if cell is None:
        return ""
    if "error" in cell:
        return "error"
    text = f"{cell['qps']:,.0f}" if cell["qps"] >= 10 else f"{cell['qps']:.1f}"
    if not _is_good(cell):
        text += f" \\[{cell['recall']:.2f}]"
    if cell["short"]:
        text += f"\n{cell['short'] / cell['queries']:.0%} short"
    if cell["wrong"]:
        text += f"\n{cell['wrong']} wrong"
    return f"{text}\n{cell['p50_ms']:,.2f} / {cell['p99_ms']:,.2f}"


def _is_good(cell: Line) -> bool:
    return cell.get("recall", 0.0) >= TARGET


def _qps(cell: Line) -> float:
    return float(cell["qps"])


def _of_engines(lines: Sequence[Line], run: Line) -> Table:
    table = figures_table(
        f"{run['rows']:,} rows of {run['dim']} floats grown from {run['source']}, {run['tags']} "
        f"tags, {run['queries']} queries a filter, {run['cores']} cores of {run['processor']}, "
        f"load {run['load']:.1f}",
        ["", "version", "build, s", "disk, MiB", "memory, MiB", "of it mapped", "how"],
    )
    table.columns[-1].justify = "left"
    for line in lines:
        if line["type"] == "engine":
            sizes = (line["disk_bytes"], line["memory_bytes"], line["mapped_bytes"])
            table.add_row(
                line["engine"],
                line["version"],
                f"{line['build_seconds']:,.0f}",
                *(f"{each / 2**20:,.0f}" for each in sizes),
                line["how"],
            )
        elif line["type"] == "missing":
            table.add_row(line["engine"], *5 * [""], f"not measured: {line['reason']}")
        elif "error" in line:
            where = f"{line['kind']}, {100 * line['rate']:g}%"
            table.add_row(line["engine"], *5 * [""], f"{where}: {line['error']}")
    return table


def plot(lines: Sequence[Line], path: Path) -> None:
    """Draw queries a second against the pass rate, a panel a kind of filter."""
    from matplotlib.figure import Figure  # noqa: PLC0415  (an extra)

    run = next(line for line in lines if line["type"] == "run")
    cells = [line for line in lines if line["type"] == "cell" and "error" not in line]
    kinds = [kind for kind in KINDS if any(cell["kind"] == kind for cell in cells)]
    names = list(dict.fromkeys(cell["engine"] for cell in cells))
    across = min(len(kinds), 3)
    down = -(-len(kinds) // 3)
    figure = Figure(figsize=(4 * across + 1.6, 3.4 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    for panel, kind in zip(panels, kinds, strict=False):
        of_kind = [cell for cell in cells if cell["kind"] == kind]
        for number, name in enumerate(names):
            mine = sorted((c for c in of_kind if c["engine"] == name), key=lambda c: c["rate"])
            x = [100 * cell["rate"] for cell in mine]
            color = f"C{number % 10}" if name != "finetag" else "black"
            style = "-" if number < 10 else "--"
            panel.plot(x, [cell["qps"] for cell in mine], style, color=color, label=name)
            for cell in mine:
                filled = color if _is_good(cell) else "white"
                at = (100 * cell["rate"], cell["qps"])
                panel.plot(*at, "o", color=color, markerfacecolor=filled, markersize=5)
        floor = sorted({(c["rate"], c["passing"]) for c in of_kind})
        most = [run["bytes_per_second"] / (4 * run["dim"] * passing) for _, passing in floor]
        panel.plot(
            [100 * rate for rate, _ in floor], most, ":", color="grey", label="memory, exact"
        )
        panel.set(xscale="log", yscale="log", title=kind, xlabel="rows that pass, %")
        panel.set_ylim(top=3 * max(cell["qps"] for cell in cells))
        panel.grid(alpha=0.3)
    for panel in panels[len(kinds) :]:
        panel.remove()
    panels[0].set_ylabel("queries a second (hollow: recall < 0.95)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    figure.savefig(path, dpi=110)
