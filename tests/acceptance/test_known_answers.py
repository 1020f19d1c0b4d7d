"""Numbers that are known before anything is computed, through the whole service: submission, shards, files, database.

Data are 16 images whose mean and covariance are exactly those of a linear Gaussian VAE (`tests.numerics.known_linear_model`),
saved as floats: nothing is rounded to levels, so that closed forms come out to 1e-6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.numerics.known_linear_model import (
    ACTIVITIES,
    DIVERGENCES,
    EXPECTED_LOG_LIKELIHOOD,
    NUM_VALUES,
    images_from_the_model,
    images_with_the_model_moments,
    linear_model,
)
from vaeval_core.checkpoints.linear_gaussian import LinearGaussianVae, fit_linear_gaussian, linear_gaussian_vae
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.features.catalogue import load_extractor, resolve_extractor
from vaeval_core.generation.interpolation_pairs import interpolation_fractions, interpolation_partners
from vaeval_core.images.catalogue import survey_images
from vaeval_core.images.digits import digits_images
from vaeval_core.images.float_images import FloatImages
from vaeval_core.metrics.catalogue import METRICS
from vaeval_core.metrics.collapse import verdict_on
from vaeval_core.presets import PRESETS, ProtocolRequest
from vaeval_core.seeding import standard_normal
from vaeval_core.types import IndexRange

pytestmark = pytest.mark.slow

Values = dict[str, MetricValue]


def saved(images: np.ndarray, folder: Path) -> Path:
    np.save(folder / "images.npy", images)
    return folder / "images.npy"


def protocol(count: int, **fields: object) -> ProtocolRequest:
    everything = tuple(METRICS)
    return ProtocolRequest(
        samples=count,
        reconstructions=count,
        reference=count,
        extractor="pixels-8x8",
        **({"metrics": everything, "draws": 7} | fields),  # type: ignore[arg-type]
    )


def number(value: MetricValue) -> float:
    assert value.value is not None, value
    return value.value


def error_of(value: MetricValue) -> float:
    assert value.std_error is not None, value
    return value.std_error


def require_closed_forms(result: Values, model: LinearGaussianVae, images: np.ndarray) -> None:
    """What theory says of `linear_model` on 16 images with its own moments: to 1e-6, or within three standard errors."""
    for name in ("kl", "kl_bits"):
        unit = math.log(2) if name == "kl_bits" else 1
        assert number(result[name]) == pytest.approx(DIVERGENCES.sum() / unit, rel=1e-6)
        np.testing.assert_allclose(result[name].components, DIVERGENCES / unit, rtol=1e-6, atol=1e-6)
    # With the exact posterior every weight is the likelihood itself, at any K.
    assert number(result["iwae"]) == pytest.approx(EXPECTED_LOG_LIKELIHOOD, rel=1e-6)
    assert number(result["bits_per_dim"]) == pytest.approx(
        -EXPECTED_LOG_LIKELIHOOD / (NUM_VALUES * math.log(2)), rel=1e-6
    )
    assert number(result["elbo"]) == pytest.approx(number(result["log_likelihood"]) - number(result["kl"]), rel=1e-9)
    # Under the model the expected likelihood of a draw is that of its noise: D values of variance σ².
    of_noise = -NUM_VALUES / 2 * (math.log(2 * math.pi * model.noise_variance) + 1)
    for name, expected in (("elbo", EXPECTED_LOG_LIKELIHOOD), ("log_likelihood", of_noise)):
        assert abs(number(result[name]) - expected) < 3 * error_of(result[name]), name
    assert number(result["aggregated_posterior_gap"]) == pytest.approx(0, abs=1e-6)
    variances = np.array(result["active_units"].components) * 15 / 16  # the moments are by n, units by n - 1
    np.testing.assert_allclose(variances, ACTIVITIES, rtol=1e-6, atol=1e-7)
    assert [number(result[f"active_units{ending}"]) for ending in ("", "_0_001", "_0_1")] == [3, 3, 3]
    assert verdict_on(result["collapsed_dimensions"].components) == "partial(1 of 4)"

    # What the reconstruction from the mean loses: x - x̂ = (I - W M⁻¹ Wᵀ)(x - b).
    factor = model.weights / (np.square(model.weights).sum(axis=0) + model.noise_variance)
    centred = images.reshape(16, -1).astype(np.float64) - model.offset
    lost = centred - centred @ factor @ model.weights.T
    assert number(result["mse"]) == pytest.approx(np.square(lost).mean(), rel=1e-6)
    assert number(result["sse"]) == pytest.approx(np.square(lost).sum(axis=1).mean(), rel=1e-6)
    assert number(result["mae"]) == pytest.approx(np.abs(lost).mean(), rel=1e-6)


def test_a_model_of_closed_form_has_its_closed_forms(evaluated: Callable[..., list[Values]], tmp_path: Path) -> None:
    model = linear_model()
    images = images_with_the_model_moments(model)
    (result,) = evaluated(saved(images, tmp_path), protocol(16), model)
    require_closed_forms(result, model, images)


def saved_as_keras_files(model: LinearGaussianVae, folder: Path) -> Path:
    """The same model as two Keras networks of dense layers, with its likelihood in a vaeval.yaml."""
    import keras
    from keras import layers

    precision = np.square(model.weights).sum(axis=0) + model.noise_variance
    projection = model.weights / precision
    images = keras.Input(model.image_shape)
    flat = layers.Flatten()(images)
    mean, log_variance = layers.Dense(4, name="z_mean"), layers.Dense(4, name="z_log_var")
    encoder = keras.Model(images, [mean(flat), log_variance(flat)])
    mean.set_weights([projection, -model.offset @ projection])
    log_variance.set_weights([np.zeros_like(projection), np.log(model.noise_variance / precision)])
    latents = keras.Input((4,))
    pixels = layers.Dense(NUM_VALUES)
    decoder = keras.Model(latents, layers.Reshape(model.image_shape)(pixels(latents)))
    pixels.set_weights([model.weights.T, model.offset])
    folder.mkdir()
    encoder.save(folder / "encoder.keras")
    decoder.save(folder / "decoder.keras")
    sigma = math.sqrt(model.noise_variance)
    (folder / "vaeval.yaml").write_text(
        f"image_range: [0, 1]\nlikelihood: {{kind: gaussian, sigma: {sigma!r}}}\n", encoding="utf-8"
    )
    return folder


@pytest.mark.tensorflow
# Keras 3.15 turns TensorFlow variables into NumPy arrays by a protocol that NumPy 2 is moving away from.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_the_same_model_as_keras_files_has_the_same_closed_forms(
    evaluated: Callable[..., list[Values]], tmp_path: Path
) -> None:
    model = linear_model()
    images = images_with_the_model_moments(model)
    folder = saved_as_keras_files(model, tmp_path / "keras")
    result, plain = evaluated(saved(images, tmp_path), protocol(16, interpolations=16, fitted=16), folder, model)
    require_closed_forms(result, model, images)
    # And whatever else there is to measure is the same of either: two formats, two programs that encode and decode.
    assert {"fid", "rfid", "fid_fitted", "ppl", "mutual_information", "mse_drawn", "elbo_calibrated"} <= {
        name for name, value in plain.items() if value.kind == "finite"
    }
    for name in METRICS:
        assert (result[name].kind, result[name].reason) == (plain[name].kind, plain[name].reason), name
        if plain[name].value is not None:
            assert number(result[name]) == pytest.approx(number(plain[name]), rel=1e-4, abs=1e-6), name


def test_the_terms_of_the_kl_add_up_to_it_at_the_same_draws(
    evaluated: Callable[..., list[Values]], tmp_path: Path
) -> None:
    model = linear_model()
    data = saved(images_from_the_model(model, 200, seed=1), tmp_path)
    (result,) = evaluated(data, protocol(200), model)
    images = survey_images(str(data))
    assert isinstance(images, FloatImages)
    posterior = model.encode(images.read_floats(IndexRange(0, 200), model.image_shape, "exact"))
    assert posterior.log_variance is not None
    noise = standard_normal(0, "posterior", IndexRange(0, 200), 4).astype(np.float64)
    scale = np.exp(posterior.log_variance.astype(np.float64) / 2)
    latents = posterior.mean + scale * noise
    divergence = (stats.norm(0, 1).logpdf(noise) - np.log(scale) - stats.norm(0, 1).logpdf(latents)).sum(axis=1)
    terms = [number(result[name]) for name in ("mutual_information", "total_correlation", "dimension_wise_kl")]
    assert sum(terms) == pytest.approx(divergence.mean(), rel=1e-9)
    assert not any("Saturated" in warning for warning in result["mutual_information"].warnings)
    assert abs(terms[0] - DIVERGENCES.sum()) < 3 * error_of(result["mutual_information"])


def test_information_beyond_the_logarithm_of_the_number_of_images_is_said_to_be_saturated(
    evaluated: Callable[..., list[Values]],
) -> None:
    pixels = digits_images("train").read(IndexRange(0, 300), (8, 8, 1), "exact")
    (result,) = evaluated("digits:test", protocol(64), fit_linear_gaussian(pixels, 16))
    assert number(result["kl"]) > 3 * math.log(64)
    assert number(result["mutual_information"]) <= math.log(64)
    for name in ("mutual_information", "total_correlation", "dimension_wise_kl"):
        assert any(warning.startswith("Saturated") and "ln n = 4.16" in warning for warning in result[name].warnings), (
            name
        )


def test_bounds_rise_with_the_number_of_draws_and_stay_below_the_likelihood(
    evaluated: Callable[..., list[Values]], tmp_path: Path
) -> None:
    # Scored under a σ that is half of its own, the posterior of the model is too wide: the bounds have something to gain.
    model = linear_model()
    images = images_from_the_model(model, 256, seed=3)
    declared = math.sqrt(model.noise_variance) / 2
    data = saved(images, tmp_path)
    bounds = [
        evaluated(data, protocol(256, draws=draws, likelihood=f"gaussian:{declared}"), model)[0] for draws in (1, 8, 64)
    ]
    half = linear_gaussian_vae(model.weights, model.offset, declared**2, model.image_shape)
    (exact,) = evaluated(data, protocol(256, draws=1), half)
    rising = [number(bounds[2]["elbo"]), *(number(values["iwae"]) for values in bounds), number(exact["iwae"])]
    assert rising == sorted(rising)
    assert rising[-1] - rising[0] > 1
    assert any("Bound not converged" in warning for warning in bounds[1]["iwae"].warnings)
    # Which likelihood is part of what is evaluated: four evaluations, not one.
    assert len({values["elbo"].value for values in (*bounds, exact)}) == 4


def test_the_textbook_protocol_gives_the_numbers_of_the_chapter(
    evaluated: Callable[..., list[Values]], tmp_path: Path
) -> None:
    assert PRESETS["textbook"].extractor == "inception-v3-keras"
    request = PRESETS["textbook"].model_copy(
        update={
            "samples": 300,
            "reconstructions": 300,
            "reference": 300,
            "interpolations": 300,
            "extractor": "pixels-8x8",
        }
    )
    images = digits_images("test").read(IndexRange(0, 300), (8, 8, 1), "exact")
    model = fit_linear_gaussian(digits_images("train").read(IndexRange(0, 900), (8, 8, 1), "exact"), 5)
    (result,) = evaluated("digits:test", request, model)
    assert set(result) == {"mse", "cross_entropy", "kl", "fid", "fid_interpolations"}

    x = images.astype(np.float32) / np.float32(255)
    posterior = model.encode(x)
    assert posterior.log_variance is not None
    mean, log_variance = posterior.mean.astype(np.float64), posterior.log_variance.astype(np.float64)
    reconstructed = model.decode(posterior.mean).astype(np.float64)
    assert number(result["mse"]) == pytest.approx(np.mean((reconstructed - x) ** 2), rel=1e-6)
    divergence = -0.5 * (1 + log_variance - mean**2 - np.exp(log_variance)).sum(axis=1)
    assert number(result["kl"]) == pytest.approx(divergence.mean(), rel=1e-6)
    p = np.clip(reconstructed, 1e-7, 1 - 1e-7)
    entropy = -(x * np.log(p) + (1 - x) * np.log(1 - p)).reshape(300, -1).sum(axis=1)
    assert number(result["cross_entropy"]) == pytest.approx(entropy.mean(), rel=1e-6)

    extractor = load_extractor(resolve_extractor("pixels-8x8", weights=None, weights_folder=tmp_path), tmp_path)

    def features_of(decoded: np.ndarray) -> np.ndarray:
        return extractor.extract(np.rint(np.clip(decoded, 0, 1) * 255).astype(np.uint8)).astype(np.float64)

    real = extractor.extract(images).astype(np.float64)
    sampled = model.decode(standard_normal(0, "samples", IndexRange(0, 300), 5))
    assert number(result["fid"]) == pytest.approx(frechet_distance_by_definition(features_of(sampled), real), rel=1e-6)

    # Between encoder means, on straight lines: (1 - t) start + t end.
    partners = interpolation_partners(0, IndexRange(0, 300), 300, 32)
    places = interpolation_fractions(0, IndexRange(0, 300))[:, np.newaxis]
    between = model.decode(((1 - places) * mean + places * mean[partners]).astype(np.float32))
    assert number(result["fid_interpolations"]) == pytest.approx(
        frechet_distance_by_definition(features_of(between), real), rel=1e-6
    )


def frechet_distance_by_definition(drawn: np.ndarray, real: np.ndarray) -> float:
    """With covariances by n - 1; the root of their product as that of a symmetric matrix."""
    covariances = [np.cov(rows, rowvar=False, ddof=1) for rows in (drawn, real)]
    eigenvalues, axes = np.linalg.eigh(covariances[0])
    root = axes * np.sqrt(np.clip(eigenvalues, 0, None)) @ axes.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ covariances[1] @ root), 0, None)).sum()
    shift = drawn.mean(axis=0) - real.mean(axis=0)
    return float(shift @ shift + covariances[0].trace() + covariances[1].trace() - 2 * cross)
