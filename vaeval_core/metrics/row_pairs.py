"""Inner products of all pairs of feature rows, a block at a time: what every metric of pairs is computed from.

Rows are taken relative to an origin, the mean of the reference, before they are multiplied:

    |x - y|² = |x′|² + |y′|² - 2 x′·y′        x·y = x′·y′ + x′·o + y′·o + |o|²        x′ = x - o

A large common offset would cost all digits of the first formula; relative to the mean it costs none.

Blocks have a fixed size and place, so a product has the same bits however the rows arrive. Nothing here grows with the
square of the number of rows: at 2048 features the blocks of one moment are 16 MiB each, and there are never more than
`BLOCKS_AT_A_TIME` + 1 of them beside one block of products.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vaeval_core.metrics.feature_blocks import CheckedBlocks
from vaeval_core.types import Float64

BLOCKS_AT_A_TIME = 4
"""Left blocks held while the right rows are read once: rows that come from files are read n / 4096 times."""


@dataclass(frozen=True, eq=False)
class CentredBlock:
    """Consecutive rows, relative to the origin o.

    Attributes:
        start: Number of the first row.
        rows: x′ = x - o, (r, d) float64.
        squared_norms: |x′|², (r,).
        projections: x′·o, (r,).
    """

    start: int
    rows: Float64
    squared_norms: Float64
    projections: Float64

    @property
    def place(self) -> slice:
        """Where its rows are in an array over all rows."""
        return slice(self.start, self.start + len(self.rows))


@dataclass(frozen=True, eq=False)
class PairBlock:
    """All pairs of two blocks.

    Attributes:
        left: Rows i.
        right: Rows j.
        products: x′ᵢ·x′ⱼ, (left, right) float64; the receiver may overwrite it.
        is_diagonal: Left and right are one block of one set, so that every pair is there twice.
    """

    left: CentredBlock
    right: CentredBlock
    products: Float64
    is_diagonal: bool = False

    def squared_distances(self, inflation: float = 1.0) -> Float64:
        """|x′ᵢ|² + |x′ⱼ|² - 2 x′ᵢ·x′ⱼ, (left, right), with the squared norms multiplied by `inflation`."""
        distances = self.products * -2
        distances += self.right.squared_norms * inflation
        distances += (self.left.squared_norms * inflation)[:, np.newaxis]
        return distances


def mean_row(blocks: CheckedBlocks) -> Float64:
    """Mean of the rows, (d,): the origin."""
    total = np.zeros(blocks.shape[1])
    for block in blocks:
        total += block.sum(axis=0)
    return total / blocks.shape[0]


def pairs_within(blocks: CheckedBlocks, origin: Float64) -> Iterator[PairBlock]:
    """Blocks of pairs i ≤ j of the rows of one set, and on the diagonal i > j, too."""
    for held in _held(blocks, origin):
        for right in _centred(blocks, origin, first=held[0].start):
            for left in held:
                if left.start < right.start:
                    yield PairBlock(left, right, left.rows @ right.rows.T)
                elif left.start == right.start:
                    yield PairBlock(left, left, left.rows @ left.rows.T, is_diagonal=True)


def pairs_between(left_blocks: CheckedBlocks, right_blocks: CheckedBlocks, origin: Float64) -> Iterator[PairBlock]:
    """Blocks of all pairs of a row of one set and a row of another."""
    for held in _held(left_blocks, origin):
        for right in _centred(right_blocks, origin):
            for left in held:
                yield PairBlock(left, right, left.rows @ right.rows.T)


def _held(blocks: CheckedBlocks, origin: Float64) -> Iterator[list[CentredBlock]]:
    held: list[CentredBlock] = []
    for block in _centred(blocks, origin):
        held.append(block)
        if len(held) == BLOCKS_AT_A_TIME:
            yield held
            held = []
    if held:
        yield held


def _centred(blocks: CheckedBlocks, origin: Float64, *, first: int = 0) -> Iterator[CentredBlock]:
    for start, block in blocks.starting_at(first):
        rows = block - origin
        yield CentredBlock(start, rows, np.einsum("ij,ij->i", rows, rows), rows @ origin)


def rounding_share(dimension: int) -> float:
    """Share of |x′|² + |y′|² by which two squared distances may differ from rounding alone.

    A product of d terms is off by at most d·2⁻⁵³ of |x′||y′| (Higham 2002, «Accuracy and Stability of Numerical
    Algorithms», 3.1), and both distances of a comparison are computed; the factor leaves room for rows further out.
    Distances that are closer than this are treated as equal.
    """
    return 8 * (dimension + 2) * 2.0**-53
