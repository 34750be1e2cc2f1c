from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from finetag_model import unknown_labels
from finetag_model.labels import PRIOR_IMAGES
from finetag_model.unknown_labels import FOLDS, RIDGE, count_unknown, estimate_unknown
from finetag_model.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("size=a", "color=a", "color=b", "color=c", "size=b", "color=d"))
NAN = np.nan
N = len(VOCABULARY)
NAMES = [VOCABULARY.value(position) for position in range(N)]

Labels = NDArray[np.float32]
Array = NDArray[np.float64]


def slow_count(presence: Labels, reference: Labels, vocabulary: Vocabulary) -> Labels:
    """P(lower value present | highest present value), label by label.

    Counted in the reference images with the same highest value, and smoothed with three
    imagined ones that behave as the reference images with any higher value do.
    """
    filled = presence.copy()
    for image in range(len(presence)):
        for columns in vocabulary.groups.values():
            present = [i for i, column in enumerate(columns) if presence[image, column] == 1]
            if not present:
                continue
            highest = max(present)
            for lower in range(highest):
                if not np.isnan(presence[image, columns[lower]]):
                    continue
                alike, higher = [], []
                for other in reference:
                    others = [i for i, column in enumerate(columns) if other[column] == 1]
                    if others and max(others) == highest:
                        alike.append(other[columns[lower]])
                    if others and max(others) > lower:
                        higher.append(other[columns[lower]])
                prior = sum(higher) / len(higher) if higher else 0.0
                filled[image, columns[lower]] = (sum(alike) + PRIOR_IMAGES * prior) / (
                    len(alike) + PRIOR_IMAGES
                )
    return filled


def labels_of(values: tuple[float, ...], most: int) -> st.SearchStrategy[Labels]:
    shape = st.tuples(st.integers(0, most), st.just(N))
    return hnp.arrays(np.float32, shape, elements=st.sampled_from(values))


@settings(max_examples=100, deadline=None)
@given(presence=labels_of((0.0, 1.0, NAN), 6), reference=labels_of((0.0, 1.0), 10))
def test_is_the_slow_reference(presence: Labels, reference: Labels) -> None:
    before = presence.copy()
    filled = count_unknown(presence, reference, VOCABULARY)
    np.testing.assert_array_equal(presence, before)  # the input is left alone
    assert filled.dtype == np.float32
    np.testing.assert_allclose(
        filled, slow_count(presence, reference, VOCABULARY), rtol=1e-6, atol=1e-7
    )
    known = ~np.isnan(presence)
    np.testing.assert_array_equal(filled[known], presence[known])
    estimated = filled[~known & ~np.isnan(filled)]
    assert ((estimated >= 0) & (estimated <= 1)).all()


@settings(max_examples=30, deadline=None)
@given(presence=labels_of((0.0, 1.0), 6), reference=labels_of((0.0, 1.0), 6))
def test_known_labels_stay(presence: Labels, reference: Labels) -> None:
    np.testing.assert_array_equal(count_unknown(presence, reference, VOCABULARY), presence)


def test_by_hand() -> None:
    vocabulary = Vocabulary(("color=a", "color=b", "color=c"))
    reference = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0]], dtype=np.float32)
    presence = np.array([[NAN, NAN, 1], [NAN, NAN, NAN]], dtype=np.float32)
    filled = count_unknown(presence, reference, vocabulary)
    # a: 1 of 2 with c highest, 2 of 4 with something above a; b: 0 of 2, 0 of 2 above b.
    assert filled[0].tolist() == pytest.approx([(1 + 3 * 0.5) / 5, 0.0, 1.0])
    assert np.isnan(filled[1]).all()  # no present value on record: it stays unknown


