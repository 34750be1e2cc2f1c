"""Clustered vectors, files of them, brute force, and a clock that says what a test wants."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.approximation import EXACT, RABITQ, SQ8, Plan
from indexer.vectors import Vectors, calibration, training, write_flat, write_ivf

DIM, ROWS = 16, 3000
KINDS = [SQ8, RABITQ]
Found = tuple[NDArray[np.int64], NDArray[np.float32]]


def time(patch: pytest.MonkeyPatch, **milliseconds: float) -> None:
    """Replace the clock: how long a search takes by each kind of plan; 5 exactly, 1 otherwise."""
    known = {EXACT: 5.0, SQ8: 1.0, RABITQ: 1.0}
    known |= {name.replace("_", "-"): each for name, each in milliseconds.items()}

    def timed(_: object, __: object, ___: object, plan: Plan | None = None) -> float:
        return known[plan.kind if plan else EXACT]

    patch.setattr(calibration.Probes, "milliseconds", timed)
    patch.setattr(calibration, "perf_counter", count().__next__)  # else no two batches are alike


def prefer(patch: pytest.MonkeyPatch, kind: str) -> None:
    """Replace the clock: one kind of codes is the fastest."""
    time(patch, **{"ivf_sq8": 4.0, "ivf_rabitq": 4.0, kind.replace("-", "_"): 1.0})


def clustered(
    rows: int, dim: int = DIM, seed: int = 0, *, centers: int = 40, jitter: float = 0.4
) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    middles = random.standard_normal((centers, dim))
    vectors = middles[random.integers(0, centers, rows)]
    vectors = vectors + jitter * random.standard_normal((rows, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def flat(path: Path, vectors: NDArray[np.float32]) -> Vectors:
    write_flat(path, vectors.shape[1], len(vectors), [vectors])
    return Vectors(path, len(vectors), vectors.shape[1])


def written(
    folder: Path, vectors: NDArray[np.float32], kind: str, *, if_good: bool = False
) -> Vectors:
    """Open vectors with an approximate index of a kind beside them, or perhaps of another."""
    exact = flat(folder / "flat", vectors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "FLAT_ROWS", 1000)
        prefer(patch, kind)
        made = write_ivf(folder / "ivf", exact, None, None)
    assert made
    assert if_good or made.kind == kind
    return Vectors(folder / "flat", exact.rows, exact.dim, (folder / "ivf", made))


def plans_of(vectors: Vectors) -> list[Plan]:
    """Return the ways that there are to search vectors, the exact one first."""
    known = vectors.approximation
    return [Plan(), Plan(known.kind)] if known else [Plan()]


def brute_force(
    vectors: NDArray[np.float32], query: NDArray[np.float32], k: int, rows: NDArray[np.int64]
) -> Found:
    products = (vectors[rows].astype(np.float64) * query).sum(axis=1).astype(np.float32)
    order = np.lexsort((rows, -products))[:k]
    return rows[order], products[order]
