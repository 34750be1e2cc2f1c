from __future__ import annotations

import numpy as np
import pytest

from finetag_model.projection import fit_projection


def test_is_the_pca_of_the_features() -> None:
    random = np.random.default_rng(0)
    scales = np.array([9, 5, 3, 0.1, 0.05, 0.02, 0.01, 0.01])
    rotation, _ = np.linalg.qr(random.normal(size=(8, 8)))
    features = (random.normal(size=(400, 8)) * scales @ rotation + 3).astype(np.float32)
    projection = fit_projection(features, dim=3, whitening=0)
    assert projection.mean.dtype == projection.components.dtype == np.float32
    assert projection.components.shape == (3, 8)
    np.testing.assert_allclose(projection.mean, features.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(
        projection.components @ projection.components.T, np.eye(3), atol=1e-5
    )
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    # The same directions in the order of falling variance; their signs are free.
    alignment = np.abs(projection.components @ directions[:3].T)
    np.testing.assert_allclose(alignment, np.eye(3), atol=1e-3)


def test_whitening_divides_by_a_power_of_the_deviation() -> None:
    random = np.random.default_rng(0)
    features = (random.normal(size=(500, 5)) * [8, 4, 2, 1, 0.5]).astype(np.float32)
    plain, half, full = (fit_projection(features, 4, whitening=power) for power in (0, 0.5, 1))
    for whitened, power in ((half, 0.5), (full, 1)):
        projected = (features - whitened.mean) @ whitened.components.T
        before = (features - plain.mean) @ plain.components.T
        expected = before.std(axis=0) ** (1 - power)
        np.testing.assert_allclose(
            projected.std(axis=0) / projected[:, 0].std(), expected / expected[0], rtol=1e-3
        )
        np.testing.assert_allclose(projected[:, 0], before[:, 0], atol=1e-4)


@pytest.mark.parametrize("images", [1, 6])
@pytest.mark.parametrize("varies", [True, False])
def test_components_that_do_not_vary_stay_finite(images: int, varies: bool) -> None:
    features = np.ones((images, 40), dtype=np.float32)
    features[0, 0] += varies
    assert np.isfinite(fit_projection(features, min(images, 4)).components).all()


def test_a_seed_always_gives_the_same_projection() -> None:
    features = np.random.default_rng(1).normal(size=(60, 40)).astype(np.float32)
    first, second = fit_projection(features, 8, seed=5), fit_projection(features, 8, seed=5)
    np.testing.assert_array_equal(first.components, second.components)


def test_as_many_images_as_components_are_enough() -> None:
    features = np.random.default_rng(2).normal(size=(6, 40)).astype(np.float32)
    assert fit_projection(features, 6).components.shape == (6, 40)
