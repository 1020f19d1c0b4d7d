"""Mean and spread of numbers per image, such as a squared error or the KL of each latent dimension.

The same pairwise update as `feature_moments`, element by element.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from vaeval_core.types import Float64


@dataclass(frozen=True, eq=False)
class ValueMoments:
    """Count, mean and sum of squared deviations of n vectors of k independent values.

    Attributes:
        count: n.
        mean: (k,) float64.
        squares: (k,) float64, the sum of (x - mean)².
    """

    count: int
    mean: Float64
    squares: Float64

    @classmethod
    def empty(cls, width: int) -> Self:
        """No values: the identity of `merge`."""
        return cls(0, np.zeros(width), np.zeros(width))

    @classmethod
    def from_rows(cls, rows: Float64) -> Self:
        """Moments of rows (n, k), n ≥ 1. Infinite values give an infinite mean and NaN spread, without a warning."""
        with np.errstate(invalid="ignore", over="ignore"):
            mean = rows.mean(axis=0)
            return cls(len(rows), mean, np.square(rows - mean).sum(axis=0))

    def merge(self, other: Self) -> Self:
        """Moments of both sets of values together."""
        if not self.count:
            return other
        if not other.count:
            return self
        count = self.count + other.count
        with np.errstate(invalid="ignore", over="ignore"):
            difference = other.mean - self.mean
            mean = self.mean + difference * (other.count / count)
            squares = self.squares + other.squares + np.square(difference) * (self.count * other.count / count)
        if not np.isfinite(difference).all():
            # ∞ - ∞ above: the mean of values of which some are infinite is that infinity, or NaN if they differ.
            weighted = self.mean * (self.count / count) + other.mean * (other.count / count)
            mean = np.where(np.isfinite(mean), mean, weighted)
        return type(self)(count, mean, squares)

    @property
    def std_error(self) -> Float64 | None:
        """Standard error of the mean, sd/√n with n - 1 in the variance; None for n < 2."""
        if self.count < 2:
            return None
        error: Float64 = np.sqrt(self.squares / (self.count - 1) / self.count)
        return error
