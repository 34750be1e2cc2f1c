from __future__ import annotations

import numpy as np
from scipy.special import expit

from finetag_model.calibration import Calibration


def test_huge_logits_do_not_overflow() -> None:
    calibration = Calibration(*np.array([[100.0], [0.0], [0.5]], dtype=np.float32))
    extremes = calibration.probabilities(np.array([[-1e30], [1e30]], dtype=np.float32))
    assert extremes[:, 0].tolist() == [0, 1]


def test_undone_is_the_sigmoid_of_the_logits() -> None:
    logits = np.random.default_rng(1).normal(scale=1.5, size=(300, 2)).astype(np.float32)
    calibration = Calibration(*np.array([[0.5, 2], [-2, 1], [0.5, 0.5]], dtype=np.float32))
    undone = calibration.undone(calibration.probabilities(logits))
    assert undone.dtype == np.float32
    np.testing.assert_allclose(undone, expit(logits), atol=1e-4)


def test_what_has_no_slope_cannot_be_undone() -> None:
    calibration = Calibration(*np.array([[0, 2], [1, 0], [0.5, 0.5]], dtype=np.float32))
    undone = calibration.undone(np.array([[0.7, 0.5], [0.7, 1], [0.7, 0]], dtype=np.float32))
    assert np.isnan(undone[:, 0]).all()
    assert undone[:, 1].tolist() == [0.5, 1, 0]
