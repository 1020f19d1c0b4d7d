"""The decomposition of the KL, against cases with an answer and against a decomposition without any chunk."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from tests.numerics.known_linear_model import DIVERGENCES, SINGULAR_VALUES
from vaeval_core.errors import InvalidInput
from vaeval_core.measurements.gaussian_posterior import posterior_latents
from vaeval_core.metrics.information import (
    DivergenceDecomposition,
    decompose_divergence,
    dimension_wise_divergence,
    mutual_information,
    num_points_of,
    total_correlation,
    why_not_decomposed,
)
from vaeval_core.metrics.posterior_rows import PosteriorRows
from vaeval_core.seeding import standard_normal
from vaeval_core.types import IndexRange


def rows(mean: object, log_variance: object) -> PosteriorRows:
    means = np.asarray(mean, np.float32)
    return PosteriorRows(means, np.broadcast_to(np.asarray(log_variance, np.float32), means.shape).copy())


def random_rows(count: int, size: int, seed: int = 0) -> PosteriorRows:
    generator = np.random.default_rng(seed)
    return rows(generator.normal(0, 1.5, (count, size)), generator.normal(-2, 1, (count, size)))


def linear_rows(count: int, seed: int) -> PosteriorRows:
    """Posteriors of the linear Gaussian model: variances ¼/(s² + ¼), means with the rest of the prior's variance."""
    variances = 0.25 / (SINGULAR_VALUES**2 + 0.25)
    means = np.random.default_rng(seed).normal(size=(count, 4)) * np.sqrt(1 - variances)
    return rows(means, np.log(variances))


def term_values(decomposition: DivergenceDecomposition) -> tuple[float, float, float]:
    return (
        decomposition.mutual_information.value,
        decomposition.total_correlation.value,
        decomposition.dimension_wise.value,
    )


def decomposed_at_once(posterior: PosteriorRows, seed: int) -> tuple[float, float, np.ndarray, float]:
    """Every density of every draw under every posterior in one array (s, n, k)."""
    assert posterior.log_variance is not None
    noise = standard_normal(seed, "posterior", IndexRange(0, posterior.num_images), posterior.latent_size)
    latents = posterior_latents(posterior.mean, posterior.log_variance, noise)
    scale = np.exp(posterior.log_variance.astype(np.float64) / 2)
    densities = stats.norm(posterior.mean.astype(np.float64), scale).logpdf(latents[:, np.newaxis, :])
    own = np.array([densities[i, i].sum() for i in range(len(latents))])
    log_count = math.log(posterior.num_images)
    aggregated = logsumexp(densities.sum(axis=2), axis=1) - log_count
    marginals = logsumexp(densities, axis=1) - log_count
    prior = stats.norm.logpdf(latents)
    return (
        float((own - aggregated).mean()),
        float((aggregated - marginals.sum(axis=1)).mean()),
        (marginals - prior).mean(axis=0),
        float((own - prior.sum(axis=1)).mean()),
    )


# --- cases with an answer ---------------------------------------------------------------------------------------------


def test_one_image_has_no_information_and_all_its_kl_in_the_marginals() -> None:
    result = decompose_divergence(rows([[1.0, -2.0]], [[-1.0, 0.5]]), seed=0)
    assert result.mutual_information.value == pytest.approx(0, abs=1e-9)
    assert result.total_correlation.value == pytest.approx(0, abs=1e-9)
    assert result.dimension_wise.value == pytest.approx(result.divergence.value, abs=1e-9)


def test_equal_posteriors_carry_no_information() -> None:
    result = decompose_divergence(rows(np.full((50, 3), 0.7), -0.5), seed=1)
    assert result.mutual_information.value == pytest.approx(0, abs=1e-9)
    assert result.total_correlation.value == pytest.approx(0, abs=1e-9)


def test_two_images_far_apart_along_the_diagonal_share_one_bit_between_two_latents() -> None:
    # I = ln 2, and each latent alone tells the images apart: H + H - H = ln 2 of total correlation.
    posterior = rows(np.array([[-9.0, -9.0], [9.0, 9.0]] * 40), -4.0)
    result = decompose_divergence(posterior, seed=2)
    assert result.mutual_information.value == pytest.approx(math.log(2), abs=1e-6)
    assert result.total_correlation.value == pytest.approx(math.log(2), abs=1e-6)


def test_images_far_apart_on_a_grid_have_independent_latents() -> None:
    # Every combination of 6 × 7 places once: q(z) is the product of its marginals, at any width.
    grid = np.array([[a, b] for a in np.linspace(-3, 3, 6) for b in np.linspace(-2, 5, 7)])
    result = decompose_divergence(rows(grid, [-1.0, -3.0]), seed=3)
    assert result.total_correlation.value == pytest.approx(0, abs=1e-9)


