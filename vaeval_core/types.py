"""The array types that cross every port, and the index range that names a piece of work.

Arrays are NumPy everywhere outside a network. Layout is NHWC, indices are image numbers within one evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Uint8 = NDArray[np.uint8]

ImageShape = tuple[int, int, int]
"""(height, width, channels); channels is 1 or 3."""


@dataclass(frozen=True, order=True)
class IndexRange:
    """Image numbers start, start + 1, … stop - 1.

    Args:
        start: First image number, ≥ 0.
        stop: One past the last, > start.

    Raises:
        InvalidInput: The range is empty or negative.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise InvalidInput(
                "An index range is empty or negative.",
                received=f"start={self.start}, stop={self.stop}",
                expected="0 ≤ start < stop",
            )

    def __len__(self) -> int:
        return self.stop - self.start

    def up_to(self, limit: int) -> IndexRange | None:
        """The part of the range below `limit`; None if nothing is left."""
        return IndexRange(self.start, min(self.stop, limit)) if self.start < limit else None

    def blocks(self, size: int) -> Iterator[IndexRange]:
        """Cut at the multiples of `size`, whatever the range's own ends are.

        The cuts depend on image numbers alone, so two shards that meet inside a block see the same block
        boundaries; see `vaeval_core.evaluate` for why that makes results independent of the shard size.

        >>> [(b.start, b.stop) for b in IndexRange(5, 20).blocks(8)]
        [(5, 8), (8, 16), (16, 20)]
        """
        first = self.start
        while first < self.stop:
            last = min((first // size + 1) * size, self.stop)
            yield IndexRange(first, last)
            first = last
