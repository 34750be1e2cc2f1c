"""How well unknown labels are guessed: labels of fully labelled images, hidden and filled in.

    python benchmarks/unknown_labels.py --data CUB_200_2011 --reference full_labels.txt

Most images of CUB-200-2011 at hand record only the highest-numbered present value of a group. The
fully labelled images of --reference are seen in the same way, a fifth of them at a time; what is
hidden is guessed from the other four fifths and compared with the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from sklearn.metrics import log_loss
from tables import figures_table

from finetag_model.console import Command, data_option
from finetag_model.cub import read_cub, read_full_labels
from finetag_model.unknown_labels import (
    RIDGE,
    count_unknown,
    estimate_unknown,
    lower_values_hidden,
)
from finetag_model.vocabulary import Vocabulary

Labels = NDArray[np.float32]
Guess = Callable[[Labels, Labels, Vocabulary], Labels]
FOLDS = 5
LEAST = 1e-4
"""A guess of 0 or 1 that is wrong would make the log loss infinite."""


@click.command(cls=Command)
@data_option
@click.option("--reference", type=click.Path(path_type=Path), required=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the folds.")
def main(data: Path, reference: Path, seed: int) -> None:
    """Print log loss and Brier score of each way to guess."""
    vocabulary = read_cub(data).vocabulary
    full = read_full_labels(reference, len(vocabulary))
    hidden = np.isnan(lower_values_hidden(full, vocabulary))
    guesses: dict[str, Guess] = {
        "negative": lambda seen, _others, _vocabulary: np.nan_to_num(seen),
        "counted beside the highest": count_unknown,
    }
    for ridge in (RIDGE / 3, RIDGE, 3 * RIDGE):
        guesses[f"learned, ridge {ridge:g}"] = partial(estimate_unknown, ridge=ridge)
    table = figures_table(
        f"{hidden.sum():,} hidden labels of {len(full)} images, {full[hidden].mean():.1%} present",
        ["guess", "log loss", "Brier score"],
    )
    fold = np.random.default_rng(seed).permutation(len(full)) % FOLDS
    for name, guess in guesses.items():
        filled = np.empty_like(full)
        for number in range(FOLDS):
            mine = fold == number
            seen = lower_values_hidden(full[mine], vocabulary)
            filled[mine] = guess(seen, full[~mine], vocabulary)
        probability = filled[hidden].astype(np.float64).clip(LEAST, 1 - LEAST)
        truth = full[hidden]
        brier = float(np.square(probability - truth).mean())
        loss = log_loss(truth, probability, labels=[0, 1])
        table.add_row(name, f"{loss:.4f}", f"{brier:.4f}")
    Console().print(table)


if __name__ == "__main__":
    main()
