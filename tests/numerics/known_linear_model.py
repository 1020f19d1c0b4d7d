"""A linear Gaussian VAE with published numbers, and images whose mean and covariance are exactly the model's.

D = 8, L = 4, singular values (2, 1, ½, 0), noise variance ¼, all over 20 so that its images lie in [0, 1]. The fourth latent
is a collapsed one. Closed forms: Lucas, Tucker, Grosse and Norouzi 2019, arXiv:1911.02469.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from vaeval_core.checkpoints.linear_gaussian import LinearGaussianVae, linear_gaussian_vae

SINGULAR_VALUES = np.array([2.0, 1.0, 0.5, 0.0])
NOISE_VARIANCE = 0.25
SCALE = 20.0
NUM_VALUES = 8

EXPECTED_LOG_LIKELIHOOD = -8.3742300 + NUM_VALUES * math.log(SCALE)  # a density in an interval 20 times as narrow
DIVERGENCES = np.array([1.41660667, 0.80471896, 0.34657359, 0.0])
ACTIVITIES = np.array([0.94117647, 0.8, 0.5, 0.0])


def linear_model() -> LinearGaussianVae:
    orthonormal, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(NUM_VALUES, 4)))
    weights = orthonormal * SINGULAR_VALUES / SCALE
    return linear_gaussian_vae(weights, np.full(NUM_VALUES, 0.5), NOISE_VARIANCE / SCALE**2, (2, 4, 1))


def covariance(model: LinearGaussianVae) -> np.ndarray:
    return model.weights @ model.weights.T + model.noise_variance * np.eye(len(model.weights))


def images_with_the_model_moments(model: LinearGaussianVae, *, unbiased: bool = False) -> np.ndarray:
    """16 images b ± c·(column of a root of the covariance): their covariance by n, or by n - 1, is the model's."""
    root = np.linalg.cholesky(covariance(model))
    count = 2 * len(root)
    reach = math.sqrt((count - 1) / 2 if unbiased else count / 2)
    pixels = model.offset + reach * np.concatenate([root.T, -root.T])
    return pixels.reshape(-1, *model.image_shape).astype(np.float32)


def images_from_the_model(model: LinearGaussianVae, count: int, seed: int) -> np.ndarray:
    root = np.linalg.cholesky(covariance(model))
    pixels = model.offset + np.random.default_rng(seed).normal(size=(count, len(root))) @ root.T
    return pixels.reshape(-1, *model.image_shape).astype(np.float32)


def log_likelihood(model: LinearGaussianVae, images: np.ndarray) -> np.ndarray:
    """ln p(x) by the density of the marginal Gaussian, with no latent in it."""
    pixels = images.reshape(len(images), -1).astype(np.float64)
    return np.asarray(stats.multivariate_normal(model.offset, covariance(model)).logpdf(pixels))