def test_images_all_told_apart_have_the_information_of_their_number() -> None:
    result = decompose_divergence(rows(np.arange(300.0)[:, np.newaxis], -9.0), seed=4)
    assert result.mutual_information.value == pytest.approx(math.log(300), abs=1e-6)


def test_the_linear_model_has_its_closed_form_information_and_independent_latents() -> None:
    result = decompose_divergence(linear_rows(2000, seed=5), seed=5)
    for estimate, expected in [(result.mutual_information, DIVERGENCES.sum()), (result.divergence, DIVERGENCES.sum())]:
        assert estimate.std_error is not None
        assert abs(estimate.value - expected) < 3 * estimate.std_error
    # The posteriors of 2000 images do not fill the prior quite: of the order of components/n nats are left.
    assert 0 <= result.dimension_wise.value < 0.01
    assert 0 <= result.total_correlation.value < 0.02
    assert not result.is_saturated


def test_the_kl_at_the_draws_is_the_closed_form_within_its_error() -> None:
    posterior = random_rows(800, 5)
    assert posterior.divergence is not None
    result = decompose_divergence(posterior, seed=6)
    assert result.divergence.std_error is not None
    exact = posterior.divergence.sum(axis=1).mean()
    assert abs(result.divergence.value - exact) < 3 * result.divergence.std_error


# --- laws -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "size"), [(1, 1), (37, 4), (600, 2), (200, 40)])
def test_the_terms_add_up_to_the_kl(count: int, size: int) -> None:
    result = decompose_divergence(random_rows(count, size), seed=7)
    assert sum(term_values(result)) == pytest.approx(result.divergence.value, rel=1e-9)
    assert result.residual < 1e-9
    assert result.dimension_wise_parts.sum() == pytest.approx(result.dimension_wise.value, rel=1e-9)


@pytest.mark.parametrize(("count", "size"), [(20, 3), (400, 2)])
def test_chunks_change_nothing(count: int, size: int) -> None:
    posterior = random_rows(count, size, seed=8)
    result = decompose_divergence(posterior, seed=8)
    information, correlation, parts, divergence = decomposed_at_once(posterior, seed=8)
    assert result.mutual_information.value == pytest.approx(information, rel=1e-10)
    assert result.total_correlation.value == pytest.approx(correlation, rel=1e-10)
    np.testing.assert_allclose(result.dimension_wise_parts, parts, rtol=1e-9)
    assert result.divergence.value == pytest.approx(divergence, rel=1e-10)


def test_far_latents_lose_no_digits_to_underflow() -> None:
    posterior = rows([[-400.0], [0.0], [400.0]], -10.0)
    result = decompose_divergence(posterior, seed=9)
    assert result.mutual_information.value == pytest.approx(math.log(3), rel=1e-9)
    assert result.residual < 1e-9 * result.divergence.value


def test_sixteen_latents_that_know_more_than_the_images_can_tell_are_saturated() -> None:
    # True information 22.67 nats, true total correlation 0; with 128 images the estimates are ln 128 and far above 0.
    variance = math.exp(-2 * 22.67 / 16)
    means = np.random.default_rng(10).normal(0, math.sqrt(1 - variance), (128, 16))
    result = decompose_divergence(rows(means, math.log(variance)), seed=10)
    assert result.mutual_information.value == pytest.approx(math.log(128), abs=1e-3)
    assert result.total_correlation.value > 10
    assert result.is_saturated
    for value in (mutual_information(result), total_correlation(result), dimension_wise_divergence(result)):
        (warning,) = value.warnings
        assert "Saturated: the mutual information comes out as 4.85 nats" in warning
        assert "ln n = 4.85 with n = 128 images" in warning


# --- mistakes of published code ---------------------------------------------------------------------------------------


def test_information_is_not_capped_by_the_logarithm_of_a_batch() -> None:
    result = decompose_divergence(rows(np.arange(500.0)[:, np.newaxis], -9.0), seed=11)
    assert result.mutual_information.value > math.log(32) + 2


def test_every_image_weighs_the_same_in_the_aggregated_posterior() -> None:
    # With each image twice q(z) is the same mixture, so the densities at the same draws are the same.
    posterior = random_rows(30, 3)
    assert posterior.log_variance is not None
    twice = PosteriorRows(np.tile(posterior.mean, (2, 1)), np.tile(posterior.log_variance, (2, 1)))
    once = decompose_divergence(posterior, seed=12)
    np.testing.assert_allclose(
        term_values(decompose_divergence(twice, seed=12, num_points=30)), term_values(once), rtol=1e-9
    )


def test_all_images_count_and_not_only_those_of_the_first_chunk() -> None:
    # 1200 images fill eleven chunks; the last ones alone are far away.
    posterior = rows(np.concatenate([np.zeros(1000), np.full(200, 50.0)])[:, np.newaxis], -1.0)
    shares = np.array([1000, 200]) / 1200
    entropy = -(shares * np.log(shares)).sum()
    assert decompose_divergence(posterior, seed=13).mutual_information.value == pytest.approx(entropy, abs=1e-6)


