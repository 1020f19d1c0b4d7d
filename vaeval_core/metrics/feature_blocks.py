"""Feature vectors that need not fit into memory: what metrics of rows, not of moments, iterate over.

A metric takes an array, which a notebook has, or anything with a shape that can be iterated more than once, which the
finalise has: shard files, read one at a time. Blocks are cut at fixed rows, so that sums over them are the same for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from vaeval_core.accumulators.fixed_blocks import FixedBlocks
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.types import Float32, Float64

ROWS_PER_BLOCK = 1024
"""Rows per block: 8 MiB of float32 features of InceptionV3. Part of the last bits of sums over blocks, so a constant."""


class FeatureBlocks(Protocol):
    """n feature vectors of length d in image order, in consecutive pieces of any size, the same at each iteration."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""

    def __iter__(self) -> Iterator[Float32 | Float64]:
        """Pieces (rows, d), n rows in all."""


Features = ArrayLike | FeatureBlocks
"""What a metric of rows takes: (n, d) real numbers, at once or in pieces."""


class CheckedBlocks:
    """Blocks of `ROWS_PER_BLOCK` rows, each checked to be finite as it is read.

    Attributes:
        shape: (n, d).
    """

    def __init__(self, pieces: Iterable[Float32 | Float64], shape: tuple[int, int], name: str) -> None:
        self._pieces = pieces
        self._name = name
        self.shape = shape

    def __iter__(self) -> Iterator[Float64]:
        """Blocks (rows, d) float64; all but the last have `ROWS_PER_BLOCK` rows.

        Raises:
            InvalidInput: A feature is not finite, or the pieces do not add up to the shape.
        """
        blocks = FixedBlocks(ROWS_PER_BLOCK)
        start = 0
        for piece in self._pieces:
            for block in blocks.push(np.asarray(piece)):
                yield self._checked(block, start)
                start += len(block)
        for block in blocks.rest():
            yield self._checked(block, start)
            start += len(block)
        if start != self.shape[0]:
            raise InvalidInput(
                f"The {self._name} features do not have the number of rows that they state.",
                received=f"{start} rows",
                expected=f"{self.shape[0]}",
            )

    def _checked(self, block: Float32 | Float64, start: int) -> Float64:
        finite = np.isfinite(block)
        if not finite.all():
            rows = np.flatnonzero(~finite.all(axis=1))
            raise InvalidInput(
                f"The {self._name} features are not finite.",
                received=f"{int((~finite).sum())} values that are NaN or infinite in {len(rows)} of the rows "
                f"{start} to {start + len(block) - 1}, first in row {start + rows[0]}",
                expected="finite features",
                next_step="look at the images that the checkpoint generates",
            )
        return np.asarray(block, dtype=np.float64)


def as_blocks(features: Features, name: str, *, at_least: int = 2) -> CheckedBlocks:
    """Features as blocks, whatever they are kept in.

    Args:
        features: (n, d) real numbers, at once or in pieces.
        name: What they are, for messages, such as `generated`.
        at_least: Fewest rows that make sense.

    Raises:
        InvalidInput: They are no table of numbers. That they are finite is checked when they are read.
        TooFewImages: Fewer rows than that.
    """
    pieces: FeatureBlocks
    if hasattr(features, "shape") and not isinstance(features, np.ndarray):
        pieces = cast(FeatureBlocks, features)
    else:
        array = np.asarray(features)
        if array.dtype.kind not in "fiu":
            raise _no_table(name, f"{array.dtype} of shape {array.shape}")
        pieces = _Rows(array)
    shape = pieces.shape
    if len(shape) != 2 or not shape[1]:
        raise _no_table(name, f"shape {shape}")
    if shape[0] < at_least:
        raise TooFewImages(
            f"There are too few {name} features.",
            received=f"num_images={shape[0]}",
            expected=f"{at_least} or more",
            next_step="evaluate more images",
        )
    return CheckedBlocks(pieces, shape, name)


class _Rows:
    """An array in memory, in pieces."""

    def __init__(self, array: Float32 | Float64) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, int]:
        return cast(tuple[int, int], self._array.shape)

    def __iter__(self) -> Iterator[Float32 | Float64]:
        for start in range(0, len(self._array), ROWS_PER_BLOCK):
            yield self._array[start : start + ROWS_PER_BLOCK]


def _no_table(name: str, received: str) -> InvalidInput:
    return InvalidInput(
        f"The {name} features are no table of numbers.", received=received, expected="(images, features) real numbers"
    )
