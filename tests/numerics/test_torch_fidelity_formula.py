"""Fréchet distances of 2,048 features against the formula of torch-fidelity, by NumPy: tr √(Σ₁Σ₂) = Σ √λ of the product itself.

An eigendecomposition of a product of that size takes a quarter of a minute. So the same sum is taken where it is small: in the
span of all rows, which eigenvalues that are not 0 do not leave, or block by block of covariances that are block diagonal.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.metrics.frechet import squared_frechet_distance
from vaeval_core.metrics.gaussian_fit import GaussianFit

D = 2048
RNG_SEED = 5


def sum_of_roots(covariance: np.ndarray, other: np.ndarray) -> float:
    """As in torch_fidelity/metric_fid.py: complex roots of the eigenvalues, and the real part of their sum."""
    return float(np.sqrt(np.linalg.eigvals(covariance @ other).astype(np.complex128)).sum().real)


def by_eigenvalues(generated: np.ndarray, real: np.ndarray) -> float:
    """In the span of all rows."""
    centred = [rows - rows.mean(axis=0) for rows in (generated, real)]
    basis = linalg.qr(np.concatenate(centred).T, mode="economic")[0]
    one, other = (rows @ basis for rows in centred)
    covariances = [rows.T @ rows / (len(rows) - 1) for rows in (one, other)]
    shift = generated.mean(axis=0) - real.mean(axis=0)
    traces = sum(float(np.trace(matrix)) for matrix in covariances)
    return float(shift @ shift) + traces - 2 * sum_of_roots(*covariances)


def features(count: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Features as a network gives them: not negative, correlated, of unequal spread."""
    rng = np.random.default_rng([RNG_SEED, seed])
    loadings = np.random.default_rng(RNG_SEED).normal(size=(64, D)) / 8
    rows = rng.normal(size=(count, 64)) @ loadings * scale + 0.5 * rng.normal(size=(count, D)) + shift
    return np.asarray(np.maximum(rows, 0))


def line(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng([RNG_SEED, seed])
    return np.asarray(rng.normal(size=(count, 1)) @ np.linspace(0, 1, D)[np.newaxis])


@pytest.mark.parametrize(
    ("generated", "real"),
    [
        pytest.param(features(150, 1, 1.2, 0.1), features(160, 2), id="fewer-images-than-features"),
        pytest.param(features(2, 1), features(60, 2), id="two-images"),
        pytest.param(features(2, 1), features(2, 2), id="two-against-two"),
        pytest.param(line(50, 1), features(60, 2), id="rank-one"),
        pytest.param(line(50, 1), line(40, 2) * 2 + 1, id="rank-one-against-rank-one"),
        pytest.param(np.full((40, D), 3.0), features(60, 2), id="constant"),
        pytest.param(features(80, 1, 1.2) + 1e4, features(90, 2) + 1e4, id="offset"),
        pytest.param(np.repeat(features(1, 1), 50, axis=0), features(60, 2), id="collapse-to-one-image"),
        pytest.param(np.repeat(features(3, 1), 20, axis=0), features(60, 2), id="collapse-to-three-images"),
    ],
)
def test_the_formula_of_torch_fidelity_gives_the_same(generated: np.ndarray, real: np.ndarray) -> None:
    expected = by_eigenvalues(generated, real)
    value = frechet_distance(generated, real)
    assert value.kind == "finite"
    assert value.value == pytest.approx(expected, rel=1e-6)
    assert value.value >= 0


def test_constant_features_differ_by_their_shift_alone() -> None:
    value = frechet_distance(np.full((40, D), 3.0), np.full((30, D), 1.0))
    assert value.value == pytest.approx(4 * D, rel=1e-12)


def test_the_formula_of_torch_fidelity_gives_the_same_for_more_images_than_features() -> None:
    """Each image varies in one of sixteen groups of features, as much up as down: covariances are exactly block diagonal."""
    size, pairs = 128, 400
    count = D // size * pairs * 2
    assert count > 2 * D
    rng = np.random.default_rng(RNG_SEED)
    scatters, factors, expected = [], [], 0.0
    for _ in range(D // size):
        up = rng.normal(size=(pairs, size)) @ (np.eye(size) + rng.normal(size=(size, size)) / size)
        scatters.append(2 * up.T @ up)
        factors.append(linalg.qr(rng.normal(size=(2 * size, size)), mode="r")[0][:size] / size)
        covariance, other = scatters[-1] / (count - 1), factors[-1].T @ factors[-1]
        expected += np.trace(covariance) + np.trace(other) - 2 * sum_of_roots(covariance, other)
    shift = np.linspace(0, 0.1, D)
    generated = FeatureMoments(count, shift, linalg.block_diag(*scatters))
    found = squared_frechet_distance(generated, GaussianFit(None, np.zeros(D), linalg.block_diag(*factors)))
    assert found == pytest.approx(expected + shift @ shift, rel=1e-6)
