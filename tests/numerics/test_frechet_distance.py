"""Fréchet distances against closed forms, and against an independent formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import linalg

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.metrics.frechet import fit_gaussian, squared_frechet_distance
from vaeval_core.metrics.frechet_infinity import frechet_distance_infinity
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.reference_statistics import fit_from_moments


def moments(mean: np.ndarray, covariance: np.ndarray, count: int = 1000) -> FeatureMoments:
    return FeatureMoments(count, np.asarray(mean, float), np.asarray(covariance, float) * (count - 1))


def distance(mean_1, covariance_1, mean_2, covariance_2) -> float:
    return squared_frechet_distance(moments(mean_1, covariance_1), fit_gaussian(moments(mean_2, covariance_2)))


def independent_distance(generated: np.ndarray, real: np.ndarray) -> float:
    """The formula as pytorch-fid and torch-fidelity have it: scipy's root of the product of the two covariances."""
    generated, real = np.asarray(generated, float), np.asarray(real, float)
    covariances = [np.atleast_2d(np.cov(rows.T)) for rows in (generated, real)]
    root = linalg.sqrtm(covariances[0] @ covariances[1])
    shift = generated.mean(0) - real.mean(0)
    return float(shift @ shift + sum(np.trace(matrix) for matrix in covariances) - 2 * np.trace(root).real)


def test_unit_shift_in_every_dimension_is_the_dimension() -> None:
    d = 256
    assert distance(np.zeros(d), np.eye(d), np.ones(d), np.eye(d)) == pytest.approx(d, rel=1e-12)


def test_isotropic_gaussians_differ_by_their_deviations() -> None:
    d, a, b = 32, 3.0, 0.5
    assert distance(np.zeros(d), a**2 * np.eye(d), np.zeros(d), b**2 * np.eye(d)) == pytest.approx(
        d * (a - b) ** 2, rel=1e-12
    )


