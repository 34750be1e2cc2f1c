"""Diagrams as pictures: reliability, and the course of a training.

Needs the extra `plots`, which is matplotlib.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from finetag_model.errors import FineTagError
from finetag_model.files import replacing
from finetag_model.reliability import Reliability
from finetag_model.run_folder import Epoch

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError:
    raise FineTagError(
        "diagrams are drawn with matplotlib, which is not installed; "
        "install FineTag with its extra: pip install '.[plots]'"
    ) from None

DOTS_PER_INCH = 120


def draw_reliability(diagrams: Mapping[str, Reliability], title: str, path: Path) -> None:
    """Write a PNG of observed over predicted frequency, and below it the counts of the bins.

    Args:
        diagrams: by label, to be told apart in one picture.
        title: above it.
        path: the file to write.

    Raises:
        FineTagError: the file cannot be written.
    """
    # A Figure of its own, not pyplot's: no window system is asked for, nothing stays open.
    figure = Figure(figsize=(5.5, 6.5), dpi=DOTS_PER_INCH, layout="constrained")
    curves, counts = figure.subplots(2, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    curves.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="perfect")
    for (label, diagram), marker in zip(diagrams.items(), "so", strict=False):
        curves.plot(
            diagram.predicted,
            diagram.observed,
            marker=marker,
            markersize=5,
            label=f"{label}, ECE {diagram.ece:.3f}",
        )
        counts.plot(diagram.predicted, diagram.counts, marker=marker, markersize=3, linewidth=1)
    curves.set(title=title, xlim=(0, 1), ylim=(0, 1), ylabel="share present")
    curves.legend(loc="upper left", frameon=False)
    counts.set(xlabel="predicted probability", ylabel="labels", yscale="log")
    _save(figure, (curves, counts), path)


def draw_curves(history: Sequence[Epoch], path: Path) -> None:
    """Write a PNG of a training's losses over its epochs, a dashed line between its stages.

    Raises:
        FineTagError: the file cannot be written.
    """
    figure = Figure(figsize=(6.5, 4), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    numbers = range(1, len(history) + 1)
    for name, label in (("loss", "trained on"), ("held_out_loss", "held out")):
        losses = [getattr(epoch, name) for epoch in history]
        axes.plot(numbers, losses, marker=".", label=label)
    for number, (before, after) in enumerate(pairwise(history), start=1):
        if before.stage != after.stage:
            axes.axvline(number + 0.5, color="0.6", linestyle="--", linewidth=1)
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend(frameon=False)
    _save(figure, (axes,), path)


def _save(figure: Figure, plots: Iterable[Axes], path: Path) -> None:
    for axes in plots:
        axes.grid(color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
    try:
        with replacing(path) as partial:
            figure.savefig(partial, format="png")
    except OSError as error:
        raise FineTagError(f"cannot write {path}: {error.strerror}") from None
