"""Active units, the aggregated posterior's gap, collapse and codebooks: which part of the latent a VAE uses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tests.numerics.known_linear_model import (
    ACTIVITIES,
    images_from_the_model,
    images_with_the_model_moments,
    linear_model,
)
from vaeval_core.checkpoints.linear_gaussian import LinearGaussianVae, linear_gaussian_vae
from vaeval_core.errors import InvalidInput
from vaeval_core.generation.interventions import decoder_response
from vaeval_core.generation.reconstruct import encode
from vaeval_core.metrics.active_units import active_units
from vaeval_core.metrics.aggregated_posterior import aggregated_posterior_gap, gaussian_total_correlation
from vaeval_core.metrics.codebook import CodeCounts, codebook_perplexity, codebook_rate, codebook_usage
from vaeval_core.metrics.collapse import CollapseVerdict, collapsed_dimensions, judge_collapse
from vaeval_core.metrics.measured_values import measured_values
from vaeval_core.metrics.posterior_rows import PosteriorRows
from vaeval_core.seeding import standard_normal
from vaeval_core.testing import TwoPixelVae
from vaeval_core.types import IndexRange


def posterior_of(model: LinearGaussianVae, images: np.ndarray) -> PosteriorRows:
    posterior = model.encode(images)
    return PosteriorRows(posterior.mean, posterior.log_variance)


# --- active units -----------------------------------------------------------------------------------------------------


def test_the_linear_model_has_the_activities_of_its_singular_values() -> None:
    model = linear_model()
    posterior = posterior_of(model, images_with_the_model_moments(model, unbiased=True))
    value = active_units(posterior.mean_moments)
    assert value.value == 3
    np.testing.assert_allclose(value.components, ACTIVITIES, rtol=1e-6, atol=1e-6)


def test_the_count_depends_on_the_threshold() -> None:
    means = np.sqrt([0.5, 0.05, 0.005, 0.0005]) * np.float32([[1], [-1]]) / math.sqrt(2)
    moments = PosteriorRows(means.astype(np.float32), None).mean_moments
    np.testing.assert_allclose(active_units(moments).components, [0.5, 0.05, 0.005, 0.0005], rtol=1e-6)
    assert [active_units(moments, threshold).value for threshold in (1e-3, 1e-2, 1e-1)] == [3, 2, 1]


def test_a_variance_needs_two_images_and_numbers() -> None:
    one = PosteriorRows(np.zeros((1, 2), np.float32), None)
    assert active_units(one.mean_moments).reason == "A variance needs at least two images."
    broken = PosteriorRows(np.float32([[0, np.nan], [1, 1]]), None)
    assert active_units(broken.mean_moments).kind == "nan"


# --- aggregated posterior ---------------------------------------------------------------------------------------------


def test_the_linear_model_fills_its_prior() -> None:
    model = linear_model()
    value = aggregated_posterior_gap(posterior_of(model, images_with_the_model_moments(model)))
    assert value.value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("mean", "variance", "nats"), [(0, 4, 0.8068528194), (2, 0.25, 2.3181471806), (1, 1, 0.5)])
def test_the_gap_of_one_posterior_is_its_kl(mean: float, variance: float, nats: float) -> None:
    rows = PosteriorRows(np.full((5, 1), mean, np.float32), np.full((5, 1), math.log(variance), np.float32))
    value = aggregated_posterior_gap(rows)
    assert value.value == pytest.approx(nats, rel=1e-6)
    assert value.components == pytest.approx((nats,), rel=1e-6)


def correlated(count: int, size: int, log_variance: float | None) -> PosteriorRows:
    generator = np.random.default_rng(0)
    means = generator.normal(size=(count, size)) @ generator.normal(size=(size, size)) / math.sqrt(size) + 0.5
    variances = None if log_variance is None else np.full((count, size), log_variance, np.float32)
    return PosteriorRows(means.astype(np.float32), variances)


@pytest.mark.parametrize(("count", "size"), [(200, 3), (40, 39), (10, 30)])
def test_the_gap_is_the_kl_of_a_gaussian_with_these_moments(count: int, size: int) -> None:
    posterior = correlated(count, size, -1.0)
    means = posterior.mean.astype(np.float64)
    covariance = np.cov(means.T, bias=True) + math.exp(-1.0) * np.eye(size)
    mean = means.mean(axis=0)
    sign, log_determinant = np.linalg.slogdet(covariance)
    expected = 0.5 * (np.trace(covariance) + mean @ mean - size - log_determinant)
    value = aggregated_posterior_gap(posterior)
    assert sign == 1
    assert value.value == pytest.approx(expected, rel=1e-9)
    # The marginals' part and the correlation's part, each by its own formula.
    correlation = gaussian_total_correlation(covariance)
    assert sum(value.components) + correlation == pytest.approx(expected, rel=1e-9)


def test_the_total_correlation_of_two_gaussians_is_half_the_log_of_what_is_not_explained() -> None:
    assert gaussian_total_correlation([[1, 0.9], [0.9, 1]]) == pytest.approx(0.5 * math.log(1 / 0.19), rel=1e-12)
    assert gaussian_total_correlation(np.diag([3.0, 0.1])) == pytest.approx(0, abs=1e-12)


def test_an_autoencoder_has_a_gap_as_well() -> None:
    posterior = correlated(200, 3, None)
    expected = correlated(200, 3, -60.0)  # a variance of e⁻⁶⁰ is none
    assert aggregated_posterior_gap(posterior).value == pytest.approx(
        aggregated_posterior_gap(expected).value, rel=1e-9
    )


def test_an_autoencoder_with_fewer_images_than_latents_has_none() -> None:
    value = aggregated_posterior_gap(correlated(30, 30, None))
    assert value.kind == "not_applicable"
    assert "30 latents without a variance span at most 29 of 30 dimensions" in str(value.reason)


def test_a_direction_without_spread_is_infinitely_far_from_the_prior() -> None:
    means = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    value = aggregated_posterior_gap(PosteriorRows(np.concatenate([means, means[:, :1]], axis=1), None))
    assert (value.kind, value.value) == ("inf", None)
    assert "no spread at all" in str(value.reason)


def test_posteriors_that_are_not_finite_are_counted() -> None:
    posterior = correlated(20, 2, -1.0)
    posterior.mean[4] = np.inf
    value = aggregated_posterior_gap(posterior)
    assert (value.kind, value.reason) == ("nan", "1 of 20 posteriors hold values that are not finite.")


@pytest.mark.parametrize("matrix", [np.zeros((2, 3)), np.ones((2, 2)), [[1, 0.5], [0.2, 1]], [[np.nan]]])
def test_what_is_no_covariance_is_refused(matrix: object) -> None:
    with pytest.raises(InvalidInput, match=r"array of shape \(\d, \d\).*symmetric, positive definite"):
        gaussian_total_correlation(matrix)  # type: ignore[arg-type]


# --- collapse ---------------------------------------------------------------------------------------------------------


def verdict_on(model: LinearGaussianVae) -> CollapseVerdict:
    """From 40 images of the model: both sides of every dimension."""
    images = images_from_the_model(model, 40, seed=2)
    divergence = PosteriorRows(*_posterior(model, images)).divergence
    assert divergence is not None
    first = IndexRange(0, 32)
    means = encode(model, images[:32], first, 32).mean
    return judge_collapse(divergence, decoder_response(model, means, first, seed=0, batch=32))


def _posterior(model: LinearGaussianVae, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    posterior = model.encode(images)
    assert posterior.log_variance is not None
    return posterior.mean, posterior.log_variance


def test_three_models_of_known_illness_are_told_apart() -> None:
    partial = linear_model()  # the fourth singular value is 0
    healthy = linear_gaussian_vae(partial.weights[:, :3], partial.offset, partial.noise_variance, partial.image_shape)
    full = linear_gaussian_vae(0 * partial.weights, partial.offset, partial.noise_variance, partial.image_shape)
    verdicts = [verdict_on(model) for model in (healthy, partial, full)]
    assert [str(verdict) for verdict in verdicts] == ["healthy", "partial(1 of 4)", "full"]
    assert verdicts[1].uninformative == verdicts[1].ignored == (False, False, False, True)


def test_a_dimension_that_the_decoder_ignores_is_collapsed_although_it_carries_nats() -> None:
    class Deaf(TwoPixelVae):
        @property
        def latent_size(self) -> int:
            return 2

        def decode(self, latents: np.ndarray) -> np.ndarray:
            return super().decode(latents[:, :1])

    means = np.random.default_rng(3).normal(size=(8, 2)).astype(np.float32)
    response = decoder_response(Deaf(), means, IndexRange(8, 16), seed=0, batch=32)
    assert (response[:, 0] > 0.01).all()
    assert (response[:, 1] == 0).all()
    verdict = judge_collapse(np.full((8, 2), 3.0), response)
    assert (verdict.uninformative, verdict.ignored) == ((False, False), (False, True))
    assert str(verdict) == "partial(1 of 2)"


def test_the_response_is_the_largest_change_of_a_pixel() -> None:
    # TwoPixelVae moves its first pixel by just what the latent moves: from the mean to the prior draw.
    means = np.float32([[0.1], [-0.4], [2.0]])
    response = decoder_response(TwoPixelVae(), means, IndexRange(4, 7), seed=5, batch=32)
    drawn = standard_normal(5, "interventions", IndexRange(4, 7), 1)
    np.testing.assert_allclose(response, np.abs(drawn - means), atol=1e-6)


def test_a_decoder_that_gives_no_number_is_not_taken_for_one_that_ignores() -> None:
    class Diverged(TwoPixelVae):
        def decode(self, latents: np.ndarray) -> np.ndarray:
            return np.full((len(latents), 1, 2, 1), np.nan, np.float32)

    response = decoder_response(Diverged(), np.zeros((3, 1), np.float32), IndexRange(0, 3), seed=0, batch=32)
    assert np.isnan(response).all()
    assert judge_collapse(np.ones((3, 1)), response).ignored == (False,)


def test_the_response_of_an_image_does_not_depend_on_the_cut() -> None:
    model = linear_model()
    means = encode(model, images_from_the_model(model, 20, seed=4), IndexRange(0, 20), 32).mean
    whole = decoder_response(model, means, IndexRange(0, 20), seed=1, batch=32)
    part = decoder_response(model, means[7:], IndexRange(7, 20), seed=1, batch=32)
    np.testing.assert_allclose(part, whole[7:], rtol=1e-9)


def test_one_image_in_a_hundred_may_be_informed() -> None:
    divergence = np.zeros((100, 2))
    divergence[0, 0] = divergence[:2, 1] = 5.0
    assert judge_collapse(divergence).uninformative == (True, False)


def test_a_hundredth_of_a_nat_is_information_and_half_a_grey_level_is_a_change() -> None:
    just_below, just_above = 0.0099, 0.0101
    verdict = judge_collapse(np.array([[just_below, just_above, 1.0]]), np.array([[1.0, 1.0, 1.0]]))
    assert verdict.uninformative == (True, False, False)
    rounded_away, shown = 0.499 / 255, 0.501 / 255
    verdict = judge_collapse(np.ones((1, 3)), np.array([[rounded_away, shown, 1.0]]))
    assert verdict.ignored == (True, False, False)


def test_shards_judge_by_the_same_limits() -> None:
    # The KL of a mean μ under a variance of 1 is μ²/2: 0.1414 is 0.0099975 nats, and 0.1416 is 0.0100253.
    posterior = {
        "posterior/mean": np.float32([[0.1414, 0.1416]]),
        "posterior/log_variance": np.zeros((1, 2), np.float32),
        "interventions/response": np.array([[0.499 / 255, 0.501 / 255]]),
    }
    values = measured_values(posterior)
    assert values["collapse/uninformative"].tolist() == values["collapse/ignored"].tolist() == [[1, 0]]


def test_the_value_counts_and_the_warning_has_the_verdict() -> None:
    verdict = CollapseVerdict(uninformative=(True, False, False), ignored=(True, True, False))
    value = collapsed_dimensions(verdict, 50)
    assert (value.value, value.num_images, value.components) == (2.0, 50, (1.0, 1.0, 0.0))
    (sentence,) = value.warnings
    assert "Posterior collapse: partial(2 of 3). Of 3 latent dimensions, 1 carry no information" in sentence
    assert "2 make no difference to the decoder" in sentence


def test_a_healthy_latent_has_nothing_to_be_warned_of() -> None:
    assert collapsed_dimensions(judge_collapse(np.ones((5, 2)), np.ones((3, 2))), 5).warnings == ()


def test_a_decoder_that_was_not_asked_is_said() -> None:
    assert collapsed_dimensions(judge_collapse(np.ones((5, 2))), 5).warnings == (
        "The decoder was not asked which latent dimensions it uses.",
    )


@pytest.mark.parametrize(("divergence", "response"), [((3,), None), ((0, 2), None), ((3, 2), (3, 3)), ((3, 2), (2,))])
def test_arrays_of_other_latents_are_refused(divergence: tuple[int, ...], response: tuple[int, ...] | None) -> None:
    with pytest.raises(InvalidInput, match=r"Collapse cannot be judged.*divergence \(n, k\) and response \(m, k\)"):
        judge_collapse(np.zeros(divergence), None if response is None else np.zeros(response))


# --- codebooks --------------------------------------------------------------------------------------------------------


def test_a_codebook_used_evenly_has_its_size_in_codes_and_its_logarithm_in_bits() -> None:
    counts = CodeCounts.from_rows(np.tile(np.arange(16), (40, 1)).reshape(40, 4, 4), 16)
    assert codebook_usage(counts).value == 1
    assert codebook_perplexity(counts).value == pytest.approx(16)
    assert codebook_rate(counts).value == pytest.approx(16 * 4)  # 16 tokens of log₂ 16 bits
    assert codebook_rate(counts).warnings == ()


def test_one_code_for_all_says_nothing() -> None:
    counts = CodeCounts.from_rows(np.full((30, 5), 3), 8)
    assert (codebook_usage(counts).value, codebook_perplexity(counts).value, codebook_rate(counts).value) == (
        0.125,
        1,
        0,
    )


def test_uneven_use_has_the_entropy_of_its_shares() -> None:
    codes = np.random.default_rng(6).choice(5, p=[0.5, 0.2, 0.2, 0.1, 0], size=(300, 7))
    counts = CodeCounts.from_rows(codes, 5)
    shares = np.bincount(codes.ravel(), minlength=5) / codes.size
    assert codebook_usage(counts).value == 0.8
    assert codebook_perplexity(counts).value == pytest.approx(math.exp(stats.entropy(shares)))
    assert codebook_rate(counts).value == pytest.approx(7 * stats.entropy(shares, base=2))


def test_counts_of_shards_are_those_of_the_whole() -> None:
    codes = np.random.default_rng(7).integers(0, 9, (50, 6))
    whole = CodeCounts.from_rows(codes, 9)
    merged = CodeCounts.from_rows(codes[:13], 9).merge(CodeCounts.from_rows(codes[13:], 9))
    assert np.array_equal(merged.counts, whole.counts)
    assert (merged.num_images, merged.num_tokens) == (whole.num_images, whole.num_tokens) == (50, 6)


def test_few_tokens_for_a_large_codebook_are_said() -> None:
    counts = CodeCounts.from_rows(np.arange(60).reshape(10, 6), 1024)
    assert "60 tokens are few for a codebook of 1024" in codebook_usage(counts).warnings[0]


@pytest.mark.parametrize(
    ("codes", "received"),
    [
        (np.array([[0, 8]]), "values from 0 to 8"),
        (np.array([[-1, 2]]), "values from -1 to 2"),
        (np.array([[0.0, 1.0]]), "float64"),
        (np.zeros((0, 3), np.int64), "values none"),
    ],
)
def test_codes_outside_the_codebook_are_named(codes: np.ndarray, received: str) -> None:
    with pytest.raises(InvalidInput, match=f"no codes of the codebook.*{received}.*from 0 to 7"):
        CodeCounts.from_rows(codes, 8)
