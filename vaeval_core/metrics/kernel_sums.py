"""Sums of the kernel of KID over pairs of rows, a block of pairs at a time.

    k(x, y) = (x·y / d + 1)³

The sums are taken of a part of it only. With x·y = x′·y′ + x′·o + y′·o + |o|² (`row_pairs`), s = (x·y - |o|²) / d and
c = |o|² / d + 1,

    k = c³ + 3c² s + 3c s² + s³.

A number that is in every k, and whatever depends on x alone or on y alone, cancels between the three means of a maximum mean
discrepancy: c³, and 3c² (x′·o + y′·o) / d. Leaving them out takes them out of the rounding, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from vaeval_core.metrics.row_pairs import PairBlock
from vaeval_core.types import Float64


def kernel_values(pairs: PairBlock, origin: Float64) -> Float64:
    """3c² x′·y′ / d + 3c s² + s³, (left, right): the part of the kernel that does not cancel. Overwrites the products."""
    constant = float(origin @ origin) / origin.size + 1
    s = pairs.products + pairs.right.projections
    s += pairs.left.projections[:, np.newaxis]
    s /= origin.size
    values: Float64 = s + 3 * constant
    values *= s
    values *= s
    linear = pairs.products
    linear *= 3 * constant * constant / origin.size
    values += linear
    return values


@dataclass(eq=False)
class KernelWithin:
    """Over pairs of different rows of one set of n; filled by `add`.

    Attributes:
        sums: Row i: sum over j ≠ i, (n,).
        squares: Sum of squares over i ≠ j.
    """

    sums: Float64
    squares: float

    @classmethod
    def empty(cls, count: int) -> Self:
        """No pairs yet."""
        return cls(np.zeros(count), 0.0)

    def add(self, pairs: PairBlock, values: Float64) -> None:
        """Take a block of pairs i ≤ j, and with it its mirror image."""
        if pairs.is_diagonal:
            np.fill_diagonal(values, 0)
        else:
            self.sums[pairs.right.place] += values.sum(axis=0)
        self.sums[pairs.left.place] += values.sum(axis=1)
        self.squares += _sum_of_squares(values) * (1 if pairs.is_diagonal else 2)


@dataclass(eq=False)
class KernelBetween:
    """Over pairs of a generated row, of m, and a reference row, of n; filled by `add`.

    Attributes:
        generated_sums: Sum over reference rows, (m,).
        reference_sums: Sum over generated rows, (n,).
        squares: Sum of squares over all pairs.
    """

    generated_sums: Float64
    reference_sums: Float64
    squares: float

    @classmethod
    def empty(cls, num_generated: int, num_reference: int) -> Self:
        """No pairs yet."""
        return cls(np.zeros(num_generated), np.zeros(num_reference), 0.0)

    def add(self, pairs: PairBlock, values: Float64) -> None:
        """Take a block of pairs: generated left, reference right."""
        self.generated_sums[pairs.left.place] += values.sum(axis=1)
        self.reference_sums[pairs.right.place] += values.sum(axis=0)
        self.squares += _sum_of_squares(values)


def _sum_of_squares(values: Float64) -> float:
    return float(np.einsum("ij,ij->", values, values))
