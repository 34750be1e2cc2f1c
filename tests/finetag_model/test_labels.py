from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from finetag_model.labels import PRIOR_IMAGES, estimate_unknown, share_among_species, soften
from finetag_model.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("size=a", "color=a", "color=b", "color=c", "size=b", "color=d"))
NAN = np.nan
N = len(VOCABULARY)

Labels = NDArray[np.float32]


def slow_estimate(presence: Labels, reference: Labels, vocabulary: Vocabulary) -> Labels:
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
    filled = estimate_unknown(presence, reference, VOCABULARY)
    np.testing.assert_array_equal(presence, before)  # the input is left alone
    assert filled.dtype == np.float32
    np.testing.assert_allclose(
        filled, slow_estimate(presence, reference, VOCABULARY), rtol=1e-6, atol=1e-7
    )
    known = ~np.isnan(presence)
    np.testing.assert_array_equal(filled[known], presence[known])
    estimated = filled[~known & ~np.isnan(filled)]
    assert ((estimated >= 0) & (estimated <= 1)).all()


@settings(max_examples=30, deadline=None)
@given(presence=labels_of((0.0, 1.0), 6), reference=labels_of((0.0, 1.0), 6))
def test_known_labels_stay(presence: Labels, reference: Labels) -> None:
    np.testing.assert_array_equal(estimate_unknown(presence, reference, VOCABULARY), presence)


def test_by_hand() -> None:
    vocabulary = Vocabulary(("color=a", "color=b", "color=c"))
    reference = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0]], dtype=np.float32)
    presence = np.array([[NAN, NAN, 1], [NAN, NAN, NAN]], dtype=np.float32)
    filled = estimate_unknown(presence, reference, vocabulary)
    # a: 1 of 2 with c highest, 2 of 4 with something above a; b: 0 of 2, 0 of 2 above b.
    assert filled[0].tolist() == pytest.approx([(1 + 3 * 0.5) / 5, 0.0, 1.0])
    assert np.isnan(filled[1]).all()  # no present value on record: it stays unknown


@settings(max_examples=100, deadline=None)
@given(
    presence=labels_of((0.0, 0.25, 1.0, NAN), 8),
    share=st.sampled_from((0.0, 0.3, 1.0)),
    data=st.data(),
)
def test_labels_are_shared_as_in_the_slow_reference(
    presence: Labels, share: float, data: st.DataObject
) -> None:
    species = np.array(
        data.draw(
            st.lists(st.sampled_from((7, 3, 9)), min_size=len(presence), max_size=len(presence))
        ),
        dtype=np.int64,
    )
    shared = share_among_species(presence, species, share)
    assert shared.dtype == np.float32
    for i, j in np.ndindex(*presence.shape):
        column = presence[:, j].astype(float)
        known = column[~np.isnan(column)]
        if np.isnan(column[i]):
            assert np.isnan(shared[i, j])
            continue
        others = [x for k, x in enumerate(column) if species[k] == species[i] and k != i]
        others = [x for x in others if not np.isnan(x)]
        mean = (sum(others) + PRIOR_IMAGES * known.mean()) / (len(others) + PRIOR_IMAGES)
        assert shared[i, j] == pytest.approx((1 - share) * column[i] + share * mean, abs=1e-5)


def test_certainty_is_the_probability_that_a_label_is_right() -> None:
    presence = np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [NAN] * 5], dtype=np.float32)
    certainty = np.tile(np.arange(5, dtype=np.uint8), (3, 1))
    expected = [[1, NAN, 0.6, 0.8, 1], [0, NAN, 0.4, 0.2, 0], [NAN] * 5]
    np.testing.assert_allclose(soften(presence, certainty), expected, atol=1e-6)
