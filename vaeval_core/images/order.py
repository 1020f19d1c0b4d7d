"""The order in which a set of images is read: `image_order = "philox-permutation-1"` of a protocol.

A folder is often sorted by class, by day or by size, so its first thousand images are no fair choice. Every set is
therefore read in one fixed, shuffled order, and «the first k» of it serve as reference and as reconstruction inputs.

    word[i] = the i-th 64-bit word of Philox4x64-10 under a fixed key
    order   = the image numbers 0 … n - 1, sorted by their words

Raw generator words are part of NumPy's stability promise (NEP 19), `Generator.permutation` is not, so the order is the
same under every NumPy version. The word of image i does not depend on n: images appended to a set (at the end of its
sort order) change nothing about the order among the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput
from vaeval_core.types import IndexRange

IMAGE_ORDER_KEY = int.from_bytes(b"image-order-1", "big")
"""Philox key of the reading order. Another key is another protocol."""


def image_order(num_images: int) -> NDArray[np.int64]:
    """The reading order of a set: place → image number in the sorted set, (n,) int64.

    Raises:
        InvalidInput: `num_images` is negative.

    >>> sorted(image_order(5).tolist())
    [0, 1, 2, 3, 4]
    """
    return philox_permutation(num_images, key=IMAGE_ORDER_KEY)


def numbers_in(order: NDArray[np.int64], index_range: IndexRange) -> NDArray[np.int64]:
    """Image numbers in the sorted set that stand at the places of the range.

    Raises:
        InvalidInput: The range reaches past the last place.
    """
    if index_range.stop > len(order):
        raise InvalidInput(
            "The set has fewer images than are asked of it.",
            received=f"images {index_range.start} to {index_range.stop - 1}",
            expected=f"0 to {len(order) - 1}",
        )
    return order[index_range.start : index_range.stop]


def philox_permutation(num_images: int, *, key: int) -> NDArray[np.int64]:
    """The permutation of 0 … n - 1 that sorts n raw Philox words under `key`, (n,) int64.

    Raises:
        InvalidInput: `num_images` is negative.
    """
    if num_images < 0:
        raise InvalidInput("A set cannot have fewer than no images.", received=num_images, expected="0 or more")
    words = np.random.Philox(key=key).random_raw(num_images)
    # Stable, so that even equal words (once in 2^64) have one order.
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)
