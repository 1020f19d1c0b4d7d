"""The extrapolated distance: a line through its points, near the truth, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.metrics.frechet_infinity import frechet_distance_infinity
from vaeval_core.metrics.gaussian_fit import GaussianFit

DIMENSION = 8
TRUTH = DIMENSION * 0.3**2
"""Squared distance of N(0, 1.3²) to N(0, 1)."""


def reference() -> GaussianFit:
    return GaussianFit(None, np.zeros(DIMENSION), np.eye(DIMENSION))


def generated(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIMENSION)) * 1.3


def test_it_comes_nearer_to_the_distance_of_the_distributions_than_the_distance_itself() -> None:
    errors = []
    for seed in range(20):
        rows = generated(200, seed)
        plain = frechet_distance(rows, reference()).value
        at_infinity = frechet_distance_infinity(rows, reference()).value
        assert plain is not None
        assert at_infinity is not None
        errors.append((plain - TRUTH, at_infinity - TRUTH))
    biases = np.abs(np.mean(errors, axis=0))
    assert biases[1] < biases[0] / 2


def test_the_components_are_the_line_and_its_points() -> None:
    rows = generated(400)
    result = frechet_distance_infinity(rows, reference(), smallest=100, num_points=4)
    slope, *points = result.components
    counts, distances = np.reshape(points, (4, 2)).T
    assert counts.tolist() == [100, 200, 300, 400]
    np.testing.assert_allclose(np.polyfit(1 / counts, distances, 1), [slope, result.value], rtol=1e-9)
    assert distances[-1] == pytest.approx(frechet_distance(rows, reference()).value, rel=1e-12)
    assert (result.num_images, result.std_error) == (400, None)


def test_one_seed_gives_one_number_and_another_seed_other_subsets() -> None:
    rows = generated(200)
    first, again = (frechet_distance_infinity(rows, reference(), seed=3) for _ in range(2))
    assert first == again
    assert frechet_distance_infinity(rows, reference(), seed=4).components != first.components


def test_images_in_a_telling_order_are_mixed() -> None:
    """Sorted by size, the first images alone would say something else than all of them."""
    rows = generated(400)
    in_order = rows[np.argsort(np.square(rows).sum(axis=1))]
    mixed = [frechet_distance_infinity(in_order, reference(), seed=seed).value for seed in range(5)]
    assert np.abs(np.array(mixed, dtype=float) - TRUTH).max() < 0.5


def test_a_reference_of_rows_is_fitted_first() -> None:
    real = np.random.default_rng(9).normal(size=(300, DIMENSION))
    result = frechet_distance_infinity(generated(100), real)
    assert result.components[-1] == pytest.approx(frechet_distance(generated(100), real).value, rel=1e-12)


def test_with_too_few_images_for_a_line_it_does_not_apply() -> None:
    result = frechet_distance_infinity(generated(23), reference())
    assert (result.kind, result.value) == ("not_applicable", None)
    assert "with 8 features an extrapolation needs 24 images, and there are 23" in str(result.reason)
    assert frechet_distance_infinity(generated(24), reference()).kind == "finite"


@pytest.mark.parametrize(("smallest", "num_points"), [(100, 15), (1, 15), (50, 2)])
def test_subsets_that_make_no_line_are_refused(smallest: int, num_points: int) -> None:
    with pytest.raises(InvalidInput, match=f"Received: smallest={smallest}, num_points={num_points}, with 100 images"):
        frechet_distance_infinity(generated(100), reference(), smallest=smallest, num_points=num_points)
