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

ROWS_AT_A_TIME = 128
"""Rows of a block whose values are made at once: 1 MiB, which stays in a processor's cache. Whole blocks take twice as long."""


@dataclass(frozen=True, eq=False)
class _BlockSums:
    """Sums of the values of a block of pairs: over the right for each left row, over the left, and of all squares."""

    left: Float64
    right: Float64
    squares: float


def _sums_of(pairs: PairBlock, origin: Float64) -> _BlockSums:
    """Sums of 3c² x′·y′ / d + 3c s² + s³, the part of the kernel that does not cancel."""
    dimension = origin.size
    constant = float(origin @ origin) / dimension + 1
    height, width = pairs.products.shape
    left, right, squares = np.empty(height), np.zeros(width), 0.0
    room, other_room = np.empty((2, ROWS_AT_A_TIME, width))
    for start in range(0, height, ROWS_AT_A_TIME):
        products = pairs.products[start : start + ROWS_AT_A_TIME]
        rows = slice(start, start + len(products))
        s, values = room[: len(products)], other_room[: len(products)]
        np.add(products, pairs.right.projections, out=s)
        s += pairs.left.projections[rows, np.newaxis]
        s /= dimension
        np.add(s, 3 * constant, out=values)
        values *= s
        values *= s
        np.multiply(products, 3 * constant * constant / dimension, out=s)
        values += s
        if pairs.is_diagonal:
            values[np.arange(len(values)), np.arange(rows.start, rows.stop)] = 0
        left[rows] = values.sum(axis=1)
        right += values.sum(axis=0)
        squares += float(np.einsum("ij,ij->", values, values))
    return _BlockSums(left, right, squares)


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

    def add(self, pairs: PairBlock, origin: Float64) -> None:
        """Take a block of pairs i ≤ j, and with it its mirror image."""
        sums = _sums_of(pairs, origin)
        self.sums[pairs.left.place] += sums.left
        self.squares += sums.squares
        if not pairs.is_diagonal:
            self.sums[pairs.right.place] += sums.right
            self.squares += sums.squares


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

    def add(self, pairs: PairBlock, origin: Float64) -> None:
        """Take a block of pairs: generated left, reference right."""
        sums = _sums_of(pairs, origin)
        self.generated_sums[pairs.left.place] += sums.left
        self.reference_sums[pairs.right.place] += sums.right
        self.squares += sums.squares
