"""ELBO, IWAE and bits per dimension against the exact likelihood of the linear Gaussian model."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from tests.numerics.known_linear_model import (
    EXPECTED_LOG_LIKELIHOOD,
    NUM_VALUES,
    images_from_the_model,
    images_with_the_model_moments,
    linear_model,
    log_likelihood,
)
from tests.wrapped_model import WrappedModel
from vaeval_core.checkpoints.base import Posterior
from vaeval_core.checkpoints.linear_gaussian import LinearGaussianVae
from vaeval_core.errors import InvalidInput
from vaeval_core.generation.likelihood_bounds import DrawPlan, measure_likelihood
from vaeval_core.generation.posterior_draws import decode_posterior_draws
from vaeval_core.likelihood import Likelihood
from vaeval_core.measurements.dequantisation import bits_per_dimension, dequantise
from vaeval_core.measurements.gaussian_divergence import divergence_to_standard_normal
from vaeval_core.testing import TwoPixelVae
from vaeval_core.types import Float32, IndexRange

BERNOULLI = Likelihood(kind="bernoulli")


def plan(
    likelihood: Likelihood | None = None, *, num_draws: int = 1, seed: int = 0, dequantisation: str = "none"
) -> DrawPlan:
    return DrawPlan(likelihood=likelihood, dequantisation=dequantisation, seed=seed, num_draws=num_draws)  # type: ignore[arg-type]


def measure(adapter: object, images: np.ndarray, how: DrawPlan, start: int = 0) -> dict[str, np.ndarray]:
    return measure_likelihood(adapter, images, IndexRange(start, start + len(images)), how)  # type: ignore[arg-type]


@dataclass
class WrongPosterior(WrappedModel):
    """The linear model with an encoder that is off: means moved by a third of σ, variances doubled."""

    model: LinearGaussianVae = field(default_factory=linear_model)
    decoded: list[int] = field(default_factory=list)

    def encode(self, images: Float32) -> Posterior:
        exact = self.model.encode(images)
        assert exact.log_variance is not None
        shift = np.exp(exact.log_variance / 2) / 3
        return Posterior(exact.mean + shift, exact.log_variance + np.float32(math.log(2)))

    def decode(self, latents: Float32) -> Float32:
        self.decoded.append(len(latents))
        return self.model.decode(latents)


# What the wrong posterior loses: KL(N(μ + σ/3, 2σ²) ‖ N(μ, σ²)) in each of four dimensions.
LOST = 4 * 0.5 * (2 + 1 / 9 - 1 - math.log(2))


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_draws", [1, 7])
def test_with_the_exact_posterior_every_weight_is_the_likelihood(num_draws: int) -> None:
    model = linear_model()
    images = images_from_the_model(model, 40, seed=2)
    result = measure(model, images, plan(model.likelihood, num_draws=num_draws))
    np.testing.assert_allclose(result["likelihood/importance_weighted"], log_likelihood(model, images), rtol=1e-6)
    np.testing.assert_allclose(result["likelihood/inverse_effective_size"], 1 / num_draws, rtol=1e-6)


def test_the_mean_bound_of_the_linear_model_is_its_expected_log_likelihood() -> None:
    model = linear_model()
    result = measure(model, images_with_the_model_moments(model), plan(model.likelihood, num_draws=3))
    assert result["likelihood/importance_weighted"].mean() == pytest.approx(EXPECTED_LOG_LIKELIHOOD, rel=1e-6)


def test_the_elbo_of_an_exact_posterior_is_the_likelihood_within_its_error() -> None:
    model = linear_model()
    images = images_from_the_model(model, 400, seed=3)
    difference = measure(model, images, plan(model.likelihood))["likelihood/elbo"] - log_likelihood(model, images)
    assert abs(difference.mean()) < 3 * difference.std() / math.sqrt(len(images))


def test_the_elbo_of_a_wrong_posterior_loses_its_kl_to_the_exact_one() -> None:
    adapter = WrongPosterior()
    images = images_from_the_model(adapter.model, 400, seed=4)
    difference = measure(adapter, images, plan(adapter.likelihood))["likelihood/elbo"] - log_likelihood(
        adapter.model, images
    )
    assert abs(difference.mean() + LOST) < 3 * difference.std() / math.sqrt(len(images))


def test_bounds_rise_from_the_elbo_with_the_number_of_draws_to_the_likelihood() -> None:
    adapter = WrongPosterior()
    images = images_from_the_model(adapter.model, 600, seed=5)
    runs = [measure(adapter, images, plan(adapter.likelihood, num_draws=count)) for count in (1, 2, 8)]
    rising = [run["likelihood/importance_weighted"] for run in runs]
    for lower, upper in [
        (runs[2]["likelihood/elbo"], rising[1]),
        (rising[0], rising[1]),
        (rising[1], rising[2]),
        (rising[2], log_likelihood(adapter.model, images)),
    ]:
        step = upper - lower
        assert step.mean() > 3 * step.std() / math.sqrt(len(images))


def test_the_calibrated_error_of_an_exact_posterior_is_the_noise_variance() -> None:
    # Under the model x - (W z + b) = σ ε with z from the posterior, so the mean error of draws is σ² itself.
    model = linear_model()
    error = measure(model, images_from_the_model(model, 500, seed=6), plan(num_draws=4))["drawn/dequantised_error"]
    assert abs(error.mean() - model.noise_variance) < 3 * error.std() / math.sqrt(len(error))


# --- the likelihoods --------------------------------------------------------------------------------------------------


def test_a_gaussian_draw_is_scored_by_its_density() -> None:
    adapter = TwoPixelVae(log_variance=-1.0)
    images = np.random.default_rng(7).random((5, 1, 2, 1), dtype=np.float32)
    result = measure(adapter, images, plan(Likelihood(kind="gaussian", sigma=0.3)))
    draw = next(
        decode_posterior_draws(adapter, adapter.encode(images), IndexRange(0, 5), seed=0, batch=32, num_draws=1)
    )
    expected = stats.norm(draw.images.astype(np.float64), 0.3).logpdf(images).reshape(5, 2).sum(axis=1)
    np.testing.assert_allclose(result["likelihood/expected"], expected, rtol=1e-12)


def test_a_bernoulli_draw_is_scored_by_its_probability() -> None:
    adapter = TwoPixelVae(log_variance=-4.0)
    images = np.float32([[1, 0], [0, 1], [1, 1]]).reshape(3, 1, 2, 1)
    result = measure(adapter, images, plan(BERNOULLI, num_draws=3, dequantisation="uniform"))
    draws = decode_posterior_draws(adapter, adapter.encode(images), IndexRange(0, 3), seed=0, batch=32, num_draws=3)
    probabilities = [np.clip(draw.images.astype(np.float64), 1e-7, 1 - 1e-7) for draw in draws]
    expected = np.mean(
        [stats.bernoulli(p).logpmf(images.astype(int)).reshape(3, 2).sum(axis=1) for p in probabilities], axis=0
    )
    np.testing.assert_allclose(result["likelihood/expected"], expected, rtol=1e-9)
    assert result["likelihood/applies"].tolist() == [1, 1, 1]


def test_greys_have_no_probability_under_a_bernoulli() -> None:
    images = np.float32([[1, 0], [0.5, 1]]).reshape(2, 1, 2, 1)
    assert measure(TwoPixelVae(), images, plan(BERNOULLI))["likelihood/applies"].tolist() == [1, 0]


@pytest.mark.parametrize("likelihood", [None, Likelihood(kind="none")])
def test_without_a_likelihood_only_errors_are_measured(likelihood: Likelihood | None) -> None:
    result = measure(TwoPixelVae(), np.zeros((2, 1, 2, 1), np.float32), plan(likelihood))
    assert [name for name in result if name.startswith("likelihood/")] == []
    assert result["drawn/dequantised_error"].shape == (2,)


def test_a_diverged_decoder_gives_no_finite_bound() -> None:
    class Diverged(TwoPixelVae):
        def decode(self, latents: Float32) -> Float32:
            images = super().decode(latents)
            images[1, 0, 0, 0] = np.inf
            return images

    images = np.zeros((3, 1, 2, 1), np.float32)
    result = measure(Diverged(), images, plan(BERNOULLI, num_draws=2))
    for name in ("likelihood/elbo", "likelihood/importance_weighted", "likelihood/bits_per_dimension"):
        assert np.isfinite(result[name]).tolist() == [True, False, True], name


# --- bits per dimension -----------------------------------------------------------------------------------------------


def test_bits_of_float_data_are_the_bound_in_another_unit() -> None:
    model = linear_model()
    result = measure(model, images_with_the_model_moments(model), plan(model.likelihood))
    expected = -result["likelihood/importance_weighted"] / (NUM_VALUES * math.log(2))
    np.testing.assert_allclose(result["likelihood/bits_per_dimension"], expected, rtol=1e-12)


def test_the_uniform_density_over_levels_costs_eight_bits_a_value() -> None:
    # ln p = 0 everywhere in [0, 1]: every level has the probability 1/256.
    assert bits_per_dimension(np.zeros(2), 12, "uniform").tolist() == [8, 8]


def test_bits_of_levels_bound_the_cost_of_the_true_probabilities() -> None:
    # One pixel pair under N(½, σ²), decoded alike from every latent: P(level) is an integral over its cell.
    class Constant(TwoPixelVae):
        def decode(self, latents: Float32) -> Float32:
            return np.full((len(latents), 1, 2, 1), 0.5, np.float32)

        def encode(self, images: Float32) -> Posterior:
            zeros = np.zeros((len(images), 1), np.float32)
            return Posterior(zeros, zeros)

    levels = np.repeat(np.arange(256, dtype=np.uint8), 2).reshape(256, 1, 2, 1)
    cells = stats.norm(0.5, 0.2)
    exact = -2 * np.log2(cells.cdf(np.arange(1, 257) / 256) - cells.cdf(np.arange(256) / 256)) / 2
    likelihood = Likelihood(kind="gaussian", sigma=0.2)
    runs = [
        measure(Constant(), levels / np.float32(255), plan(likelihood, seed=seed, dequantisation="uniform"))
        for seed in range(20)
    ]
    bits = np.array([run["likelihood/bits_per_dimension"] for run in runs])
    # Jensen's gap of a smooth density over a cell of 1/256 is below 1e-4 bits, so the noise decides.
    difference = (bits - exact).mean(axis=1)
    assert abs(difference.mean()) < 3 * difference.std(ddof=1) / math.sqrt(len(difference))


def test_dequantised_levels_fill_their_cells_evenly() -> None:
    levels = np.random.default_rng(8).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    spread = dequantise(levels / np.float32(255), 3, IndexRange(10, 50))
    assert np.array_equal(np.floor(spread * 256), levels)
    assert stats.kstest((spread * 256 - levels).ravel(), "uniform").pvalue > 1e-3


def test_a_bernoulli_has_probabilities_already_and_gets_no_eight_bits() -> None:
    images = np.float32([[1, 0], [0, 1]]).reshape(2, 1, 2, 1)
    result = measure(TwoPixelVae(), images, plan(BERNOULLI, dequantisation="uniform"))
    expected = -result["likelihood/importance_weighted"] / (2 * math.log(2))
    np.testing.assert_allclose(result["likelihood/bits_per_dimension"], expected, rtol=1e-12)


# --- mistakes of published code ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_draws", [5, 64, 70, 130])
def test_no_draw_is_dropped_because_it_does_not_fill_a_page(num_draws: int) -> None:
    adapter = WrongPosterior()
    images = images_from_the_model(adapter.model, 3, seed=9)
    posterior = adapter.encode(images)
    sigma = adapter.likelihood.sigma
    assert sigma is not None
    weights = []
    for draw in decode_posterior_draws(adapter, posterior, IndexRange(0, 3), seed=0, batch=32, num_draws=num_draws):
        density = stats.norm(draw.images.astype(np.float64), sigma).logpdf(images).reshape(3, -1).sum(axis=1)
        weights.append(density + draw.log_prior_over_posterior)
    assert len(weights) == num_draws
    adapter.decoded.clear()
    result = measure(adapter, images, plan(adapter.likelihood, num_draws=num_draws))
    assert adapter.decoded == [32] * num_draws
    expected = logsumexp(weights, axis=0) - math.log(num_draws)
    np.testing.assert_allclose(result["likelihood/importance_weighted"], expected, rtol=1e-12)


def test_one_draw_means_one_draw_and_not_a_batch_of_them() -> None:
    adapter = WrongPosterior()
    measure(adapter, images_from_the_model(adapter.model, 3, seed=9), plan(adapter.likelihood, num_draws=1))
    assert adapter.decoded == [32]


def test_the_bound_is_a_log_likelihood_and_not_its_negative() -> None:
    model = linear_model()
    near = images_with_the_model_moments(model)
    far = np.clip(model.offset.reshape(2, 4, 1) + 3 * (near - model.offset.reshape(2, 4, 1)), 0, 1).astype(np.float32)
    bounds = [
        measure(model, images, plan(model.likelihood))["likelihood/importance_weighted"].mean()
        for images in (near, far)
    ]
    assert bounds[0] > bounds[1]


def test_the_elbo_adds_nats_that_are_sums_on_both_sides() -> None:
    # A mean over pixels beside a summed KL would be another model's bound, and a KL of the other sign none at all.
    adapter = TwoPixelVae(log_variance=-2.0)
    images = np.random.default_rng(10).random((6, 1, 2, 1), dtype=np.float32)
    result = measure(adapter, images, plan(Likelihood(kind="gaussian", sigma=0.1)))
    posterior = adapter.encode(images)
    assert posterior.log_variance is not None
    divergence = divergence_to_standard_normal(posterior.mean, posterior.log_variance).sum(axis=1)
    np.testing.assert_allclose(result["likelihood/elbo"], result["likelihood/expected"] - divergence, rtol=1e-12)
    assert (result["likelihood/elbo"] < result["likelihood/expected"]).all()


def test_reconstructions_from_draws_do_not_depend_on_the_global_generator() -> None:
    images = np.random.default_rng(11).random((6, 1, 2, 1), dtype=np.float32)
    runs = []
    for global_seed in (1, 2):
        np.random.seed(global_seed)
        runs.append(measure(TwoPixelVae(), images, plan()))
    for name, values in runs[0].items():
        assert np.array_equal(values, runs[1][name]), name


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [5, 32, 50])
def test_a_cut_between_shards_changes_nothing(cut: int) -> None:
    adapter = WrongPosterior()
    images = np.rint(images_from_the_model(adapter.model, 75, seed=12) * 255).astype(np.float32) / np.float32(255)
    how = plan(adapter.likelihood, num_draws=3, dequantisation="uniform")
    whole = measure(adapter, images, how, start=0)
    parts = [measure(adapter, images[:cut], how, start=0), measure(adapter, images[cut:], how, start=cut)]
    for name, values in whole.items():
        np.testing.assert_allclose(np.concatenate([part[name] for part in parts]), values, rtol=1e-9, err_msg=name)


def test_the_first_draws_of_many_are_those_of_few() -> None:
    adapter = TwoPixelVae()
    posterior = adapter.encode(np.full((4, 1, 2, 1), 0.3, np.float32))
    few, many = (
        [
            d.images
            for d in decode_posterior_draws(adapter, posterior, IndexRange(3, 7), seed=1, batch=32, num_draws=count)
        ]
        for count in (2, 100)
    )
    np.testing.assert_array_equal(few, many[:2])
    assert len(np.unique([images[0, 0, 0, 0] for images in many])) == 100


def test_another_seed_draws_other_latents() -> None:
    images = np.full((2, 1, 2, 1), 0.4, np.float32)
    one, other = (measure(TwoPixelVae(), images, plan(seed=seed))["drawn/squared_error"] for seed in (0, 1))
    assert (one != other).all()


def test_draws_spread_as_the_posterior_says() -> None:
    adapter = TwoPixelVae(log_variance=math.log(0.04))
    posterior = adapter.encode(np.full((32, 1, 2, 1), 0.7, np.float32))
    draws = decode_posterior_draws(adapter, posterior, IndexRange(0, 32), seed=0, batch=32, num_draws=60)
    pixels = np.concatenate([draw.images[:, 0, 0, 0] for draw in draws])
    assert stats.kstest(pixels, stats.norm(0.7, 0.2).cdf).pvalue > 1e-3


def test_a_posterior_much_narrower_than_float32_keeps_its_weight() -> None:
    # σ = e⁻²⁰ vanishes beside μ = ½ in float32, so (z - μ)/σ would be 0 or huge; ε is neither.
    adapter = TwoPixelVae(log_variance=-40.0)
    images = np.full((8, 1, 2, 1), 1.0, np.float32)
    result = measure(adapter, images, plan(Likelihood(kind="gaussian", sigma=1.0), num_draws=50))
    # ln p(z) - ln q(z|x) = ½ (ε² - z² + ln σ²), and the decoder gives (1, ½) for every draw.
    log_weight_without_noise = -0.5 * 0.25 - math.log(2 * math.pi) - 0.5 * 0.25 - 20
    mean_of_noise = result["likelihood/importance_weighted"] - log_weight_without_noise
    assert (np.abs(mean_of_noise) < 5).all()
    assert (mean_of_noise > 0).all()


# --- input that cannot be right ---------------------------------------------------------------------------------------


def test_images_of_another_range_are_named() -> None:
    with pytest.raises(InvalidInput, match=r"not in \[0, 1\].*values from -1 to 1.*\(images \+ 1\) / 2"):
        measure(TwoPixelVae(), np.float32([-1, 1]).reshape(1, 1, 2, 1), plan())


def test_images_with_nan_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"values from nan to nan"):
        measure(TwoPixelVae(), np.float32([np.nan, 1]).reshape(1, 1, 2, 1), plan())


def test_float_data_cannot_be_dequantised() -> None:
    with pytest.raises(InvalidInput, match=r"1 values between the levels, first 0\.3334.*multiples of 1/255"):
        measure(TwoPixelVae(), np.float32([1, 1 / 3 + 1e-4]).reshape(1, 1, 2, 1), plan(dequantisation="uniform"))


def test_an_autoencoder_has_nothing_to_draw_from() -> None:
    class Autoencoder(TwoPixelVae):
        def encode(self, images: Float32) -> Posterior:
            return Posterior(super().encode(images).mean, None)

    with pytest.raises(InvalidInput, match=r"nothing to draw.*no log-variance.*a posterior with a log-variance"):
        measure(Autoencoder(), np.zeros((2, 1, 2, 1), np.float32), plan())


def test_no_draws_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"num_draws=0.*at least one draw"):
        measure(TwoPixelVae(), np.zeros((2, 1, 2, 1), np.float32), plan(num_draws=0))


def test_images_without_numbers_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"2 images for 0 to 2.*3 images"):
        measure_likelihood(TwoPixelVae(), np.zeros((2, 1, 2, 1), np.float32), IndexRange(0, 3), plan())
