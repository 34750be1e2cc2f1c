from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from finetag_model.reliability import Binning, brier_score, calibration_error, reliability

Array = NDArray[np.float64]


def naive_ece(probabilities: Array, presence: Array, bins: int) -> float:
    """Equal-width ECE by its definition, with intervals (a, b]."""
    total = 0.0
    edges = np.linspace(0, 1, bins + 1)
    for i in range(bins):
        low, high = edges[i], edges[i + 1]
        inside = [
            (p, y)
            for p, y in zip(probabilities, presence, strict=True)
            if low < p <= high or (i == 0 and p == 0)
        ]
        if inside:
            p, y = np.mean(inside, axis=0)
            total += len(inside) / len(probabilities) * abs(p - y)
    return total


@st.composite
def forecasts(draw: st.DrawFn) -> tuple[Array, Array]:
    size = draw(st.integers(1, 40))
    probabilities = draw(hnp.arrays(np.float64, size, elements=st.integers(0, 20).map(float)))
    presence = draw(hnp.arrays(np.float64, size, elements=st.sampled_from([0.0, 1.0])))
    return probabilities / 20, presence


@settings(max_examples=100, deadline=None)
@given(forecast=forecasts(), bins=st.integers(1, 12))
def test_ece_is_the_definition(forecast: tuple[Array, Array], bins: int) -> None:
    assert reliability(*forecast, bins).ece == pytest.approx(naive_ece(*forecast, bins))


@settings(max_examples=100, deadline=None)
@given(forecast=forecasts(), bins=st.integers(1, 12), binning=st.sampled_from(["width", "mass"]))
def test_bins_share_out_all_values(
    forecast: tuple[Array, Array], bins: int, binning: Binning
) -> None:
    probabilities, presence = forecast
    diagram = reliability(probabilities, presence, bins, binning)
    assert 1 <= len(diagram.counts) <= bins
    assert (diagram.counts > 0).all()
    assert diagram.counts.sum() == len(probabilities)
    assert (np.diff(diagram.predicted) > 0).all()
    assert np.average(diagram.predicted, weights=diagram.counts) == pytest.approx(
        probabilities.mean()
    )
    assert np.average(diagram.observed, weights=diagram.counts) == pytest.approx(presence.mean())
    assert 0 <= diagram.ece <= 1
    order = np.random.default_rng(0).permutation(len(presence))
    assert reliability(probabilities[order], presence[order], bins, binning).ece == pytest.approx(
        diagram.ece
    )


def test_by_hand() -> None:
    probabilities = np.array([[0.0, 0.1, 0.2], [0.9, 1.0, 0.6]])
    presence = np.array([[0, 0, 1], [1, 1, 0]])
    diagram = reliability(probabilities, presence, bins=5)
    # (0, 0.2], (0.4, 0.6] and (0.8, 1]; nothing falls between.
    assert diagram.counts.tolist() == [3, 1, 2]
    assert diagram.predicted == pytest.approx([0.1, 0.6, 0.95])
    assert diagram.observed == pytest.approx([1 / 3, 0, 1])
    assert diagram.ece == pytest.approx((3 * (1 / 3 - 0.1) + 0.6 + 2 * 0.05) / 6)
    squares = [0, 0.01, 0.64, 0.01, 0, 0.36]
    assert brier_score(probabilities, presence) == pytest.approx(sum(squares) / 6)


def test_bins_of_equal_mass() -> None:
    probabilities = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.9])
    diagram = reliability(probabilities, np.zeros(6), bins=3, binning="mass")
    assert diagram.counts.tolist() == [2, 2, 2]
    assert diagram.predicted == pytest.approx([0.015, 0.035, 0.475])


def test_equal_probabilities_are_not_cut_apart() -> None:
    probabilities = np.array([0.2, 0.2, 0.2, 0.2, 0.2, 0.7])
    diagram = reliability(probabilities, np.array([1, 0, 0, 0, 0, 1]), bins=3, binning="mass")
    assert diagram.counts.tolist() == [5, 1]
    assert diagram.ece == pytest.approx(0.3 / 6)


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_certain_and_right_or_wrong(binning: Binning) -> None:
    presence = np.array([0.0, 1.0, 1.0, 0.0])
    assert reliability(presence, presence, binning=binning).ece == 0
    assert reliability(1 - presence, presence, binning=binning).ece == 1
    assert brier_score(presence, presence) == 0
    assert brier_score(1 - presence, presence) == 1


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_true_probabilities_are_nearly_free_of_error(binning: Binning) -> None:
    random = np.random.default_rng(0)
    probabilities = random.beta(0.5, 2, size=(400, 200)).astype(np.float32)
    presence = (random.random(probabilities.shape) < probabilities).astype(np.float32)
    assert reliability(probabilities, presence, binning=binning).ece < 0.01
    overconfident = np.clip(1.5 * probabilities - 0.25, 0, 1)
    assert reliability(overconfident, presence, binning=binning).ece > 0.05
    assert brier_score(overconfident, presence) > brier_score(probabilities, presence)


def test_a_constant_forecast_errs_by_the_difference_of_the_means() -> None:
    presence = np.array([1.0, 0.0, 0.0, 0.0])
    constant = np.full(4, 0.6, dtype=np.float32)
    for binning in ("width", "mass"):
        diagram = reliability(constant, presence, binning=binning)
        assert diagram.counts.tolist() == [4]
        assert diagram.ece == pytest.approx(0.35)


def test_errors_of_different_attributes_cancel_in_ece_but_not_in_macro_ece() -> None:
    probabilities = np.full((10, 2), 0.5)
    presence = np.stack([np.ones(10), np.zeros(10)], axis=1)
    error = calibration_error(probabilities, presence)
    assert error.ece == 0
    assert error.macro_ece == pytest.approx(0.5)
    assert error.brier == pytest.approx(0.25)


def test_unknown_labels_take_no_part() -> None:
    random = np.random.default_rng(0)
    probabilities = random.random((30, 4))
    presence = (random.random((30, 4)) < probabilities).astype(float)
    presence[random.random((30, 4)) < 0.3] = np.nan
    presence[:, 2] = np.nan
    known = ~np.isnan(presence)
    for binning in ("width", "mass"):
        got = reliability(probabilities, presence, binning=binning)
        expected = reliability(probabilities[known], presence[known], binning=binning)
        assert vars(got).keys() == vars(expected).keys()
        assert all((vars(got)[key] == vars(expected)[key]).all() for key in vars(got))
    error = calibration_error(probabilities, presence)
    assert error.ece == pytest.approx(naive_ece(probabilities[known], presence[known], 10))
    assert error.brier == pytest.approx(brier_score(probabilities[known], presence[known]))
    alone = [
        reliability(probabilities[known[:, n], n], presence[known[:, n], n], binning="mass").ece
        for n in (0, 1, 3)
    ]
    assert error.macro_ece == pytest.approx(np.mean(alone))
