"""The feature vectors themselves, for when there are fewer of them than dimensions.

Then rows are smaller than their scatter matrix, and a Fréchet distance from rows is both faster and more exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from vaeval_core.types import Float32, Float64


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """n vectors of length d, in image order.

    Attributes:
        rows: (n, d) float32, or float64 where a caller has them so.
    """

    rows: Float32 | Float64

    @classmethod
    def empty(cls, dimension: int) -> Self:
        """No vectors: the identity of `merge`."""
        return cls(np.zeros((0, dimension), dtype=np.float32))

    @classmethod
    def from_rows(cls, rows: Float32 | Float64) -> Self:
        """Keep rows (n, d)."""
        return cls(rows)

    def merge(self, other: Self) -> Self:
        """These rows, then those of `other`."""
        return type(self)(np.concatenate([self.rows, other.rows]))

    @property
    def count(self) -> int:
        """n."""
        return len(self.rows)

    @property
    def mean(self) -> Float64:
        """(d,) float64."""
        mean: Float64 = self.rows.astype(np.float64).mean(axis=0)
        return mean
