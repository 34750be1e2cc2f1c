from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from finetag_model import platt
from finetag_model.platt import fit_calibration

Array = NDArray[np.float32]
SLOPES = np.array([0.5, 1.0, 2.0, 3.0])
OFFSETS = np.array([0.0, -2.0, 1.0, -1.0])


def sample(images: int, seed: int) -> tuple[Array, Array]:
    """Logits, and labels drawn with a known sigmoid of them."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=1.5, size=(images, len(SLOPES))).astype(np.float32)
    present = random.random(logits.shape) < expit(SLOPES * logits + OFFSETS)
    return logits, present.astype(np.float32)


def expected_calibration_error(probabilities: Array, presence: Array) -> float:
    bins = (probabilities * 10).astype(int).clip(0, 9)
    return sum(
        (bins == b).mean() * abs(probabilities[bins == b].mean() - presence[bins == b].mean())
        for b in range(10)
        if (bins == b).any()
    )


def f1(passes: NDArray[np.bool_], presence: Array) -> float:
    return float(2 * presence[passes].sum() / (passes.sum() + presence.sum()))


def test_recovers_a_known_sigmoid() -> None:
    calibration = fit_calibration(*sample(20_000, seed=0))
    np.testing.assert_allclose(calibration.slope, SLOPES, rtol=0.1)
    np.testing.assert_allclose(calibration.offset, OFFSETS, atol=0.15)
    logits, presence = sample(20_000, seed=1)
    probabilities = calibration.probabilities(logits)
    assert probabilities.dtype == np.float32
    for n in range(len(SLOPES)):
        assert expected_calibration_error(probabilities[:, n], presence[:, n]) < 0.02


def test_does_not_mind_the_scale_of_logits() -> None:
    logits, presence = sample(5_000, seed=2)
    plain = fit_calibration(logits, presence)
    scaled = fit_calibration(logits * 1000 + 500, presence)
    np.testing.assert_allclose(
        scaled.probabilities(logits * 1000 + 500), plain.probabilities(logits), atol=2e-3
    )


def test_a_label_in_between_counts_in_proportion() -> None:
    logits, presence = sample(4_000, seed=3)
    soft = np.where(presence == 1, 0.75, 0.25).astype(np.float32)
    # Four times the images draw each attribute less towards the others; nothing else differs.
    calibration = fit_calibration(logits, soft)
    repeated = fit_calibration(
        np.concatenate([logits] * 4), np.concatenate([presence] * 3 + [1 - presence])
    )
    np.testing.assert_allclose(calibration.slope, repeated.slope, rtol=0.03)
    np.testing.assert_allclose(calibration.offset, repeated.offset, atol=0.02)


def test_what_is_alike_is_fitted_together() -> None:
    random = np.random.default_rng(8)
    logits = random.normal(scale=1.5, size=(60, 40)).astype(np.float32)
    presence = (random.random(logits.shape) < expit(2 * logits - 1)).astype(np.float32)
    calibration = fit_calibration(logits, presence)
    apart = [fit_calibration(logits[:, [n]], presence[:, [n]]).slope[0] for n in range(40)]
    assert calibration.slope.std() < np.std(apart) / 4
    np.testing.assert_allclose(calibration.slope, 2, atol=0.5)
    np.testing.assert_allclose(calibration.offset, -1, atol=0.5)


def test_the_first_round_is_the_minimum_of_the_penalised_loss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platt, "ROUNDS", 1)
    logits, presence = sample(400, seed=5)
    presence[::7, 2] = np.nan
    calibration = fit_calibration(logits, presence)
    known = ~np.isnan(presence)
    scale, center = logits[known].std(), logits[known].mean()

    def loss(parameters: NDArray[np.float64]) -> float:
        common, own = np.split(parameters.reshape(2, -1), [1], axis=1)
        slope, offset = common + own
        z = (slope * (logits - center) / scale + offset)[known]
        each = np.logaddexp(0, z) - presence[known] * z
        return float(each.sum() + (own**2).sum() / 2 + (common**2).sum() / 2)

    best = minimize(loss, np.zeros(2 * (1 + len(SLOPES))))
    common, own = np.split(best.x.reshape(2, -1), [1], axis=1)
    slope, offset = common + own
    np.testing.assert_allclose(calibration.slope, slope / scale, atol=1e-3)
    np.testing.assert_allclose(calibration.offset, offset - slope / scale * center, atol=1e-3)


def test_unknown_labels_take_no_part() -> None:
    logits, presence = sample(500, seed=4)
    presence[200:, 1] = np.nan
    calibration = fit_calibration(logits, presence)
    logits[200:, 1] = 77
    other = fit_calibration(logits, presence)
    np.testing.assert_array_equal(calibration.slope, other.slope)
    np.testing.assert_array_equal(calibration.offset, other.offset)
    np.testing.assert_array_equal(calibration.thresholds, other.thresholds)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), images=st.integers(0, 25))
def test_any_labels_give_a_usable_calibration(data: st.DataObject, images: int) -> None:
    tenths = st.integers(-50, 50).map(lambda value: value / 10)
    labels = st.sampled_from([0.0, 1.0, 1.0, 0.0, 0.5, np.nan])
    logits = data.draw(hnp.arrays(np.float32, (images, 2), elements=tenths.map(np.float32)))
    presence = data.draw(hnp.arrays(np.float32, (images, 2), elements=labels))
    calibration = fit_calibration(logits, presence)
    for array in (calibration.slope, calibration.offset, calibration.thresholds):
        assert array.shape == (2,)
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
    assert (calibration.slope >= 0).all()
    assert ((calibration.thresholds >= 0) & (calibration.thresholds <= 1)).all()
    ladder = np.linspace(-10, 10, 50, dtype=np.float32)[:, None].repeat(2, axis=1)
    assert (np.diff(calibration.probabilities(ladder), axis=0) >= 0).all()


@pytest.mark.parametrize("seed", range(8))
def test_thresholds_have_the_highest_f1(seed: int) -> None:
    logits, presence = sample(60, seed)
    logits = logits.round(1)  # ties
    calibration = fit_calibration(logits, presence)
    probabilities = calibration.probabilities(logits)
    for n in range(len(SLOPES)):
        if presence[:, n].sum() < 1 or (1 - presence[:, n]).sum() < 1:
            continue
        best = max(f1(probabilities[:, n] >= p, presence[:, n]) for p in probabilities[:, n])
        chosen = f1(probabilities[:, n] >= calibration.thresholds[n], presence[:, n])
        assert chosen == pytest.approx(best)


def test_attributes_always_never_or_nowhere_known_follow_the_others() -> None:
    logits, presence = sample(400, seed=6)
    presence[:, 1], presence[:, 2], presence[:, 3] = 1, 0, np.nan
    calibration = fit_calibration(logits, presence)
    assert (calibration.slope > 0).all()  # the few of them there are can still be found
    always, never = calibration.probabilities(logits)[:, 1:3].T
    assert always.min() > 0.5 > never.max()
    assert calibration.slope[:3].min() < calibration.slope[3] < calibration.slope[:3].max()
    assert calibration.thresholds[2:].tolist() == [0.5, 0.5]


def test_nothing_known() -> None:
    logits, presence = sample(20, seed=7)
    calibration = fit_calibration(logits, np.full_like(presence, np.nan))
    np.testing.assert_array_equal(calibration.probabilities(logits), 0.5)


def test_a_constant_logit() -> None:
    presence = np.array([[1], [0], [0], [0]], dtype=np.float32)
    calibration = fit_calibration(np.full((4, 1), 3, dtype=np.float32), presence)
    probabilities = calibration.probabilities(np.array([[-5], [5]], dtype=np.float32))
    np.testing.assert_allclose(probabilities, 1.5 / 5, rtol=1e-5)


def test_a_logit_that_misleads_is_not_believed() -> None:
    logits = np.linspace(-2, 2, 200, dtype=np.float32)[:, None]
    presence = (logits < -1.2).astype(np.float32)  # the higher the logit, the less likely
    calibration = fit_calibration(logits, presence)
    assert calibration.slope[0] == 0
    np.testing.assert_allclose(calibration.probabilities(logits), presence.mean(), atol=0.02)
