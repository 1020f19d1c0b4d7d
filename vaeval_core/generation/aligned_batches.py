"""Runs a network so that image i always sits at place i mod batch of a full batch.

Compiled networks choose their arithmetic by shape: a batch of 7 may round differently from a batch of 32, and so may the
seventh row from the first. With one shape and one place per image, a result depends on the image alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput
from vaeval_core.types import IndexRange


def pad_to_batch(rows: NDArray[Any], index_range: IndexRange, batch: int) -> NDArray[Any]:
    """Put rows (n, …) at their places in a batch of zeros (batch, …).

    Args:
        rows: Row j belongs to image `index_range.start + j`.
        index_range: Image numbers, all within one batch.
        batch: Size of the batch.

    Raises:
        InvalidInput: The range crosses a batch boundary, or does not have as many images as there are rows.
    """
    first = index_range.start % batch
    if first + len(index_range) > batch or len(rows) != len(index_range):
        raise InvalidInput(
            "Rows do not fit into one aligned batch.",
            received=f"{len(rows)} rows for images {index_range.start} to {index_range.stop - 1}, batches of {batch}",
            expected="as many rows as images, all between two multiples of the batch size",
        )
    padded = np.zeros((batch, *rows.shape[1:]), dtype=rows.dtype)
    padded[first : first + len(rows)] = rows
    return padded


def take_from_batch(results: NDArray[Any], index_range: IndexRange, batch: int) -> NDArray[Any]:
    """Undo `pad_to_batch`: the rows (n, …) of the range out of (batch, …)."""
    first = index_range.start % batch
    return results[first : first + len(index_range)]
