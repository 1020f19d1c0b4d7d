"""Cuts a stream of rows at fixed row numbers, whatever the pieces it arrives in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 256
"""Rows per block. Part of every number's last bits, so a constant."""


class FixedBlocks:
    """Collects rows and hands them on in blocks of `size`, in order.

    >>> blocks = FixedBlocks(size=4)
    >>> [block.tolist() for block in blocks.push(np.arange(6))]
    [[0, 1, 2, 3]]
    >>> [block.tolist() for block in blocks.push(np.arange(6, 9))]
    [[4, 5, 6, 7]]
    >>> [block.tolist() for block in blocks.rest()]
    [[8]]
    """

    def __init__(self, size: int = BLOCK_ROWS) -> None:
        self._size = size
        self._pending: list[NDArray[Any]] = []
        self._num_pending = 0

    def push(self, rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """Take rows (n, …); give the blocks that are now complete."""
        self._pending.append(rows)
        self._num_pending += len(rows)
        if self._num_pending < self._size:
            return
        joined = self._joined()
        whole = len(joined) // self._size * self._size
        self._pending, self._num_pending = [joined[whole:]], len(joined) - whole
        for start in range(0, whole, self._size):
            yield joined[start : start + self._size]

    def rest(self) -> Iterator[NDArray[Any]]:
        """Give what is left, if anything: the last, shorter block."""
        if self._num_pending:
            joined = self._joined()
            self._pending, self._num_pending = [], 0
            yield joined

    def _joined(self) -> NDArray[Any]:
        pieces = [piece for piece in self._pending if len(piece)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(self._pending)
