"""Inner products of all pairs of feature rows, a block at a time: what every metric of pairs is computed from.

Rows are taken relative to an origin, the mean of the reference, before they are multiplied:

    |x - y|² = |x′|² + |y′|² - 2 x′·y′        x·y = x′·y′ + x′·o + y′·o + |o|²        x′ = x - o

A large common offset would cost all digits of the first formula; relative to the mean it costs none.

Blocks have a fixed size and place, so a product has the same bits however the rows arrive. Nothing here grows with the
number of rows: at 2048 features `BLOCKS_AT_A_TIME` blocks on the left, 8 MiB each as float32, are held beside one of either
side relative to the origin, 16 MiB each, and their products.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.metrics.feature_blocks import ROWS_PER_BLOCK, CheckedBlocks
from vaeval_core.types import Float64

BLOCKS_AT_A_TIME = 4
"""Left blocks held while the right rows are read once: rows that come from files are read n / 4096 times."""


@dataclass(frozen=True, eq=False)
class CentredBlock:
    """Consecutive rows, relative to the origin o.

    Attributes:
        start: Number of the first row.
        rows: x′ = x - o, (r, d) float64; valid until the next pair of blocks is asked for.
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
    room = _room_for_one(blocks)
    for held in _held(blocks, origin):
        for number in range(len(held)):
            right = held.block(number, room)
            yield from held.products(right, first=number)
            yield PairBlock(right, right, right.rows @ right.rows.T, is_diagonal=True)
        if held.end < blocks.shape[0]:
            for start, raw in blocks.as_they_are(held.end):
                yield from held.products(_relative(start, raw, origin, room))


def pairs_between(left_blocks: CheckedBlocks, right_blocks: CheckedBlocks, origin: Float64) -> Iterator[PairBlock]:
    """Blocks of all pairs of a row of one set and a row of another."""
    room = _room_for_one(right_blocks)
    for held in _held(left_blocks, origin):
        for start, raw in right_blocks.as_they_are():
            yield from held.products(_relative(start, raw, origin, room))


class _Held:
    """Consecutive blocks on the left, as they came: float32 takes half the memory of what is multiplied.

    To take the origin from them again for each block on the right costs a thirtieth of the product.

    Args:
        origin: What rows are taken relative to.
        room: Where a left block goes while it is multiplied, (`ROWS_PER_BLOCK`, d).
    """

    def __init__(self, origin: Float64, room: Float64) -> None:
        self.end = 0
        self._origin = origin
        self._room = room
        self._products = np.empty(ROWS_PER_BLOCK * ROWS_PER_BLOCK)
        self._raw: list[NDArray[Any]] = []
        self._facts: list[tuple[int, Float64, Float64]] = []

    def __len__(self) -> int:
        return len(self._raw)

    def add(self, start: int, raw: NDArray[Any]) -> None:
        """Hold a block, whose first row has that number."""
        block = _relative(start, raw, self._origin, self._room)
        self._raw.append(raw)
        self._facts.append((start, block.squared_norms, block.projections))
        self.end = start + len(raw)

    def clear(self) -> None:
        """Hold nothing, to begin again."""
        self._raw.clear()
        self._facts.clear()

    def products(self, right: CentredBlock, *, first: int | None = None) -> Iterator[PairBlock]:
        """The pairs of the held blocks, or of the first few of them, with one on the right."""
        for number in range(len(self) if first is None else first):
            left = self.block(number, self._room)
            shape = len(left.rows), len(right.rows)
            products = self._products[: shape[0] * shape[1]].reshape(shape)
            yield PairBlock(left, right, np.matmul(left.rows, right.rows.T, out=products))

    def block(self, number: int, room: Float64) -> CentredBlock:
        """A held block, in that room."""
        start, squared_norms, projections = self._facts[number]
        raw = self._raw[number]
        rows = np.subtract(raw, self._origin, out=room[: len(raw)])
        return CentredBlock(start, rows, squared_norms, projections)


def _held(blocks: CheckedBlocks, origin: Float64) -> Iterator[_Held]:
    """All rows in turn; what was given before is not valid any more."""
    held = _Held(origin, _room_for_one(blocks))
    for start, raw in blocks.as_they_are():
        held.add(start, raw)
        if len(held) == BLOCKS_AT_A_TIME:
            yield held
            held.clear()
    if len(held):
        yield held


def _room_for_one(blocks: CheckedBlocks) -> Float64:
    return np.empty((min(ROWS_PER_BLOCK, blocks.shape[0]), blocks.shape[1]))


def _relative(start: int, raw: NDArray[Any], origin: Float64, room: Float64) -> CentredBlock:
    rows = np.subtract(raw, origin, out=room[: len(raw)])
    return CentredBlock(start, rows, np.einsum("ij,ij->i", rows, rows), rows @ origin)


def rounding_share(dimension: int) -> float:
    """Share of |x′|² + |y′|² by which two squared distances may differ from rounding alone.

    A product of d terms is off by at most d·2⁻⁵³ of |x′||y′| (Higham 2002, «Accuracy and Stability of Numerical
    Algorithms», 3.1), and both distances of a comparison are computed; the factor leaves room for rows further out.
    Distances that are closer than this are treated as equal.
    """
    return 8 * (dimension + 2) * 2.0**-53
