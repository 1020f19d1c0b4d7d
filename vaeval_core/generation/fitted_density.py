"""A second stage: a Gaussian mixture fitted to encoded images, and the stream `fitted` of decoded draws from it.

Where the encoder does not spread images as the prior would, prior draws show latents that the decoder never saw. Draws from a
density fitted to the encoded images do not: what they still lack beside real images is the decoder's, and what prior draws
lack beside them is the prior's.

Draw i is a function of (seed, i) and the fit, like all noise here: one number chooses the component, k more are its noise.

    >>> fit = fit_mixture(np.array([[0.0, 1.0], [2.0, 1.0]] * 50), seed=0, num_components=2)
    >>> sorted(fit.means.round(2).tolist()), fit.weights.tolist()
    ([[0.0, 1.0], [2.0, 1.0]], [0.5, 0.5])

Source: Ghosh et al. 2020, arXiv:1903.12436, section 4: ten components with full covariances.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.seeding import standard_normal, uniform
from vaeval_core.types import Float32, Float64, IndexRange

NUM_COMPONENTS = 10
MAX_LATENT_SIZE = 512
"""Full covariances take k² numbers and k³ steps for each component: spatial latents of thousands are out of reach."""

ADDED_VARIANCE = 1e-6
"""Added to every variance, as a share of the latent dimension's own, so that no component is infinitely thin."""

_MOST_STEPS = 200
_STEPS_AT_ONCE = 10