def test_covariances_with_common_axes_differ_by_their_deviations_along_them() -> None:
    rng = np.random.default_rng(7)
    axes = linalg.qr(rng.normal(size=(24, 24)))[0]
    deviations = np.geomspace(1, 1e-3, 24), rng.permutation(np.geomspace(2, 1e-3, 24))
    shift = rng.normal(size=24)
    covariances = [axes * np.square(values) @ axes.T for values in deviations]
    expected = shift @ shift + np.square(deviations[0] - deviations[1]).sum()
    assert distance(shift, covariances[0], np.zeros(24), covariances[1]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("least", [1e-3, 1e-5, 1e-7])
def test_deviations_over_many_orders_of_magnitude_all_count(least: float) -> None:
    """Squares of the smallest are lost beside the largest: 10⁻¹⁴ and 1 do not fit into one float64."""
    axes = linalg.qr(np.random.default_rng(13).normal(size=(80, 80)))[0]
    deviations = np.geomspace(1, least, 80), np.geomspace(1.1, least, 80)
    covariances = [axes * np.square(values) @ axes.T for values in deviations]
    expected = np.square(deviations[0] - deviations[1]).sum()
    result = distance(np.zeros(80), covariances[0], np.zeros(80), covariances[1])
    # A covariance itself is rounded to 10⁻¹⁶ of its trace; the distance is a hundredth of that trace.
    assert result == pytest.approx(expected, rel=3e-8)


def test_directions_without_variance_add_nothing() -> None:
    """Square roots of eigenvalues that are nothing but rounding would add 10⁻⁸ of the largest each."""
    rng = np.random.default_rng(8)
    axes = linalg.qr(rng.normal(size=(60, 60)))[0]
    deviations = np.zeros((2, 60))
    deviations[0, :20] = np.geomspace(1, 1e-2, 20)
    deviations[1, 10:30] = np.geomspace(1, 1e-2, 20)
    covariances = [axes * np.square(values) @ axes.T for values in deviations]
    expected = np.square(deviations[0] - deviations[1]).sum()
    assert distance(np.zeros(60), covariances[0], np.zeros(60), covariances[1]) == pytest.approx(expected, rel=1e-12)


def test_features_that_are_copies_of_others_count_with_them() -> None:
    rng = np.random.default_rng(9)
    real, generated = rng.normal(size=(300, 6)), rng.normal(size=(200, 6)) * 1.3
    once = squared_frechet_distance(FeatureMoments.from_rows(generated), fit_gaussian(FeatureMoments.from_rows(real)))
    thrice = squared_frechet_distance(
        FeatureMoments.from_rows(np.tile(generated, 3)), fit_gaussian(FeatureMoments.from_rows(np.tile(real, 3)))
    )
    assert thrice == pytest.approx(3 * once, rel=1e-12)


@pytest.mark.parametrize(("count", "dimension"), [(400, 12), (60, 40), (4000, 3)])
def test_the_formula_of_other_libraries_gives_the_same(count: int, dimension: int) -> None:
    rng = np.random.default_rng(count)
    mixing = rng.normal(size=(dimension, dimension))
    real = np.maximum(rng.normal(size=(count, dimension)) @ mixing, 0)
    generated = np.maximum(rng.normal(size=(count, dimension)) @ mixing + 0.2, 0)
    result = squared_frechet_distance(FeatureMoments.from_rows(generated), fit_gaussian(FeatureMoments.from_rows(real)))
    assert result == pytest.approx(independent_distance(generated, real), rel=1e-6)


@pytest.mark.parametrize("kind", [FeatureRows, FeatureMoments])
@pytest.mark.parametrize("count", [2, 3, 7, 8, 9])
def test_few_images_give_a_real_number_that_is_never_negative(kind: type, count: int) -> None:
    rng = np.random.default_rng(count)
    real, generated = rng.normal(size=(30, 8)) + 1e4, rng.normal(size=(count, 8)) + 1e4
    fit = fit_gaussian(kind.from_rows(real))
    result = squared_frechet_distance(kind.from_rows(generated), fit)
    by_svd = linalg.svdvals((generated - generated.mean(0)) @ (real - real.mean(0)).T) / np.sqrt(29 * (count - 1))
    shift = generated.mean(0) - real.mean(0)
    traces = generated.var(0, ddof=1).sum() + real.var(0, ddof=1).sum()
    assert result == pytest.approx(shift @ shift + traces - 2 * by_svd.sum(), rel=1e-8)


@pytest.mark.parametrize("kind", [FeatureRows, FeatureMoments])
def test_one_image_over_and_over_is_compared_with_the_spread_of_the_others(kind: type) -> None:
    real = np.random.default_rng(10).normal(size=(50, 6)) + 1e4
    collapsed = np.tile(real[:1], (40, 1))
    result = squared_frechet_distance(kind.from_rows(collapsed), fit_gaussian(kind.from_rows(real)))
    expected = np.square(real[0] - real.mean(0)).sum() + real.var(0, ddof=1).sum()
    assert result == pytest.approx(expected, rel=1e-9)


def test_two_by_two_matrices_that_do_not_commute() -> None:
    # tr √(S₁S₂) = √(tr S₁S₂ + 2 √det S₁S₂) = √(8 + 2·3) for these two; 4 + 4 - 2√14.
    result = distance([0, 0], [[2, 1], [1, 2]], [0, 0], [[3, 0], [0, 1]])
    assert result == pytest.approx(8 - 2 * np.sqrt(14), rel=1e-12)


def test_singular_covariances_of_rank_one() -> None:
    # Set 1 varies in the first feature only, set 2 in the second: the product has no trace, 64 + 49… by hand below.
    real = np.ones((100, 2), np.float32)
    real[:50, 0] = 2
    generated = np.full((100, 2), 9, np.float32)
    generated[50:, 0] = 2
    # means (1.5, 1) and (5.5, 9); variances 25/99 and 1225/99 in the first feature: (√1225 - √25)²/99 = 900/99.
    expected = 4.0**2 + 8.0**2 + 900 / 99
    fit = fit_gaussian(FeatureMoments.from_rows(real))
    assert squared_frechet_distance(FeatureMoments.from_rows(generated), fit) == pytest.approx(expected, rel=1e-9)
    assert squared_frechet_distance(FeatureRows(generated), fit_gaussian(FeatureRows(real))) == pytest.approx(
        expected, rel=1e-9
    )


def test_rows_and_moments_agree_where_both_apply() -> None:
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(24, 24))
    real = (rng.normal(size=(300, 24)) @ mixing).astype(np.float32)
    generated = (rng.normal(size=(200, 24)) @ mixing * 1.2 + 0.3).astype(np.float32)
    by_rows = squared_frechet_distance(FeatureRows(generated), fit_gaussian(FeatureRows(real)))
    by_moments = squared_frechet_distance(
        FeatureMoments.from_rows(generated), fit_gaussian(FeatureMoments.from_rows(real))
    )
    mixed = squared_frechet_distance(FeatureRows(generated), fit_gaussian(FeatureMoments.from_rows(real)))
    # scipy's square root of the product is a third, independent way, and well-conditioned here.
    independent = independent_distance(generated, real)
    assert by_rows == pytest.approx(independent, rel=1e-9)
    assert by_moments == pytest.approx(independent, rel=1e-9)
    assert mixed == pytest.approx(independent, rel=1e-9)