def test_latents_are_kept_apart_from_images() -> None:
    # A reshape in place of a transpose mixes rows with columns: then dimensions would not follow their permutation.
    posterior = random_rows(60, 4)
    assert posterior.log_variance is not None
    order = np.array([2, 0, 3, 1])
    noise = standard_normal(0, "posterior", IndexRange(0, 60), 4)
    parts = decompose_divergence(posterior, seed=0).dimension_wise_parts
    for dimension in range(4):
        z = posterior.mean[:, dimension] + np.exp(posterior.log_variance[:, dimension] / 2) * noise[:, dimension]
        scale = np.exp(posterior.log_variance[:, dimension].astype(float) / 2)
        density = stats.norm(posterior.mean[:, dimension].astype(float), scale).pdf(z[:, np.newaxis]).mean(axis=1)
        assert parts[dimension] == pytest.approx(float((np.log(density) - stats.norm.logpdf(z)).mean()), rel=1e-4)
    moved = PosteriorRows(posterior.mean[:, order], posterior.log_variance[:, order])
    assert not np.allclose(decompose_divergence(moved, seed=0).dimension_wise_parts, parts)


# --- values and reasons -----------------------------------------------------------------------------------------------


def test_the_values_carry_errors_and_dimensions() -> None:
    posterior = random_rows(100, 3)
    result = decompose_divergence(posterior, seed=14, num_points=80)
    information = mutual_information(result)
    assert (information.value, information.num_images) == (result.mutual_information.value, 100)
    assert information.std_error == result.mutual_information.std_error
    assert dimension_wise_divergence(result).components == tuple(result.dimension_wise_parts)
    assert total_correlation(result).components == ()


def test_the_standard_error_is_the_spread_over_data_and_draws() -> None:
    runs = [decompose_divergence(linear_rows(150, seed), seed=seed).divergence for seed in range(40)]
    spread = np.std([run.value for run in runs], ddof=1)
    errors = [run.std_error for run in runs if run.std_error is not None]
    # The spread of 40 values is known to about 11 %: three of its own errors.
    assert spread == pytest.approx(np.mean(errors), rel=0.34)


def test_a_long_latent_gets_fewer_draws_and_then_none() -> None:
    short, long, longest = (
        PosteriorRows(np.broadcast_to(np.float32(0), (10_000, size)), None) for size in (16, 1000, 10_000)
    )
    assert (num_points_of(short), num_points_of(long)) == (10_000, 400)
    refused = why_not_decomposed(PosteriorRows(longest.mean, np.broadcast_to(np.float32(0), longest.mean.shape)))
    assert refused is not None
    assert refused.kind == "not_applicable"
    assert "10000 posteriors of 10000 dimensions" in str(refused.reason)


def test_what_cannot_be_decomposed_says_why() -> None:
    autoencoder = PosteriorRows(np.zeros((4, 2), np.float32), None)
    broken = random_rows(10, 2)
    broken.mean[3, 1] = np.nan
    for posterior, kind, reason in [
        (None, "not_applicable", "nothing was encoded"),
        (autoencoder, "not_applicable", "an autoencoder without a posterior"),
        (broken, "nan", "1 of 10 posteriors hold values that are not finite"),
    ]:
        value = why_not_decomposed(posterior)
        assert value is not None
        assert (value.kind, value.value) == (kind, None)
        assert reason in str(value.reason)
    assert why_not_decomposed(random_rows(10, 2)) is None


def test_an_autoencoder_or_too_many_draws_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"4 draws from 4 posteriors of 2 dimensions, no variance.*draws ≤ images"):
        decompose_divergence(PosteriorRows(np.zeros((4, 2), np.float32), None), seed=0)
    with pytest.raises(InvalidInput, match=r"11 draws from 10 posteriors"):
        decompose_divergence(random_rows(10, 2), seed=0, num_points=11)


@pytest.mark.parametrize(
    ("mean", "log_variance", "received"),
    [
        (np.zeros((3, 2), np.float32), np.zeros((3, 1), np.float32), r"mean \(3, 2\) float32, log-variance \(3, 1\)"),
        (np.zeros(3, np.float32), None, r"mean \(3,\)"),
        (np.zeros((0, 2), np.float32), None, r"mean \(0, 2\)"),
        (np.zeros((3, 2), np.int64), None, "int64"),
    ],
)
def test_arrays_that_are_no_posteriors_are_named(
    mean: np.ndarray, log_variance: np.ndarray | None, received: str
) -> None:
    with pytest.raises(InvalidInput, match=f"no posteriors.*{received}.*one row per image"):
        PosteriorRows(mean, log_variance)
