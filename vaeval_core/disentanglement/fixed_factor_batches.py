"""Draws images that agree in one factor and are random in all others: what the FactorVAE and β-VAE scores look at.

The papers have a renderer and draw factors; here there is a set of images with known factors, and those that agree are drawn
from it, with replacement. In a set where factors are independent the two are the same but for the finite choice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaeval_core.disentanglement.labelled_codes import LabelledCodes
from vaeval_core.types import Float64, IndexRange, Int64

BATCH = 64
"""Images, or pairs of images, behind one observation of a score, as in the papers."""

_MOST_NUMBERS = 2**22  # codes gathered at once: 32 MiB


class SharingRows:
    """Finds images that share a value of a factor with a given one."""

    def __init__(self, labelled: LabelledCodes) -> None:
        self._factors = labelled.factors
        # Rows sorted by value, and where each value begins among them, for each factor.
        self._orders: list[Int64] = [np.argsort(column, kind="stable") for column in labelled.factors.T]
        self._starts: list[Int64] = [
            np.concatenate([[0], np.cumsum(np.bincount(column, minlength=num_values))])
            for column, num_values in zip(labelled.factors.T, labelled.num_values, strict=True)
        ]

    def draw(self, factor: int, anchors: Int64, chances: Float64) -> Int64:
        """For each anchor row a random row with the same value of the factor.

        Args:
            factor: Column of the factors.
            anchors: Row numbers, any shape that broadcasts with `chances`.
            chances: Uniform in (0, 1); one row is drawn for each.

        Returns:
            Row numbers of the shape of `chances`.
        """
        values = self._factors[anchors, factor]
        first, last = self._starts[factor][values], self._starts[factor][values + 1]
        places = np.minimum(first + np.floor(chances * (last - first)).astype(np.int64), last - 1)
        rows: Int64 = self._orders[factor][places]
        return rows


def chunks(labelled: LabelledCodes, num_points: int) -> list[IndexRange]:
    """Observations 0 … num_points - 1 in pieces whose codes fit into memory; what is drawn does not depend on the cuts."""
    return list(IndexRange(0, num_points).blocks(max(1, _MOST_NUMBERS // (BATCH * labelled.num_codes))))


def one_of(count: int, chances: Float64) -> Int64:
    """Uniform numbers in (0, 1) to whole numbers 0 … count - 1, all alike likely."""
    return np.minimum((chances * count).astype(np.int64), count - 1)


def per_factor(correct: NDArray[np.bool_], factors: Int64, num_factors: int) -> tuple[float, ...]:
    """Share of correct answers for each fixed factor; 0 for one that was never fixed."""
    shares = [correct[factors == factor].mean() if (factors == factor).any() else 0.0 for factor in range(num_factors)]
    return tuple(float(share) for share in shares)