@settings(max_examples=20, deadline=None)
@given(presence=labels_of((0.0, 1.0, NAN), 6), reference=labels_of((0.0, 1.0), 10))
def test_an_estimate_fills_what_a_count_fills(presence: Labels, reference: Labels) -> None:
    before = presence.copy()
    filled = estimate_unknown(presence, reference, VOCABULARY)
    np.testing.assert_array_equal(presence, before)
    assert filled.dtype == np.float32
    counted = count_unknown(presence, reference, VOCABULARY)
    np.testing.assert_array_equal(np.isnan(filled), np.isnan(counted))
    known = ~np.isnan(presence)
    np.testing.assert_array_equal(filled[known], presence[known])
    assert ((filled[~np.isnan(filled)] >= 0) & (filled[~np.isnan(filled)] <= 1)).all()


def test_the_colours_of_other_parts_are_evidence() -> None:
    vocabulary = Vocabulary(("wing=black", "wing=white", "tail=black", "tail=white"))
    # All wings have some white; black ones are on the birds whose tail is black.
    reference = np.array([[1, 1, 1, 0], [0, 1, 0, 1]] * 100, dtype=np.float32)
    presence = np.array([[NAN, 1, 1, 0], [NAN, 1, NAN, 1]], dtype=np.float32)
    assert count_unknown(presence, reference, vocabulary)[:, 0].tolist() == [0.5, 0.5]
    black_tail, white_tail = estimate_unknown(presence, reference, vocabulary)
    assert black_tail[0] > 0.9
    assert white_tail[0] < 0.1
    assert white_tail[2] < 0.1  # no bird at hand has both in its tail


def test_an_estimate_is_the_minimum_of_the_penalised_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    reference = (random.random((30, N)) < [0.5, 0.4, 0.6, 0.5, 0.7, 0.3]).astype(np.float32)
    presence = np.array([[NAN, NAN, NAN, 1, 1, 0], [0, NAN, 1, 0, 0, 0]], dtype=np.float32)
    hidden = reference.copy()
    for columns in VOCABULARY.groups.values():
        for image in hidden:
            highest = max((c for c in columns if image[c] == 1), default=0)
            image[[c for c in columns if c < highest]] = NAN
    fold = np.arange(len(reference)) % FOLDS
    counted = [
        slow_count(hidden[[i]], reference[fold != fold[i]], VOCABULARY)[0]
        for i in range(len(reference))
    ]

    def log_odds(parameters: Array, seen: Labels, filled: Labels, n: int) -> float:
        shared, single = parameters[:5], parameters[5:].reshape(2 * N, N)
        namesakes = [m for m in range(N) if m != n and NAMES[m] == NAMES[n]]
        counted = np.clip(float(filled[n]), 1e-4, 1 - 1e-4)
        evidence = [
            np.log(counted / (1 - counted)),
            1,
            np.log1p(sum(seen[m] == 1 for m in namesakes)),
            np.log1p(sum(seen[m] == 0 for m in namesakes)),
            bool(namesakes),
        ]
        return float(shared @ evidence + np.concatenate([seen == 1, seen == 0]) @ single[:, n])

    def loss(parameters: Array) -> float:
        total = RIDGE / 2 * float((parameters[5:] ** 2).sum())
        total += float(((parameters[:5] - [1, 0, 0, 0, 0]) ** 2).sum()) / 2
        for image, n in np.argwhere(np.isnan(hidden)):
            z = log_odds(parameters, hidden[image], counted[image], n)
            total += np.logaddexp(0, z) - reference[image, n] * z
        return total

    fitted: list[Array] = []

    def watched(*evidence: Any) -> tuple[Array, Array]:
        shared, single = fit(*evidence)
        fitted.append(np.concatenate([shared, single.ravel()]))
        return shared, single

    fit = unknown_labels._fit
    monkeypatch.setattr(unknown_labels, "_fit", watched)
    filled = estimate_unknown(presence, reference, VOCABULARY)
    counts = slow_count(presence, reference, VOCABULARY)
    for image, n in np.argwhere(np.isnan(presence)):
        z = log_odds(fitted[0], presence[image], counts[image], n)
        assert filled[image, n] == pytest.approx(1 / (1 + np.exp(-z)), abs=1e-5)
    least = loss(fitted[0])
    for step in random.normal(scale=0.02, size=(40, len(fitted[0]))):
        assert loss(fitted[0] + step) > least