def test_the_published_seeded_case() -> None:
    # Four independent routes gave 2.57545541770579 for these float64 draws; float32 storage of features costs digits.
    draws = np.random.RandomState(0)
    real = draws.randn(500, 16)
    generated = draws.randn(400, 16) * 1.2 + 0.3
    result = squared_frechet_distance(FeatureMoments.from_rows(generated), fit_gaussian(FeatureMoments.from_rows(real)))
    assert result == pytest.approx(2.57545541770579, rel=1e-12)


def test_fewer_images_than_dimensions_gives_a_real_number() -> None:
    rng = np.random.default_rng(2)
    real, generated = rng.normal(size=(2, 12, 200)).astype(np.float32)
    result = squared_frechet_distance(FeatureRows(generated), fit_gaussian(FeatureRows(real)))
    product = linalg.svdvals((generated - generated.mean(0)).astype(float) @ (real - real.mean(0)).astype(float).T)
    shift = generated.mean(0, dtype=float) - real.mean(0, dtype=float)
    variances = generated.var(0, ddof=1, dtype=float).sum() + real.var(0, ddof=1, dtype=float).sum()
    assert result == pytest.approx(shift @ shift + variances - 2 * product.sum() / 11, rel=1e-5)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_identical_sets_are_at_distance_zero(offset: float) -> None:
    rows = (np.random.default_rng(3).normal(size=(80, 10)) + offset).astype(np.float32)
    scale = float(np.square(rows.std(axis=0)).sum())
    for kind in (FeatureRows.from_rows, FeatureMoments.from_rows):
        assert 0 <= squared_frechet_distance(kind(rows), fit_gaussian(kind(rows))) <= 1e-9 * scale


def test_constant_features_are_compared_by_their_means() -> None:
    ones, threes = np.ones((5, 4), np.float32), np.full((5, 4), 3, np.float32)
    assert squared_frechet_distance(FeatureRows(threes), fit_gaussian(FeatureRows(ones))) == pytest.approx(16)


def test_a_fit_of_many_images_is_a_triangular_factor_of_the_covariance() -> None:
    rows = np.random.default_rng(11).normal(size=(100, 7))
    fit = fit_gaussian(FeatureMoments.from_rows(rows))
    np.testing.assert_allclose(fit.covariance, np.cov(rows.T), rtol=1e-12, atol=1e-12)
    assert not np.tril(fit.factor, -1).any()


def test_a_factor_that_is_not_triangular_gives_the_same_distance() -> None:
    """References that were stored before factors were triangular stay as good as they were."""
    rng = np.random.default_rng(12)
    generated = FeatureMoments.from_rows(rng.normal(size=(80, 7)))
    fit = fit_gaussian(FeatureMoments.from_rows(rng.normal(size=(100, 7)) * 2))
    turned = GaussianFit(fit.count, fit.mean, linalg.qr(rng.normal(size=(7, 7)))[0] @ fit.factor)
    assert squared_frechet_distance(generated, turned) == pytest.approx(
        squared_frechet_distance(generated, fit), rel=1e-12
    )


