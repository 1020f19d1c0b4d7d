"""How evenly pictures change along a path between two latents, in pixels or in features.

    speed       |x(t + ε) - x(t)|² / ε²     per path; its mean is the perceptual path length of Karras et al. 2019
    unevenness  max dᵢ / Σ dᵢ - 1 / (T - 1)      dᵢ = |xᵢ₊₁ - xᵢ|, T pictures; 0 if all steps are equal
    detour      Σ dᵢ / |x_T - x₁|                1 for a straight path
    bending     (T - 1)² mean |xᵢ₊₁ - 2 xᵢ + xᵢ₋₁|² / mean dᵢ²      0 for a straight path at even speed; θ² for an arc of θ

For a linear decoder along a line, unevenness and bending are 0, detour is 1, and speed does not depend on ε. A path along
which nothing changes has no unevenness, no detour and no bending: NaN, to be left out of means *and counts*.

Sources: Karras et al. 2019, arXiv:1812.04948, section 4.1, with LPIPS as distance; unevenness: the smoothness of Berthelot et
al. 2019, arXiv:1807.07543, with pixel or feature distances.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput
from vaeval_core.types import Float64


def feature_speed(first: NDArray[np.floating], second: NDArray[np.floating], step: float) -> Float64:
    """Squared speed of feature vectors.

    Args:
        first: Features of one image of each path, (n, d).
        second: Features of another one, a fraction `step` of the path further or back.
        step: ε > 0.

    Returns:
        (n,) float64, squared feature units, for the whole path; ≥ 0.

    Raises:
        InvalidInput: The shapes differ, or the step is not positive.
    """
    speed: Float64 = _squared_distance(first, second, step).sum(axis=1)
    return speed


def pixel_speed(first: NDArray[np.floating], second: NDArray[np.floating], step: float) -> Float64:
    """Squared speed of pixels, from decoder output (n, h, w, c) that is not quantised.

    Returns:
        (n,) float64, squared intensity per pixel and channel, for the whole path; ≥ 0.

    Raises:
        InvalidInput: The shapes differ, or the step is not positive.
    """
    speed: Float64 = _squared_distance(first, second, step).mean(axis=1)
    return speed


def unevenness(paths: NDArray[np.floating]) -> Float64:
    """Share of the longest step above that of an even one, for paths (n, T, …), T ≥ 2.

    Returns:
        (n,) float64 in [0, 1); NaN for a path along which nothing changes.
    """
    distances = _step_lengths(paths)
    excess: Float64 = _ratio(distances.max(axis=1), distances.sum(axis=1)) - 1 / distances.shape[1]
    return excess


def detour(paths: NDArray[np.floating]) -> Float64:
    """Length of each path (n, T, …), T ≥ 2, over the distance of its ends, (n,) float64 ≥ 1.

    NaN for a path along which nothing changes, infinite for one that comes back to where it began.
    """
    rows = _rows(paths)
    lengths, direct = _step_lengths(paths).sum(axis=1), np.linalg.norm(rows[:, -1] - rows[:, 0], axis=1)
    return np.where((direct == 0) & (lengths > 0), np.inf, _ratio(lengths, direct))


def bending(paths: NDArray[np.floating]) -> Float64:
    """Mean squared second difference over mean squared first difference, for paths (n, T, …), T ≥ 3.

    Returns:
        (n,) float64 ≥ 0, for the whole path, so hardly dependent on T; NaN for a path along which nothing changes.
    """
    rows = _rows(paths, at_least=3)
    first, second = (np.square(np.diff(rows, n=order, axis=1)).sum(axis=2).mean(axis=1) for order in (1, 2))
    bent: Float64 = _ratio(second, first) * (rows.shape[1] - 1) ** 2
    return bent


def _squared_distance(first: NDArray[np.floating], second: NDArray[np.floating], step: float) -> Float64:
    if first.shape != second.shape or not step > 0:
        raise InvalidInput(
            "The speed along paths needs two images of each, some way apart.",
            received=f"shapes {first.shape} and {second.shape}, step {step}",
            expected="equal shapes and a step above 0",
        )
    with np.errstate(invalid="ignore", over="ignore"):
        difference = (second.astype(np.float64) - first).reshape(len(first), -1) / step
        squared: Float64 = np.square(difference)
    return squared


def _rows(paths: NDArray[np.floating], at_least: int = 2) -> Float64:
    if paths.ndim < 3 or paths.shape[1] < at_least:
        raise InvalidInput(
            "There are too few pictures on a path.",
            received=f"shape {paths.shape}",
            expected=f"(paths, pictures, …) with {at_least} pictures or more on each",
        )
    return paths.reshape(*paths.shape[:2], -1).astype(np.float64)


def _step_lengths(paths: NDArray[np.floating]) -> Float64:
    lengths: Float64 = np.linalg.norm(np.diff(_rows(paths), axis=1), axis=2)
    return lengths


def _ratio(numerator: Float64, denominator: Float64) -> Float64:
    """NaN where both are 0 or either is NaN."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
