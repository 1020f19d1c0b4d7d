"""Inner products of all pairs of feature rows, a block at a time: what every metric of pairs is computed from.

Rows are taken relative to an origin, the mean of the reference, before they are multiplied:

    |x - y|² = |x′|² + |y′|² - 2 x′·y′        x·y = x′·y′ + x′·o + y′·o + |o|²        x′ = x - o

A large common offset would cost all digits of the first formula; relative to the mean it costs none.

Blocks have a fixed size and place, so a product has the same bits however the rows arrive. Nothing here grows with the
number of rows: at 2048 features `BLOCKS_AT_A_TIME` blocks on the left, 16 MiB each, and one on the right are held beside their
products.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from vaeval_core.metrics.feature_blocks import ROWS_PER_BLOCK, CheckedBlocks
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
        products: x′ᵢ·x′ⱼ, (left, right) float64; valid until the next block is asked for.
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
        for number, right in enumerate(held.blocks):
            yield from held.products(right, first=number)
            yield PairBlock(right, right, right.rows @ right.rows.T, is_diagonal=True)
        if held.end < blocks.shape[0]:
            for right in _centred(blocks, origin, first=held.end):
                yield from held.products(right)


def pairs_between(left_blocks: CheckedBlocks, right_blocks: CheckedBlocks, origin: Float64) -> Iterator[PairBlock]:
    """Blocks of all pairs of a row of one set and a row of another."""
    for held in _held(left_blocks, origin):
        for right in _centred(right_blocks, origin):
            yield from held.products(right)


class _Held:
    """Consecutive blocks on the left, as one matrix: one large product is faster than several small ones."""

    def __init__(self, start: int, height: int, dimension: int) -> None:
        self.end = start + height
        self.blocks: list[CentredBlock] = []
        self._start = start
        self._rows = np.empty((height, dimension))
        self._room = np.empty((height, ROWS_PER_BLOCK))

    def add(self, block: CentredBlock) -> None:
        rows = self._rows[self._place(block)]
        rows[:] = block.rows
        self.blocks.append(replace(block, rows=rows))

    def products(self, right: CentredBlock, *, first: int | None = None) -> Iterator[PairBlock]:
        """The pairs of the held blocks, or of the first few of them, with one on the right."""
        lefts = self.blocks[:first]
        height = sum(len(left.rows) for left in lefts)
        # The last block on the right is narrower: its products lie close together, as those of a whole one do.
        room = self._room.reshape(-1)[: height * len(right.rows)].reshape(height, len(right.rows))
        np.matmul(self._rows[:height], right.rows.T, out=room)
        for left in lefts:
            yield PairBlock(left, right, room[self._place(left)])

    def _place(self, block: CentredBlock) -> slice:
        return slice(block.start - self._start, block.start - self._start + len(block.rows))


def _held(blocks: CheckedBlocks, origin: Float64) -> Iterator[_Held]:
    num_rows, dimension = blocks.shape
    held = None
    for block in _centred(blocks, origin):
        if held is None:
            height = min(BLOCKS_AT_A_TIME * ROWS_PER_BLOCK, num_rows - block.start)
            held = _Held(block.start, height, dimension)
        held.add(block)
        if len(held.blocks) == BLOCKS_AT_A_TIME:
            yield held
            held = None
    if held is not None:
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
