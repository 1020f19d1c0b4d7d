"""Features as the finalise has them: pieces that are read again for every pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


class Pieces:
    """An array in consecutive pieces of the given sizes, the last of which takes what is left."""

    def __init__(self, rows: np.ndarray, sizes: Sequence[int] = (), *, stated: tuple[int, int] | None = None) -> None:
        self._pieces = np.split(rows, np.cumsum(sizes))
        self.shape = stated or rows.shape
        self.times_read = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        self.times_read += 1
        yield from self._pieces
