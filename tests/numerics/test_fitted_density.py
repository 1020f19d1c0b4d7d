"""The mixture fitted to latents: right where it is known, usable where latents are degenerate, the same for every cut."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.generation.fitted_density import (
    ADDED_VARIANCE,
    MAX_LATENT_SIZE,
    MixtureFit,
    fit_mixture,
    fitted_latents,
    sample_fitted,
)
from vaeval_core.types import Float64, IndexRange

MEANS = np.array([[-4.0, 0.0, 1.0], [4.0, 3.0, 1.0], [0.0, -5.0, -2.0]])
WEIGHTS = np.array([0.5, 0.3, 0.2])


def _latents(num_images: int = 1500) -> Float64:
    """Three well separated clusters with unit variance."""
    generator = np.random.Generator(np.random.Philox(8))
    return MEANS[generator.choice(3, num_images, p=WEIGHTS)] + generator.normal(size=(num_images, 3))


def _known() -> MixtureFit:
    factors = np.array([np.diag([1.0, 2.0, 0.5]), [[1.0, 0, 0], [0.8, 0.6, 0], [0, 0, 1.0]], np.eye(3)])
    return MixtureFit(WEIGHTS, MEANS, factors)


def test_one_component_is_mean_and_covariance_of_the_latents() -> None:
    latents = _latents() @ np.array([[1.0, 0.5, 0.0], [0.0, 2.0, 0.0], [0.0, 0.3, 100.0]])
    fit = fit_mixture(latents, seed=0, num_components=1)
    covariance = np.cov(latents.T, ddof=0)
    np.testing.assert_allclose(fit.means[0], latents.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        fit.factors[0] @ fit.factors[0].T,
        covariance + ADDED_VARIANCE * np.diag(np.diag(covariance)),
        rtol=1e-9,
        atol=1e-9,
    )
    assert fit.notes == ()


def test_separated_clusters_are_found() -> None:
    latents = _latents()
    fit = fit_mixture(latents, seed=3, num_components=3)
    order = np.argsort(-fit.weights)
    # Four standard errors of a cluster's share, mean and variance.
    np.testing.assert_allclose(fit.weights[order], WEIGHTS, atol=4 * math.sqrt(0.25 / 1500))
    np.testing.assert_allclose(fit.means[order], MEANS, atol=4 / math.sqrt(300))
    covariances = fit.factors @ fit.factors.transpose(0, 2, 1)
    np.testing.assert_allclose(covariances[order], np.tile(np.eye(3), (3, 1, 1)), atol=4 * math.sqrt(2 / 300))


def test_draws_have_the_moments_of_the_mixture() -> None:
    fit, num_draws = _known(), 6000
    draws = fitted_latents(fit, 5, IndexRange(0, num_draws)).astype(np.float64)
    mean = WEIGHTS @ MEANS
    covariance = sum(
        weight * (factor @ factor.T + np.outer(centre - mean, centre - mean))
        for weight, factor, centre in zip(WEIGHTS, fit.factors, MEANS, strict=True)
    )
    deviations = np.sqrt(np.diag(covariance))
    np.testing.assert_array_less(np.abs(draws.mean(axis=0) - mean), 4 * deviations / math.sqrt(num_draws))
    products = np.einsum("ni,nj->nij", draws - mean, draws - mean)
    errors = products.std(axis=0) / math.sqrt(num_draws)
    np.testing.assert_array_less(np.abs(products.mean(axis=0) - covariance), 4 * errors)


def test_components_are_drawn_as_often_as_they_weigh() -> None:
    far_apart = MixtureFit(WEIGHTS, 100 * np.array([[1.0], [2.0], [3.0]]), np.ones((3, 1, 1)))
    draws = fitted_latents(far_apart, 2, IndexRange(0, 4000))[:, 0]
    shares = np.bincount(np.rint(draws / 100).astype(int), minlength=4)[1:] / 4000
    np.testing.assert_allclose(shares, WEIGHTS, atol=4 * math.sqrt(0.25 / 4000))


def test_a_draw_does_not_depend_on_where_shards_are_cut() -> None:
    whole = fitted_latents(_known(), 5, IndexRange(0, 70))
    for start, stop in [(0, 1), (31, 40), (69, 70)]:
        np.testing.assert_array_equal(fitted_latents(_known(), 5, IndexRange(start, stop)), whole[start:stop])
    assert not np.array_equal(fitted_latents(_known(), 6, IndexRange(0, 70)), whole)


def test_decoded_draws_do_not_depend_on_where_shards_are_cut() -> None:
    model = linear_gaussian_vae(
        np.random.Generator(np.random.Philox(1)).normal(size=(6, 3)), np.zeros(6), 0.1, (2, 3, 1)
    )
    expected = model.decode(fitted_latents(_known(), 5, IndexRange(0, 8)))
    np.testing.assert_array_equal(sample_fitted(model, _known(), 5, IndexRange(0, 8), 8), expected)
    np.testing.assert_array_equal(sample_fitted(model, _known(), 5, IndexRange(5, 7), 8), expected[5:7])


def test_the_same_seed_fits_the_same_mixture_whatever_the_number_of_threads() -> None:
    from threadpoolctl import threadpool_limits

    latents = _latents(400)
    with threadpool_limits(1):
        one = fit_mixture(latents, seed=4)
    with threadpool_limits(2):
        two = fit_mixture(latents, seed=4)
    for name, array in one.to_arrays().items():
        np.testing.assert_array_equal(array, two.to_arrays()[name])


def test_a_fit_survives_being_stored() -> None:
    fit = fit_mixture(np.repeat(_latents(4), 5, axis=0), seed=0)
    again = MixtureFit.from_arrays(fit.to_arrays())
    assert again.notes == fit.notes
    assert len(fit.notes) == 2
    np.testing.assert_array_equal(fitted_latents(again, 1, IndexRange(0, 9)), fitted_latents(fit, 1, IndexRange(0, 9)))


def test_the_scale_of_a_dimension_does_not_matter() -> None:
    latents, scale = _latents(400), np.array([2.0**-20, 1.0, 2.0**20])
    fit, scaled = fit_mixture(latents, seed=0, num_components=3), fit_mixture(latents * scale, seed=0, num_components=3)
    np.testing.assert_allclose(scaled.means, fit.means * scale, rtol=1e-9)
    np.testing.assert_allclose(scaled.factors, fit.factors * scale[:, np.newaxis], rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_collapsed_dimension_keeps_its_value(value: float) -> None:
    latents = np.insert(_latents(400), 1, value, axis=1)
    draws = fitted_latents(fit_mixture(latents, seed=0), 1, IndexRange(0, 50))
    assert (draws[:, 1] == np.float32(value)).all()
    assert draws[:, 0].std() > 1


def test_where_all_latents_are_equal_every_draw_is_that_latent() -> None:
    fit = fit_mixture(np.full((30, 4), 0.1), seed=0)
    assert (fitted_latents(fit, 1, IndexRange(0, 5)) == np.float32(0.1)).all()
    assert fit.notes == ("All latents are equal.",)


def test_fewer_different_latents_than_components_make_fewer_components() -> None:
    fit = fit_mixture(np.repeat(np.array([[0.0, 1.0], [3.0, 2.0], [1.0, 5.0]]), 100, axis=0), seed=0)
    assert len(fit.weights) == 3
    assert fit.notes == ("Only 3 latents differ, so the mixture has 3 components, not 10.",)
    draws = fitted_latents(fit, 0, IndexRange(0, 30))
    nearest = np.abs(draws[:, np.newaxis] - np.array([[0.0, 1.0], [3.0, 2.0], [1.0, 5.0]])).max(axis=2).min(axis=1)
    assert nearest.max() < 0.02


def test_few_latents_are_said_to_be_few() -> None:
    fit = fit_mixture(_latents(60), seed=0)
    assert fit.notes[0].startswith("60 latents of 3 dimensions are few for 10 components")


def test_fewer_latents_than_dimensions_can_be_drawn_from() -> None:
    latents = np.random.Generator(np.random.Philox(3)).normal(size=(12, 40))
    draws = fitted_latents(fit_mixture(latents, seed=0), 0, IndexRange(0, 20))
    assert np.isfinite(draws).all()


@pytest.mark.parametrize(
    ("latents", "received"),
    [
        (np.zeros(5), "float64 of shape (5,)"),
        (np.zeros((5, 0)), "float64 of shape (5, 0)"),
        (np.zeros((5, 2), dtype=complex), "complex128 of shape (5, 2)"),
    ],
)
def test_latents_that_are_no_table_are_refused(latents: Float64, received: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        fit_mixture(latents, seed=0)
    assert caught.value.received == received
    assert caught.value.expected == "real numbers of shape (images, latent dimensions)"


@pytest.mark.parametrize("num_images", [0, 1])
def test_too_few_latents_are_refused(num_images: int) -> None:
    with pytest.raises(TooFewImages) as caught:
        fit_mixture(np.zeros((num_images, 2)), seed=0)
    assert caught.value.received == f"num_images={num_images}"
    assert str(caught.value.expected).startswith("2 or more")


def test_latents_that_are_not_finite_are_counted_and_the_first_is_named() -> None:
    latents = _latents(20)
    latents[[7, 9], 1] = np.nan
    with pytest.raises(InvalidInput) as caught:
        fit_mixture(latents, seed=0)
    assert caught.value.received == "2 of 20 rows with NaN or infinity, first row 7"
    assert caught.value.expected == "finite latents"


def test_latents_of_too_many_dimensions_are_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        fit_mixture(np.zeros((3, MAX_LATENT_SIZE + 1)), seed=0)
    assert caught.value.received == "513 dimensions"
    assert caught.value.expected == "at most 512"


@pytest.mark.parametrize("num_components", [0, -2])
def test_a_mixture_of_nothing_is_refused(num_components: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        fit_mixture(_latents(20), seed=0, num_components=num_components)
    assert caught.value.received == f"num_components={num_components}"
    assert caught.value.expected == "1 or more"