@dataclass(frozen=True, eq=False)
class MixtureFit:
    """A mixture of Gaussians over latents.

    Attributes:
        weights: (m,) float64, sum 1.
        means: (m, k) float64.
        factors: (m, k, k) float64, lower triangular L with L Lᵀ the covariance; rows of constant dimensions are 0.
        notes: What a reader of scores from it must know, a sentence each.
    """

    weights: Float64
    means: Float64
    factors: Float64
    notes: tuple[str, ...] = ()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As named arrays, to be stored; the notes are kept as UTF-8 bytes."""
        notes = np.frombuffer("\n".join(self.notes).encode(), dtype=np.uint8)
        return {"weights": self.weights, "means": self.means, "factors": self.factors, "notes": notes}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """Undo `to_arrays`."""
        notes = arrays["notes"].tobytes().decode()
        return cls(arrays["weights"], arrays["means"], arrays["factors"], tuple(notes.splitlines()))


def fit_mixture(
    latents: ArrayLike,
    *,
    seed: int,
    num_components: int = NUM_COMPONENTS,
    on_progress: Callable[[], None] = lambda: None,
) -> MixtureFit:
    """Fit a mixture with full covariances by expectation maximisation.

    Each latent dimension is standardised for the fit, so that its scale does not matter; one that never changes keeps its
    value. One thread computes, so that the number of cores changes no digit.

    Args:
        latents: (n, k), one row an image: a draw from its posterior, or the code of an autoencoder. Posterior means are
            narrower than what the decoder was trained on.
        seed: Where the fit begins.
        num_components: m; fewer are fitted where fewer rows differ.
        on_progress: Called every few steps of the fit. May raise to stop.

    Raises:
        InvalidInput: The latents are no table of finite numbers, or have more than 512 dimensions; or m is below 1.
        TooFewImages: Fewer than two.
    """
    table = _checked(latents, num_components)
    notes = []
    centre, spread = table.mean(axis=0), table.std(axis=0)
    varying = (table.max(axis=0) > table.min(axis=0)) & (spread > 0)  # rounding gives constants a spread
    standardised = (table[:, varying] - centre[varying]) / spread[varying]
    num_images, size = table.shape
    if not varying.any():
        return MixtureFit(np.ones(1), table[:1].copy(), np.zeros((1, size, size)), ("All latents are equal.",))
    distinct = len(np.unique(standardised, axis=0))
    if distinct < num_components:
        notes.append(f"Only {distinct} latents differ, so the mixture has {distinct} components, not {num_components}.")
        num_components = distinct
    if num_images < 2 * num_components * (varying.sum() + 1):
        notes.append(
            f"{num_images} latents of {varying.sum()} dimensions are few for {num_components} components: draws stay close to "
            "the encoded images."
        )
    model, converged = _fit(standardised, num_components, seed, on_progress)
    if not converged:
        notes.append(f"The fit of the mixture did not converge within {_MOST_STEPS} steps.")
    means = np.where(varying, centre, table[0]) * np.ones((num_components, 1))
    means[:, varying] += spread[varying] * model.means_
    factors = np.zeros((num_components, size, size))
    factors[np.ix_(range(num_components), varying, varying)] = (
        np.linalg.cholesky(model.covariances_) * spread[varying][:, np.newaxis]
    )
    return MixtureFit(np.asarray(model.weights_, dtype=np.float64), means, factors, tuple(notes))


def fitted_latents(fit: MixtureFit, seed: int, index_range: IndexRange) -> Float32:
    """Draws from the mixture for image numbers of the stream, (n, k) float32; row j for image `index_range.start + j`."""
    chances = uniform(seed, "fitted components", index_range, 1)[:, 0]
    last = len(fit.weights) - 1  # rounding can leave the sum of the weights below a chance
    chosen = np.minimum(np.searchsorted(np.cumsum(fit.weights), chances, side="right"), last)
    noise = standard_normal(seed, "fitted", index_range, fit.means.shape[1]).astype(np.float64)
    # Row by row, so that a draw does not depend on how many are made at once.
    moved = [fit.factors[component] @ row for component, row in zip(chosen, noise, strict=True)]
    latents: Float32 = (fit.means[chosen] + np.stack(moved)).astype(np.float32)
    return latents


def sample_fitted(adapter: VaeAdapter, fit: MixtureFit, seed: int, index_range: IndexRange, batch: int) -> Float32:
    """Decoded draws (n, h, w, c) float32, not clamped, for the image numbers of a range within one aligned batch."""
    latents = fitted_latents(fit, seed, index_range)
    return take_from_batch(adapter.decode(pad_to_batch(latents, index_range, batch)), index_range, batch)


def _checked(latents: ArrayLike, num_components: int) -> Float64:
    table = np.asarray(latents)
    if num_components < 1:
        raise InvalidInput(
            "A mixture has components.", received=f"num_components={num_components}", expected="1 or more"
        )
    if table.ndim != 2 or table.dtype.kind not in "fiu" or not table.shape[1]:
        raise InvalidInput(
            "The latents are no table of numbers.",
            received=f"{table.dtype} of shape {table.shape}",
            expected="real numbers of shape (images, latent dimensions)",
        )
    if len(table) < 2:
        raise TooFewImages(
            "A density cannot be fitted to so few latents.",
            received=f"num_images={len(table)}",
            expected="2 or more, better thousands",
            next_step="encode more images",
        )
    if table.shape[1] > MAX_LATENT_SIZE:
        raise InvalidInput(
            "The latents have too many dimensions for a mixture with full covariances.",
            received=f"{table.shape[1]} dimensions",
            expected=f"at most {MAX_LATENT_SIZE}",
        )
    finite = np.isfinite(table).all(axis=1)
    if not finite.all():
        raise InvalidInput(
            "The latents are not finite.",
            received=f"{int((~finite).sum())} of {len(table)} rows with NaN or infinity, first row {int(finite.argmin())}",
            expected="finite latents",
            next_step="look at what the encoder gives for that image",
        )
    return table.astype(np.float64)


def _fit(standardised: Float64, num_components: int, seed: int, on_progress: Callable[[], None]) -> tuple[Any, bool]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    # With a warm start each call goes on where the one before ended: the steps are those of a single call.
    model = GaussianMixture(
        num_components,
        reg_covar=ADDED_VARIANCE,
        max_iter=_STEPS_AT_ONCE,
        warm_start=True,
        random_state=seed % 2**32,
    )
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # told by a note instead
        for _ in range(_MOST_STEPS // _STEPS_AT_ONCE):
            model.fit(standardised)
            on_progress()
            if model.converged_:
                break
    return model, bool(model.converged_)
