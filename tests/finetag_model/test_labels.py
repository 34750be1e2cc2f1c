from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from finetag_model.labels import PRIOR_IMAGES, share_among_species, soften

NAN = np.nan

Labels = NDArray[np.float32]


@settings(max_examples=100, deadline=None)
@given(
    presence=hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 8), st.just(6)),
        elements=st.sampled_from((0.0, 0.25, 1.0, NAN)),
    ),
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
