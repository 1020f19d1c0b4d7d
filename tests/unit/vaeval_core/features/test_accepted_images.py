"""What is no batch of images is refused, and the way to one is said."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.errors import ImagesRejected
from vaeval_core.features.accepted_images import check_images


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 1000, 3), (3, 8, 8, 1), (3, 3, 3, 3)])
def test_uint8_of_any_size_in_one_or_three_channels_is_accepted(shape: tuple[int, ...]) -> None:
    check_images(np.zeros(shape, np.uint8))
    check_images(np.zeros((2 * shape[0], *shape[1:]), np.uint8)[::-2])


@pytest.mark.parametrize(
    ("images", "received", "next_step"),
    [
        ([np.zeros((8, 8, 3), np.uint8)], "a list", "np.stack(images)"),
        (None, "a NoneType", "np.asarray(images)"),
        (np.zeros((2, 8, 8, 3), np.float32), "float32 of shape (2, 8, 8, 3)", "np.rint(255 * images.clip(0, 1))"),
        (np.zeros((2, 8, 8, 3), np.int64), "int64 of shape (2, 8, 8, 3)", "astype(np.uint8)"),
        (np.zeros((2, 8, 8, 3), bool), "bool of shape (2, 8, 8, 3)", "astype(np.uint8)"),
        (np.zeros((8, 8, 3), np.uint8), "uint8 of shape (8, 8, 3)", "images[np.newaxis]"),
        (np.zeros((5, 8, 9), np.uint8), "uint8 of shape (5, 8, 9)", "images[..., np.newaxis]"),
        (np.zeros((2, 3, 8, 8), np.uint8), "uint8 of shape (2, 3, 8, 8)", "images.transpose(0, 2, 3, 1)"),
        (np.zeros((2, 8, 8, 4), np.uint8), "uint8 of shape (2, 8, 8, 4)", "images[..., :3]"),
        (np.zeros((2, 8, 8, 2), np.uint8), "uint8 of shape (2, 8, 8, 2)", "bring the axes into this order"),
        (np.zeros(64, np.uint8), "uint8 of shape (64,)", "bring the axes into this order"),
        (np.zeros((0, 8, 8, 3), np.uint8), "uint8 of shape (0, 8, 8, 3)", "leave empty batches out"),
        (np.zeros((2, 0, 8, 3), np.uint8), "uint8 of shape (2, 0, 8, 3)", "leave empty batches out"),
    ],
)
def test_anything_else_is_refused_with_what_it_is_and_what_helps(images: object, received: str, next_step: str) -> None:
    with pytest.raises(ImagesRejected) as caught:
        check_images(images)
    assert caught.value.received == received
    assert "uint8 from 0 to 255 of shape (n, height, width, channels), 1 or 3 channels" in str(caught.value.expected)
    assert next_step in str(caught.value.next_step)
