"""Feature vectors that need not fit into memory: what metrics of rows, not of moments, iterate over.

A metric takes an array, which a notebook has, or anything with a shape that can be iterated more than once, which the
finalise has: shard files, read one at a time. Blocks are cut at fixed rows, so that sums over them are the same for both.

    >>> blocks = as_blocks([[1, 2], [3, 4], [5, 6]], "generated")
    >>> blocks.shape, [block.sum() for block in blocks]
    ((3, 2), [np.float64(21.0)])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaeval_core.accumulators.fixed_blocks import FixedBlocks
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.types import Float32, Float64

ROWS_PER_BLOCK = 1024
"""Rows per block: 8 MiB of float32 features of InceptionV3. Part of the last bits of sums over blocks, so a constant."""


@runtime_checkable
class FeatureBlocks(Protocol):
    """n feature vectors of length d in image order, in consecutive pieces of any size.

    Each iteration starts anew and gives the same rows; several may be under way at once.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""

    def __iter__(self) -> Iterator[Float32 | Float64]:
        """Pieces (rows, d), n rows in all."""


@runtime_checkable
class _HoldsAnArray(Protocol):
    """Arrays of NumPy and of other libraries, which iterate over rows and not over pieces."""

    def __array__(self) -> NDArray[Any]: ...


Features = ArrayLike | FeatureBlocks
"""What a metric of rows takes: (n, d) real numbers, at once or in pieces."""


class CheckedBlocks:
    """Blocks of `ROWS_PER_BLOCK` rows, found finite before or while they are first read.

    Attributes:
        shape: (n, d).
        name: What the rows are, for messages.
    """

    def __init__(self, pieces: Iterable[NDArray[Any]], shape: tuple[int, int], name: str) -> None:
        self.shape = shape
        self.name = name
        self._pieces = pieces
        self._is_known_finite = False

    def __iter__(self) -> Iterator[Float64]:
        """Blocks (rows, d) float64; all but the last have `ROWS_PER_BLOCK` rows.

        Raises:
            InvalidInput: A feature is not finite, or the pieces do not add up to the shape.
        """
        return (block for _, block in self.starting_at(0))

    def starting_at(self, first: int) -> Iterator[tuple[int, Float64]]:
        """The blocks from row `first` on, a multiple of `ROWS_PER_BLOCK`, each with the number of its first row."""
        for start, block in self.as_they_are(first):
            yield start, np.asarray(block, dtype=np.float64)

    def as_they_are(self, first: int = 0) -> Iterator[tuple[int, NDArray[Any]]]:
        """As `starting_at`, in the type that the rows came in; they may be a part of the caller's array."""
        start = 0
        for block in self._raw_blocks():
            if not self._is_known_finite and not np.isfinite(block).all():
                raise self._not_finite()
            if start >= first:
                yield start, block
            start += len(block)
        self._is_known_finite = True

    def _raw_blocks(self) -> Iterator[NDArray[Any]]:
        blocks = FixedBlocks(ROWS_PER_BLOCK)
        num_rows = 0
        for piece in self._pieces:
            rows = np.asarray(piece)
            if rows.ndim != 2 or rows.shape[1] != self.shape[1] or rows.dtype.kind not in "fiu":
                raise InvalidInput(
                    f"A piece of the {self.name} features does not fit the others.",
                    received=f"{rows.dtype} of shape {rows.shape}, after {num_rows} rows",
                    expected=f"real numbers of shape (rows, {self.shape[1]})",
                )
            num_rows += len(rows)
            yield from blocks.push(rows)
        if num_rows != self.shape[0]:
            raise InvalidInput(
                f"The {self.name} features do not have the number of rows that they state.",
                received=f"{num_rows} rows",
                expected=f"{self.shape[0]}",
            )
        yield from blocks.rest()

    def _not_finite(self) -> InvalidInput:
        """Everything that is wrong with the rows, not only with those read so far."""
        values, bad_rows, first, start = 0, 0, -1, 0
        for block in self._raw_blocks():
            finite = np.isfinite(block)
            rows = np.flatnonzero(~finite.all(axis=1))
            if rows.size and first < 0:
                first = start + int(rows[0])
            values += int((~finite).sum())
            bad_rows += rows.size
            start += len(block)
        return InvalidInput(
            f"The {self.name} features are not finite.",
            received=f"{values} values that are NaN or infinite, in {bad_rows} of {self.shape[0]} rows; first in row {first}",
            expected="finite features",
            next_step="look at the images that the checkpoint generates",
        )


def as_blocks(features: Features, name: str, *, at_least: int = 2) -> CheckedBlocks:
    """Features as blocks, whatever they are kept in.

    Args:
        features: (n, d) real numbers, at once or in pieces.
        name: What they are, for messages, such as `generated`.
        at_least: Fewest rows that make sense.

    Raises:
        InvalidInput: They are no table of real numbers. That they are finite is checked when they are read.
        TooFewImages: Fewer rows than that.
    """
    if isinstance(features, FeatureBlocks) and not isinstance(features, _HoldsAnArray):
        pieces: FeatureBlocks = features
        described = f"shape {pieces.shape}"
    else:
        array = _as_array(features, name)
        pieces = _Rows(array)
        described = f"{array.dtype} of shape {array.shape}"
    shape = pieces.shape
    if len(shape) != 2 or not shape[1]:
        raise _no_table(name, described)
    if shape[0] < at_least:
        raise TooFewImages(
            f"There are too few {name} features.",
            received=f"num_images={shape[0]}",
            expected=f"{at_least} or more",
            next_step="evaluate more images",
        )
    return CheckedBlocks(pieces, shape, name)


def require_same_length(one: CheckedBlocks, other: CheckedBlocks) -> None:
    """Refuse features of different extractors.

    Raises:
        InvalidInput: The dimensions differ.
    """
    if one.shape[1] != other.shape[1]:
        raise InvalidInput(
            "The features of the two sets have different lengths.",
            received=f"{one.shape[1]} ({one.name}) and {other.shape[1]} ({other.name})",
            expected="features of one extractor",
        )


def in_parts(blocks: CheckedBlocks, count: int) -> Iterator[tuple[int, Float64]]:
    """All rows in order, each piece with the number of the part it belongs to, of `count` equal ones.

    Part p holds the rows from ⌊p · n / count⌋ to before ⌊(p + 1) · n / count⌋; a part may come in several pieces.
    """
    num_rows = blocks.shape[0]
    ends = [num_rows * (part + 1) // count for part in range(count)]
    part = 0
    for start, block in blocks.starting_at(0):
        first = 0
        while first < len(block):
            while ends[part] <= start + first:
                part += 1
            last = min(ends[part] - start, len(block))
            yield part, block[first:last]
            first = last


class _Rows:
    """An array in memory, in pieces."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, int]:
        return cast(tuple[int, int], self._array.shape)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for start in range(0, len(self._array), ROWS_PER_BLOCK):
            yield self._array[start : start + ROWS_PER_BLOCK]


def _as_array(features: ArrayLike, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(features)
    except ValueError as error:
        raise _no_table(name, f"rows that make no array ({error})") from error
    if array.dtype.kind not in "fiu":
        raise _no_table(name, f"{array.dtype} of shape {array.shape}")
    return array


def _no_table(name: str, received: str) -> InvalidInput:
    return InvalidInput(
        f"The {name} features are no table of numbers.", received=received, expected="(images, features) real numbers"
    )