@pytest.mark.parametrize("count", [6, None])
def test_a_fit_survives_being_stored(count: int | None) -> None:
    rows = np.random.default_rng(4).normal(size=(6, 9)).astype(np.float32)
    fit = replace(fit_gaussian(FeatureRows(rows)), count=count)
    again = GaussianFit.from_arrays(fit.to_arrays())
    assert again.count == count
    np.testing.assert_array_equal(again.factor, fit.factor)
    np.testing.assert_array_equal(again.mean, fit.mean)


@pytest.mark.parametrize("dimension", [20, 120])
@pytest.mark.parametrize("rank", [1, 7])
def test_sets_without_a_direction_in_common_are_as_far_apart_as_their_spreads(dimension: int, rank: int) -> None:
    """Nothing is left of the last trace: rounding must not be taken for values of it, square roots of 10⁻¹⁶."""
    rng = np.random.default_rng(dimension)
    axes = linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    one = rng.normal(size=(2 * dimension, rank)) @ axes[:rank]
    other = rng.normal(size=(2 * dimension, dimension // 2)) @ axes[-(dimension // 2) :] * 3
    shift = one.mean(0) - other.mean(0)
    expected = shift @ shift + one.var(0, ddof=1).sum() + other.var(0, ddof=1).sum()
    for generated, real in ((one, other), (other, one)):
        found = squared_frechet_distance(
            FeatureMoments.from_rows(generated), fit_gaussian(FeatureMoments.from_rows(real))
        )
        assert found == pytest.approx(expected, rel=1e-13)


def test_unit_shift_at_the_size_of_inception_features_is_exact() -> None:
    d = 2048
    features = FeatureMoments(10_000, np.ones(d), np.eye(d) * 9_999)
    assert squared_frechet_distance(features, GaussianFit(10_000, np.zeros(d), np.eye(d))) == pytest.approx(
        d, rel=1e-12
    )


@pytest.mark.parametrize("kind", [FeatureMoments, FeatureRows])
def test_features_too_large_for_a_distance_are_refused_with_their_size(kind: type) -> None:
    for size, words in ((1e19, r"1e\+19"), (3e30, r"3e\+30")):
        rows = np.random.default_rng(0).choice([-size, size], size=(40, 3))
        rows[0] = size
        with pytest.raises(
            InvalidInput, match=r"large for a distance. Received: values of the size of .* Expected: .*1e\+18"
        ):
            fit_gaussian(kind.from_rows(rows))
        with pytest.raises(InvalidInput, match=rf"The generated features are too large .* of the size of {words} "):
            frechet_distance(rows, np.eye(5, 3))
        with pytest.raises(InvalidInput, match=rf"The reference features are too large .* of the size of {words} "):
            frechet_distance(np.eye(5, 3), rows)


def test_features_of_the_largest_float_are_refused_before_anything_overflows() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3)) * 1e200
    with pytest.raises(InvalidInput, match="too large for a distance"):
        frechet_distance(rows, rows)
    with pytest.raises(InvalidInput, match="too large for a distance"):
        frechet_distance_infinity(rows, GaussianFit(None, np.zeros(3), np.eye(3)))
    with pytest.raises(InvalidInput, match="too large for a distance"):
        fit_from_moments(np.zeros(3), np.eye(3) * 1e200)
    moderate = rows / 1e183  # near 10¹⁷
    value = frechet_distance(moderate, np.eye(5, 3)).value
    assert value == pytest.approx(np.square(moderate.mean(0)).sum() + moderate.var(0, ddof=1).sum(), rel=1e-6)


def test_one_image_is_refused_with_its_count() -> None:
    with pytest.raises(TooFewImages, match=r"Received: num_images=1 Expected: 2 or more"):
        fit_gaussian(FeatureRows(np.ones((1, 3), np.float32)))


def test_different_dimensions_are_refused_with_both() -> None:
    fit = fit_gaussian(FeatureRows(np.eye(3, dtype=np.float32)))
    with pytest.raises(InvalidInput, match=r"Received: 4 and 3"):
        squared_frechet_distance(FeatureRows(np.eye(4, dtype=np.float32)), fit)


def test_nan_features_are_refused_with_count_and_first_image() -> None:
    rows = np.ones((5, 3), np.float32)
    rows[2:4, 1] = np.nan
    with pytest.raises(InvalidInput, match=r"2 values that are NaN or infinite, first at image 2"):
        fit_gaussian(FeatureRows(rows))
