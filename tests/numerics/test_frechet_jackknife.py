"""Standard error and bias of a Fréchet distance: against leaving images out one by one, and against repeated draws."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import linalg

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.metrics.frechet import fit_gaussian, squared_frechet_distance
from vaeval_core.metrics.frechet_jackknife import FrechetJackknife, frechet_jackknife, second_order_variance
from vaeval_core.metrics.gaussian_fit import GaussianFit

BOTH_KINDS = pytest.mark.parametrize("kind", [FeatureRows, FeatureMoments])


def gaussian_reference(dimension: int, scale: float = 1.0) -> GaussianFit:
    """N(0, scale²) in every dimension, exactly."""
    return GaussianFit(10_000, np.zeros(dimension), scale * np.eye(dimension))


def jackknife(rows: np.ndarray, reference: GaussianFit, kind: type = FeatureMoments) -> FrechetJackknife:
    return frechet_jackknife(kind.from_rows(rows), [rows], reference)


def left_out_one_by_one(rows: np.ndarray, reference: GaussianFit) -> np.ndarray:
    """The distance without each image, computed anew each time."""
    remaining = (FeatureRows(np.delete(rows, i, axis=0)) for i in range(len(rows)))
    return np.array([squared_frechet_distance(features, reference) for features in remaining])


@BOTH_KINDS
@pytest.mark.parametrize("num_reference", [5, 40])
@pytest.mark.parametrize(
    ("count", "dimension"),
    [(60, 6), (20, 12), (13, 12), (12, 12), (11, 12), (6, 20), (3, 4)],
    ids=str,
)
def test_it_is_what_leaving_out_each_image_gives(kind: type, count: int, dimension: int, num_reference: int) -> None:
    rng = np.random.default_rng(count * dimension)
    rows = rng.normal(size=(count, dimension)) * np.linspace(0.2, 2, dimension) + 1
    reference = fit_gaussian(FeatureRows(rng.normal(size=(num_reference, dimension))))
    without = left_out_one_by_one(rows, reference)
    result = jackknife(rows, reference, kind)
    assert result.distance == pytest.approx(squared_frechet_distance(FeatureRows(rows), reference), rel=1e-9)
    expected = (count - 1) * (without.mean() - without)
    # Coordinates from moments are float32; where an image has a direction to itself, that is the difference of near equals.
    tolerance = 1e-6 if kind is FeatureRows else 1e-3
    np.testing.assert_allclose(result.influence, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    assert result.bias == pytest.approx((count - 1) * (without.mean() - result.distance), rel=tolerance)


def test_with_many_images_it_is_the_influence_function_by_the_optimal_transport_map() -> None:
    rng = np.random.default_rng(1)
    rows = np.maximum(rng.normal(size=(20_000, 5)) @ rng.normal(size=(5, 5)), 0)
    real = rng.normal(size=(500, 5)) @ rng.normal(size=(5, 5)) + 0.3
    covariance, target = np.cov(rows.T), np.cov(real.T)
    # T = Σ₁^-½ (Σ₁^½ Σ₂ Σ₁^½)^½ Σ₁^-½, by scipy's matrix roots.
    root = linalg.sqrtm(covariance).real
    inverse = linalg.inv(root)
    transport = inverse @ linalg.sqrtm(root @ target @ root).real @ inverse
    np.testing.assert_allclose(transport @ covariance @ transport, target, rtol=1e-8)
    centred = rows - rows.mean(0)
    change = np.eye(5) - transport
    influence = 2 * centred @ (rows.mean(0) - real.mean(0)) + np.einsum("ij,jk,ik->i", centred, change, centred)
    influence -= np.trace(change @ covariance)
    result = jackknife(rows, fit_gaussian(FeatureMoments.from_rows(real)))
    # An image far out leaves by more than its first order; on average it is 1/n.
    assert np.abs(result.influence - influence).mean() < 1e-3 * influence.std()
    assert result.std_error == pytest.approx(influence.std(ddof=1) / np.sqrt(20_000), rel=1e-3)


def test_influences_have_mean_zero_and_give_the_standard_error() -> None:
    rows = np.random.default_rng(2).normal(size=(400, 4)) * 3
    result = jackknife(rows, gaussian_reference(4))
    assert abs(result.influence.mean()) < 1e-9
    first_order = result.influence.var(ddof=1) / 400
    assert result.std_error == pytest.approx(np.sqrt(first_order - result.second_order_variance), rel=1e-12)


def test_the_second_order_variance_of_isotropic_gaussians() -> None:
    d, n, sigma, tau = 3, 1000, 2.0, 0.5
    features = FeatureMoments(n, np.zeros(d), sigma**2 * np.eye(d) * (n - 1))
    # tr Σ² = dσ⁴, and each of the d(d + 1)/2 pairs has s s/(s + s) = στ/2.
    expected = (2 * d * sigma**4 + 2 * d * (d + 1) / 2 * (sigma * tau / 2) ** 2) / n**2
    assert second_order_variance(features, np.full(d, sigma * tau)) == pytest.approx(expected, rel=1e-12)


def test_the_second_order_variance_of_rows_is_that_of_their_moments() -> None:
    rows = np.random.default_rng(3).normal(size=(10, 40))
    values = np.linspace(1, 2, 9)
    of_rows = second_order_variance(FeatureRows(rows), values)
    assert of_rows == pytest.approx(second_order_variance(FeatureMoments.from_rows(rows), values), rel=1e-9)
    harmonic = np.outer(values, values) / np.add.outer(values, values)
    pairs = 2 * np.square(harmonic)[np.triu_indices(9)].sum()
    assert of_rows == pytest.approx((2 * np.square(np.cov(rows.T)).sum() + pairs) / 100, rel=1e-9)


@pytest.mark.parametrize(("count", "is_taken_off"), [(24, True), (23, False), (10, False)])
def test_below_two_images_per_feature_nothing_is_taken_off(count: int, is_taken_off: bool) -> None:
    rows = np.random.default_rng(3).normal(size=(count, 12))
    result = jackknife(rows, gaussian_reference(12), FeatureRows if count < 12 else FeatureMoments)
    first_order = result.influence.std(ddof=1) / np.sqrt(count)
    assert bool(result.std_error < first_order * 0.999) is is_taken_off
    assert result.std_error <= first_order * (1 + 1e-12)


class TestRepeatedDraws:
    """200 draws: their scatter is known to 5 % (1/√400), so 20 % is four standard errors of it."""

    REPLICATES = 200

    def draws(self, count: int, dimension: int, scale: float, shift: float, rectified: bool) -> list[FrechetJackknife]:
        rng = np.random.default_rng(dimension)
        reference = gaussian_reference(dimension)
        results = []
        for _ in range(self.REPLICATES):
            rows = rng.normal(size=(count, dimension)) * scale + shift
            kind = FeatureRows if count < dimension else FeatureMoments
            results.append(jackknife(np.maximum(rows, 0) if rectified else rows, reference, kind))
        return results

    @pytest.mark.parametrize(
        ("count", "dimension", "scale", "shift", "rectified"),
        [
            pytest.param(320, 16, 1.3, 0.2, False, id="many-normal"),
            pytest.param(320, 16, 1.3, 0.2, True, id="many-rectified"),
            pytest.param(48, 16, 1.5, 0.5, False, id="three-times-the-dimension"),
            pytest.param(320, 16, 1.0, 0.0, False, id="equal-distributions"),
        ],
    )
    def test_the_standard_error_is_how_far_distances_scatter(
        self, count: int, dimension: int, scale: float, shift: float, rectified: bool
    ) -> None:
        results = self.draws(count, dimension, scale, shift, rectified)
        scatter = np.std([result.distance for result in results], ddof=1)
        assert np.mean([result.std_error for result in results]) == pytest.approx(scatter, rel=0.2)

    @pytest.mark.parametrize(
        ("count", "dimension", "scale"), [(40, 96, 1.3), (48, 48, 1.3), (50, 32, 1.0), (40, 96, 1.0)]
    )
    def test_below_two_images_per_feature_the_error_is_on_the_safe_side(
        self, count: int, dimension: int, scale: float
    ) -> None:
        results = self.draws(count, dimension, scale, 0.0, rectified=False)
        scatter = np.std([result.distance for result in results], ddof=1)
        assert 0.85 * scatter < np.mean([result.std_error for result in results]) < 1.75 * scatter

    def test_the_distance_less_its_bias_is_on_average_the_distance_of_the_distributions(self) -> None:
        count, dimension, scale, shift = 96, 12, 1.3, 0.2
        results = self.draws(count, dimension, scale, shift, rectified=False)
        true = dimension * (shift**2 + (scale - 1) ** 2)
        biased = np.array([result.distance for result in results])
        unbiased = biased - [result.bias for result in results]
        # The mean of 200 is known to its own standard error; four of those, and a fiftieth of the bias that was taken off.
        tolerance = 4 * unbiased.std() / np.sqrt(self.REPLICATES) + (biased.mean() - true) / 50
        assert abs(unbiased.mean() - true) < tolerance
        assert biased.mean() - true > 5 * tolerance, "there was something to take off"


class TestAtTheEdges:
    @BOTH_KINDS
    @pytest.mark.parametrize("offset", [0.0, 1e4])
    def test_one_image_over_and_over_has_no_error(self, kind: type, offset: float) -> None:
        rows = np.tile(np.random.default_rng(4).normal(size=(1, 6)) + offset, (40, 1))
        result = jackknife(rows, gaussian_reference(6), kind)
        assert (result.std_error, result.influence.tolist()) == (0.0, [0.0] * 40)
        assert result.distance == pytest.approx(np.square(rows[0]).sum() + 6)

    @BOTH_KINDS
    def test_features_that_vary_along_one_line_are_compared_along_it(self, kind: type) -> None:
        rng = np.random.default_rng(5)
        line = rng.normal(size=(30, 1)) * 2
        result = jackknife(line @ np.ones((1, 4)) / 2, gaussian_reference(4), kind)
        alone = jackknife(line, gaussian_reference(1))
        assert result.distance == pytest.approx(alone.distance + 3, rel=1e-9)
        np.testing.assert_allclose(result.influence, alone.influence, atol=1e-5 * np.abs(alone.influence).max())

    @BOTH_KINDS
    def test_features_that_never_vary_change_nothing(self, kind: type) -> None:
        rng = np.random.default_rng(6)
        rows, real = rng.normal(size=(30, 5)), rng.normal(size=(90, 5)) * 2
        padded = [np.concatenate([values, np.full((len(values), 3), 7.0)], axis=1) for values in (rows, real)]
        result = jackknife(padded[0], fit_gaussian(kind.from_rows(padded[1])), kind)
        alone = jackknife(rows, fit_gaussian(kind.from_rows(real)), kind)
        assert result.distance == pytest.approx(alone.distance, rel=1e-9)
        np.testing.assert_allclose(result.influence, alone.influence, atol=1e-5 * np.abs(alone.influence).max())

    @BOTH_KINDS
    def test_a_reference_that_never_varies_leaves_the_spread_of_the_generated(self, kind: type) -> None:
        rows = np.random.default_rng(7).normal(size=(30, 5))
        reference = fit_gaussian(kind.from_rows(np.ones((10, 5))))
        result = jackknife(rows, reference, kind)
        # d² = |μ - 1|² + tr Σ
        expected = np.square(rows.mean(0) - 1).sum() + rows.var(0, ddof=1).sum()
        assert result.distance == pytest.approx(expected, rel=1e-12)
        without = left_out_one_by_one(rows, reference)
        np.testing.assert_allclose(result.influence, 29 * (without.mean() - without), rtol=1e-9, atol=1e-9)

    def test_an_offset_of_ten_thousand_costs_few_digits(self) -> None:
        rows = np.random.default_rng(8).normal(size=(100, 5)) * 2
        near = jackknife(rows, gaussian_reference(5))
        reference = GaussianFit(1000, np.full(5, 1e4), np.eye(5))
        far = jackknife(rows + 1e4, reference)
        assert far.distance == pytest.approx(near.distance, rel=1e-9)
        np.testing.assert_allclose(far.influence, near.influence, atol=1e-5 * np.abs(near.influence).max())

    def test_two_images_are_refused_with_their_number(self) -> None:
        with pytest.raises(TooFewImages, match=r"leave one out.* Received: num_images=2 Expected: 3 or more"):
            jackknife(np.eye(2), gaussian_reference(2))

    def test_rows_that_are_not_those_of_the_moments_are_noticed(self) -> None:
        rows = np.random.default_rng(9).normal(size=(20, 3))
        with pytest.raises(InvalidInput, match=r"Received: 19 feature vectors Expected: 20"):
            frechet_jackknife(FeatureMoments.from_rows(rows), [rows[:19]], gaussian_reference(3))


@pytest.mark.parametrize("cuts", [[1], [7, 8], [100], [64, 128, 192]])
def test_pieces_of_any_size_give_the_same(cuts: list[int]) -> None:
    rows = np.random.default_rng(10).normal(size=(200, 6)).astype(np.float32)
    features, reference = FeatureMoments.from_rows(rows), gaussian_reference(6, 2.0)
    whole = frechet_jackknife(features, [rows], reference)
    cut = frechet_jackknife(features, np.split(rows, cuts), reference)
    np.testing.assert_allclose(cut.influence, whole.influence, rtol=1e-12, atol=1e-12 * np.abs(whole.influence).max())
    assert cut.std_error == pytest.approx(whole.std_error, rel=1e-12)


def test_the_memory_of_a_distance_with_its_error_does_not_grow_with_the_number_of_images() -> None:
    """A few matrices of the size of the covariance, and eight bytes an image for what each does."""
    dimension, peaks = 160, []
    reference = gaussian_reference(dimension)

    class Drawn:
        """Features that are never all there."""

        def __init__(self, count: int) -> None:
            self.shape = (count, dimension)

        def __iter__(self) -> Iterator[np.ndarray]:
            few = np.random.default_rng(0).normal(size=(500, dimension)).astype(np.float32)
            return (np.roll(few, number, axis=1) for number in range(self.shape[0] // 500))

    for count in (2000, 20_000):
        tracemalloc.start()
        try:
            frechet_distance(Drawn(count), reference)
            peaks.append(tracemalloc.get_traced_memory()[1] - 3 * 8 * count)
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
