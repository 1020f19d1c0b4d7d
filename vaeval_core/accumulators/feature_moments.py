"""Mean and scatter of feature vectors: all that a Fréchet distance needs when there are many images.

    merge:  n = n₁ + n₂,  δ = m₂ - m₁,  m = m₁ + δ n₂/n,  S = S₁ + S₂ + δ δᵀ n₁n₂/n

Source: Chan, Golub and LeVeque 1983, pairwise update. Deviations are taken from the block's own mean before squaring, so
a large common offset costs no digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from vaeval_core.types import Float32, Float64


@dataclass(frozen=True, eq=False)
class FeatureMoments:
    """Count, mean and scatter of n vectors of length d.

    Attributes:
        count: n.
        mean: (d,) float64.
        scatter: (d, d) float64, the sum of (x - mean)(x - mean)ᵀ.
    """

    count: int
    mean: Float64
    scatter: Float64

    @classmethod
    def empty(cls, dimension: int) -> Self:
        """No vectors: the identity of `merge`."""
        return cls(0, np.zeros(dimension), np.zeros((dimension, dimension)))

    @classmethod
    def from_rows(cls, rows: Float32 | Float64) -> Self:
        """Moments of rows (n, d), n ≥ 1."""
        exact = rows.astype(np.float64)
        mean = exact.mean(axis=0)
        centred = exact - mean
        return cls(len(rows), mean, centred.T @ centred)

    def merge(self, other: Self, *, reuse: bool = False) -> Self:
        """Moments of both sets of vectors together.

        Args:
            other: The others.
            reuse: Neither is needed any more: their scatter matrices become the result and its working space. The bits of
                the result are the same, and a long sum takes the memory of two matrices instead of four.
        """
        if not self.count:
            return other
        if not other.count:
            return self
        count = self.count + other.count
        difference = other.mean - self.mean
        mean = self.mean + difference * (other.count / count)
        scatter = np.add(self.scatter, other.scatter, out=self.scatter if reuse else None)
        shift = np.multiply.outer(difference, difference, out=other.scatter if reuse else None)
        shift *= self.count * other.count / count
        scatter += shift
        return type(self)(count, mean, scatter)

    @property
    def covariance(self) -> Float64:
        """Unbiased covariance (d, d); needs n ≥ 2."""
        return self.scatter / (self.count - 1)
