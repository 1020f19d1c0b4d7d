"""Images in an HDF5 file, read when they are asked for: a set may be larger than memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import unreadable_here
from vaeval_core.types import Int64

_BYTES_AT_ONCE = 64 << 20
"""What is read at once where a set is gone through; one image at least."""


class Hdf5Rows:
    """The images of a data set in an open file, as if it were an array (n, h, w, c).

    Args:
        path: The file, for messages.
        dataset: The open `h5py.Dataset`, (n, h, w) or (n, h, w, c), uint8, float32 or float64.
    """

    def __init__(self, path: Path, dataset: Any) -> None:
        self._path = path
        self._dataset = dataset
        self.dtype: np.dtype[Any] = dataset.dtype
        self._has_channels = len(dataset.shape) == 4
        self.shape: tuple[int, ...] = tuple(dataset.shape) if self._has_channels else (*dataset.shape, 1)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, numbers: Int64) -> NDArray[Any]:
        """The images of these numbers, in this order.

        Raises:
            StorageFailed: The file cannot be read, or is damaged.
        """
        # HDF5 reads rows in ascending order only, each once.
        ascending, places = np.unique(numbers, return_inverse=True)
        return self._read(ascending)[places]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        rows = max(1, _BYTES_AT_ONCE // math.prod(self.shape[1:]))
        for start in range(0, len(self), rows):
            yield from self._read(slice(start, start + rows))

    def _read(self, rows: Int64 | slice) -> NDArray[Any]:
        try:
            read: NDArray[Any] = self._dataset[rows]
        except OSError as error:
            raise unreadable_here(self._path, " ".join(str(error).split())) from error
        return read if self._has_channels else read[..., np.newaxis]
