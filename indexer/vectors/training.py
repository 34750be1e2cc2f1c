"""Making the approximate index of a generation: trained, filled, measured, chosen, written.

Reading it is the business of `search`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.approximation import Approximation
from indexer.vectors.calibration import Probes
from indexer.vectors.files import KINDS, Faiss, inner, read_lists, write_lists
from indexer.vectors.inverted import Inverted
from indexer.vectors.search import Vectors

FLAT_ROWS = 100_000
"""From here on exact search of all rows takes over 6 ms (two cores, 256 dimensions)."""

_QUERIES = 50
_SAMPLE = 50  # vectors for each list; k-means gains little from more
_BLOCK = 16_384  # rows
_SEED = 0
_TIE = 1.25  # times that differ by less are called equal: they vary as much from run to run


def write_ivf(
    path: Path, flat: Vectors, previous: Path | None, trained: Approximation | None
) -> Approximation | None:
    """Write an index that finds nearly all of the nearest rows faster than exact search.

    SQ8 and RaBitQ are both filled and measured, see `calibration`, and of those that reach the
    wanted recall the faster is written. Everything but the times follows from the vectors, so
    another choice on another run means equal times.

    Args:
        path: the file.
        flat: all vectors.
        previous: the approximate index of an older generation. As long as the rows have not
            doubled or halved since it was trained, its centroids are moved to their place
            among the present vectors instead of being sought from nothing, and only its kind
            is tried, unless that misses the wanted recall. No number that came from a vector
            since removed is kept.
        trained: what is known of `previous`.

    Returns:
        None, and no file is written, if there are too few rows for it to be worth while, the
        recall is not reached or exact search is as fast.

    Raises:
        OSError: the file cannot be written.
    """
    if flat.rows < FLAT_ROWS:
        return None
    sample = _Sample(flat)
    made = None
    if previous and trained and trained.trained_rows / 2 < flat.rows < 2 * trained.trained_rows:
        made = _retrained(sample, previous, trained)
    made = made or _trained(sample)
    if made is None:
        return None
    index, approximation = made
    write_lists(path, index)
    return approximation


class _Sample:
    """A generation's vectors, some of them set aside to measure with, others to train with."""

    def __init__(self, flat: Vectors) -> None:
        self.flat = flat
        self.nlist = 2 ** round(math.log2(2 * math.sqrt(flat.rows)))
        order = np.random.default_rng(_SEED).permutation(flat.rows)
        held_out, others = order[:_QUERIES], order[_QUERIES:]
        # A quantiser that sees the principal axes of the vectors wastes its bits on the last
        # ones; turned at random, all dimensions carry alike. Distances stay what they are.
        self.rotation = faiss.RandomRotationMatrix(flat.dim, flat.dim)
        self.rotation.init(_SEED)
        chosen = np.sort(others[: _SAMPLE * self.nlist])
        self.training: NDArray[np.float32] = self.rotation.apply(flat.take(chosen))
        self.probes = Probes(flat, held_out)


_Made = tuple[Faiss, Approximation]


def _trained(sample: _Sample) -> _Made | None:
    centroids = _centroids(sample, sample.nlist, iterations=10)
    return _best(sample, centroids, list(KINDS), sample.flat.rows)


def _retrained(sample: _Sample, previous: Path, trained: Approximation) -> _Made | None:
    try:
        old = read_lists(previous, sample.flat.dim, trained.kind, trained.nlist)
    except ValueError:  # it is damaged, which is no reason not to build another one
        return None
    start = inner(old).quantizer.reconstruct_n(0, trained.nlist)
    centroids = _centroids(sample, trained.nlist, iterations=1, start=start)
    return _best(sample, centroids, [trained.kind], trained.trained_rows)


def _centroids(
    sample: _Sample, nlist: int, iterations: int, start: NDArray[np.float32] | None = None
) -> Faiss:
    """Run k-means on the sample; after one iteration each centroid is a mean of its vectors."""
    kmeans: Faiss = faiss.Kmeans(
        sample.flat.dim,
        nlist,
        niter=iterations,
        seed=_SEED,
        min_points_per_centroid=1,  # else it prints a warning
        max_points_per_centroid=len(sample.training),  # the sample is small enough as it is
        gpu=faiss.get_num_gpus(),
    )
    kmeans.train(sample.training, init_centroids=start)
    coarse: Faiss = faiss.IndexFlatL2(sample.flat.dim)
    coarse.add(kmeans.centroids)
    return coarse


def _best(sample: _Sample, coarse: Faiss, kinds: Sequence[str], trained_rows: int) -> _Made | None:
    """Fill an index of each kind; return the fastest that reaches the recall."""
    made = [_empty(sample, coarse, kind) for kind in kinds]
    _fill(sample, coarse, made)
    chosen = []
    for kind, ivf in zip(kinds, made, strict=True):
        index = faiss.IndexPreTransform(sample.rotation, ivf)
        unmeasured = Approximation(kind, coarse.ntotal, 0, 0, 0, trained_rows, ())
        if approximation := sample.probes.measured(Inverted(index), unmeasured):
            chosen.append((index, approximation))
    fastest = min((each.measured[-1].lists for _, each in chosen), default=0.0)
    equals = [each for each in chosen if each[1].measured[-1].lists <= _TIE * fastest]
    return min(equals, key=lambda each: inner(each[0]).code_size, default=None)


def _empty(sample: _Sample, coarse: Faiss, kind: str) -> Faiss:
    dim, nlist = sample.flat.dim, coarse.ntotal
    ivf: Faiss
    # Between vectors of length 1, the smaller the distance the larger the inner product; and
    # with distances the same lists lead to clearly more of the nearest.
    if KINDS[kind] is faiss.IndexIVFScalarQuantizer:
        byte = faiss.ScalarQuantizer.QT_8bit
        ivf = faiss.IndexIVFScalarQuantizer(coarse, dim, nlist, byte, faiss.METRIC_L2)
    else:
        ivf = faiss.IndexIVFRaBitQ(coarse, dim, nlist, faiss.METRIC_L2)
    ivf.train(sample.training)  # the quantiser alone: the centroids are there
    return ivf


def _fill(sample: _Sample, coarse: Faiss, indexes: Sequence[Faiss]) -> None:
    """Add all rows to the indexes, which share their centroids, in blocks."""
    flat = sample.flat
    nearest = faiss.index_cpu_to_all_gpus(coarse) if faiss.get_num_gpus() else coarse
    for start in range(0, flat.rows, _BLOCK):
        block = sample.rotation.apply(flat.read(start, min(start + _BLOCK, flat.rows)))
        lists = nearest.search(block, 1)[1]
        for index in indexes:
            # What `add` does once it knows the lists.
            index.add_core(len(block), faiss.swig_ptr(block), None, faiss.swig_ptr(lists))
