"""Metrics that are means over images: their values, their errors, and why there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.numerics.known_linear_model import (
    DIVERGENCES,
    EXPECTED_LOG_LIKELIHOOD,
    NUM_VALUES,
    images_from_the_model,
    images_with_the_model_moments,
    linear_model,
)
from vaeval_core.accumulators.value_moments import ValueMoments
from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.generation.likelihood_bounds import DrawPlan, measure_likelihood
from vaeval_core.measurements.full_covariance_divergence import full_covariance_divergence
from vaeval_core.measurements.gaussian_divergence import divergence_to_standard_normal
from vaeval_core.metrics.base import EvaluationSummary
from vaeval_core.metrics.divergence import divergence_to_prior, rate_in_bits
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.image_means import TOO_SMALL, MeanOverImages
from vaeval_core.metrics.likelihood import LikelihoodMean, calibrated_bits, calibrated_evidence
from vaeval_core.metrics.reconstruction_metrics import PEAK_SIGNAL_TO_NOISE
from vaeval_core.types import IndexRange

REFERENCE = GaussianFit(2, np.zeros(1), np.zeros((1, 1)))
ELBO = LikelihoodMean(measurement="likelihood/elbo")
IWAE = LikelihoodMean(measurement="likelihood/importance_weighted", is_importance_weighted=True)
MEAN_ABSOLUTE_ERROR = MeanOverImages(measurement="absolute_error", is_clamped=False)
DRAWN_RATIO = MeanOverImages(measurement="drawn/peak_signal_to_noise")


def summary(not_finite: int = 0, **values: object) -> EvaluationSummary:
    """Of four reconstructions, with values per image; `__` in a name stands for `/`."""
    return EvaluationSummary(
        counts={"reconstructions": 4},
        values={
            name.replace("__", "/"): ValueMoments.from_rows(np.asarray(rows, float).reshape(4, -1))
            for name, rows in values.items()
        },
        not_finite={"reconstructions": not_finite},
    )


def bounds(**changes: object) -> EvaluationSummary:
    values: dict[str, object] = {
        "divergence": [1, 1, 1, 1],
        "likelihood__elbo": [-9, -8, -9, -8],
        "likelihood__importance_weighted": [-8, -7, -8, -7],
        "likelihood__inverse_effective_size": [0.05] * 4,
        "likelihood__applies": [1] * 4,
    }
    return summary(**(values | changes))


# --- values -----------------------------------------------------------------------------------------------------------


def test_a_mean_over_images_has_the_error_of_its_spread() -> None:
    value = MEAN_ABSOLUTE_ERROR(summary(absolute_error=[0.1, 0.2, 0.3, 0.4]), REFERENCE)
    assert value.value == pytest.approx(0.25)
    assert value.std_error == pytest.approx(math.sqrt(0.05 / 3 / 4))
    assert value.num_images == 4


def test_ratios_at_the_cap_are_counted() -> None:
    values = summary(peak_signal_to_noise=[100, 20, 100, 20], peak_signal_to_noise__capped=[1, 0, 1, 0])
    value = PEAK_SIGNAL_TO_NOISE.compute(values, REFERENCE)
    assert value.value == 60
    assert value.warnings == ("2 of 4 reconstructions equal their image, or nearly so, and count as 100 dB.",)
    assert PEAK_SIGNAL_TO_NOISE.compute(summary(peak_signal_to_noise=[20] * 4), REFERENCE).warnings == ()


def test_bits_are_nats_over_ln_two_in_total_and_in_every_dimension() -> None:
    model = linear_model()
    posterior = model.encode(images_with_the_model_moments(model))
    assert posterior.log_variance is not None
    divergence = divergence_to_standard_normal(posterior.mean, posterior.log_variance)
    values = EvaluationSummary(
        counts={"reconstructions": 16},
        values={
            "divergence": ValueMoments.from_rows(divergence.sum(axis=1, keepdims=True)),
            "divergence_per_dimension": ValueMoments.from_rows(divergence),
        },
    )
    nats, bits = divergence_to_prior(values, REFERENCE), rate_in_bits(values, REFERENCE)
    assert nats.value == pytest.approx(2.56789922, rel=1e-6)
    np.testing.assert_allclose(nats.components, DIVERGENCES, rtol=1e-6, atol=1e-8)
    assert nats.std_error is not None
    assert (bits.value, bits.std_error) == pytest.approx(
        (2.56789922 / math.log(2), nats.std_error / math.log(2)), rel=1e-6
    )
    np.testing.assert_allclose(bits.components, DIVERGENCES / math.log(2), rtol=1e-6, atol=1e-8)


def test_an_autoencoder_has_no_rate() -> None:
    assert rate_in_bits(summary(), REFERENCE).kind == "not_applicable"


@pytest.mark.parametrize("size", [1, 3])
def test_the_divergence_of_a_full_covariance_is_that_of_its_axes(size: int) -> None:
    # Turned by any rotation, N(μ, diag σ²) is as far from N(0, I) as before.
    generator = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(generator.normal(size=(size, size)))
    mean, log_variance = generator.normal(size=(5, size)), generator.normal(size=(5, size))
    covariances = [rotation @ np.diag(np.exp(row)) @ rotation.T for row in log_variance]
    result = full_covariance_divergence(mean @ rotation.T, np.linalg.cholesky(covariances))
    expected = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
    np.testing.assert_allclose(result, expected, rtol=1e-10)


def test_a_correlation_of_nine_tenths_costs_its_closed_form() -> None:
    factor = np.linalg.cholesky(np.array([[[1, 0.9], [0.9, 1]]]))
    assert full_covariance_divergence(np.zeros((1, 2)), factor)[0] == pytest.approx(0.8303656, abs=1e-7)


@pytest.mark.parametrize(
    ("mean", "factor"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3))),
        (np.zeros((2, 2)), np.tile(-np.eye(2), (2, 1, 1))),
        (np.zeros((2, 2)), np.ones((2, 2, 2))),
        (np.zeros((2, 1)), np.full((2, 1, 1), np.nan)),
    ],
)
def test_what_is_no_factor_of_a_covariance_is_refused(mean: np.ndarray, factor: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match=r"no factors of covariances.*factor \(2, .*lower triangular"):
        full_covariance_divergence(mean, factor)


# --- likelihood -------------------------------------------------------------------------------------------------------


def test_a_bound_is_the_mean_over_images() -> None:
    value = ELBO(bounds(), REFERENCE)
    assert (value.value, value.num_images, value.warnings) == (-8.5, 4, ())
    assert value.std_error == pytest.approx(math.sqrt(1 / 3 / 4))


def test_too_few_effective_draws_are_said() -> None:
    many, few = bounds(), bounds(likelihood__inverse_effective_size=[0.05, 0.05, 0.9, 1.0])
    assert IWAE(many, REFERENCE).warnings == ()
    (warning,) = IWAE(few, REFERENCE).warnings
    assert "Bound not converged: the effective sample size is 2.0 draws" in warning
    assert ELBO(few, REFERENCE).warnings == ()


def test_a_bernoulli_bound_of_grey_images_is_not_applicable() -> None:
    value = ELBO(bounds(likelihood__applies=[1, 0, 0, 1]), REFERENCE)
    assert (value.kind, value.value) == ("not_applicable", None)
    assert "2 of 4 images have values between 0 and 1" in str(value.reason)


def test_what_is_missing_has_its_reason() -> None:
    undeclared = summary(divergence=[1] * 4)
    for metric, values, reason in [
        (ELBO, EvaluationSummary(), "The protocol has no reconstructions."),
        (ELBO, summary(), "an autoencoder without a posterior"),
        (ELBO, undeclared, "likelihood: {kind: gaussian, sigma: 0.025}"),
        (MEAN_ABSOLUTE_ERROR, EvaluationSummary(), "The protocol has no reconstructions."),
        (DRAWN_RATIO, summary(), "nothing to draw a reconstruction from"),
        (
            MeanOverImages(measurement="structural_similarity", missing=TOO_SMALL.format(smallest=11)),
            summary(),
            "smaller than 11 × 11 pixels",
        ),
    ]:
        value = metric(values, REFERENCE)
        assert (value.kind, value.value) == ("not_applicable", None)
        assert reason in str(value.reason)


def test_clamped_values_that_were_not_finite_are_no_number() -> None:
    clamped = MeanOverImages(measurement="cross_entropy_excess")
    assert clamped(summary(not_finite=1, cross_entropy_excess=[1] * 4), REFERENCE).kind == "nan"
    drawn = summary(drawn__peak_signal_to_noise=[20] * 4, drawn__finite=[1, 1, 0, 1])
    assert DRAWN_RATIO(drawn, REFERENCE).reason == "1 of 4 reconstructions from a draw hold values that are not finite."
    sound = summary(drawn__peak_signal_to_noise=[20] * 4, drawn__finite=[1] * 4)
    assert DRAWN_RATIO(sound, REFERENCE).value == 20


def test_an_infinite_error_of_unclamped_values_is_kept_as_such() -> None:
    assert MEAN_ABSOLUTE_ERROR(summary(absolute_error=[1, np.inf, 1, 1]), REFERENCE).kind == "inf"


# --- calibrated -------------------------------------------------------------------------------------------------------


def test_the_calibrated_bound_of_the_linear_model_is_its_likelihood() -> None:
    # At the model's own σ the bound is tight, and no σ can lift a bound above the likelihood.
    model = linear_model()
    images = images_from_the_model(model, 500, seed=1)
    draws = DrawPlan(likelihood=None, dequantisation="none", seed=0, num_draws=8)
    error = measure_likelihood(model, images, IndexRange(0, 500), draws)["drawn/dequantised_error"]
    posterior = model.encode(images)
    assert posterior.log_variance is not None
    divergence = divergence_to_standard_normal(posterior.mean, posterior.log_variance).sum(axis=1)
    value = calibrated_evidence(error, divergence, NUM_VALUES)
    assert value.value is not None
    assert value.std_error is not None
    assert abs(value.value - EXPECTED_LOG_LIKELIHOOD) < 3 * value.std_error
    assert value.components[0] == pytest.approx(math.sqrt(model.noise_variance), rel=0.05)


def test_the_calibrated_bound_has_its_closed_form() -> None:
    # At the model's exact moments: E error = σ², E KL = 2.5679, so -D/2 (ln 2πσ² + 1) - KL = E ln p.
    value = calibrated_evidence(np.full(4, 0.25 / 400), np.full(4, 2.56789922), NUM_VALUES)
    assert value.value == pytest.approx(EXPECTED_LOG_LIKELIHOOD, rel=1e-6)
    assert value.std_error == pytest.approx(0, abs=1e-12)


def test_no_other_sigma_gives_a_higher_bound() -> None:
    generator = np.random.default_rng(2)
    error, divergence = generator.uniform(0.01, 0.03, 50), generator.uniform(1, 2, 50)
    best = calibrated_evidence(error, divergence, 12)

    def bound(sigma: float) -> float:
        gaussian = -0.5 * 12 * (error / sigma**2 + math.log(2 * math.pi * sigma**2))
        return float((gaussian - divergence).mean())

    (sigma,) = best.components
    assert best.value == pytest.approx(bound(sigma), rel=1e-12)
    assert best.value > max(bound(0.99 * sigma), bound(1.01 * sigma))


def test_the_error_of_the_calibrated_bound_is_its_spread_over_data() -> None:
    generator = np.random.default_rng(3)
    runs = []
    for _ in range(300):
        error = generator.gamma(4, 0.005, 100)
        runs.append(calibrated_evidence(error, 50 * error + generator.normal(5, 1, 100), 12))
    errors = [run.std_error for run in runs if run.std_error is not None]
    # Known to 4 % from 300 runs.
    assert np.std([run.value for run in runs], ddof=1) == pytest.approx(np.mean(errors), rel=0.13)


def test_calibrated_bits_are_the_bound_in_another_unit() -> None:
    nats = MetricValue.of(24.0, num_images=7, std_error=0.5, components=(0.1,))
    spread, plain = calibrated_bits(nats, 12, True), calibrated_bits(nats, 12, False)
    assert plain.value == pytest.approx(-2 / math.log(2))
    assert spread.value == pytest.approx(8 - 2 / math.log(2))
    assert (spread.std_error, spread.components) == (pytest.approx(0.5 / 12 / math.log(2)), (0.1,))


def test_a_perfect_copy_has_no_sigma() -> None:
    value = calibrated_evidence(np.zeros(3), np.ones(3), 4)
    assert (value.kind, value.value) == ("inf", None)
    assert "σ is 0" in str(value.reason)
    assert calibrated_bits(value, 4, True) == value


def test_errors_of_other_images_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"squared_error \(3,\), divergence \(4,\).*same images"):
        calibrated_evidence(np.zeros(3), np.zeros(4), 4)
