"""The images that every feature extractor takes, and the refusal of all others."""

from __future__ import annotations

import numpy as np

from vaeval_core.errors import ImagesRejected


def check_images(images: object) -> None:
    """Refuse anything but a NumPy array of uint8 (n, h, w, 1 or 3) with nothing empty.

    Float images are refused, not converted: whether 0.5 is grey or nearly black is for the caller to know. So are lists
    and tensors of other libraries, whose axes may be in another order.

    Raises:
        ImagesRejected: Another kind, dtype or shape.
    """
    if not isinstance(images, np.ndarray):
        raise _rejected(f"a {type(images).__name__}", "np.stack(images) of a list, np.asarray(images) of a tensor")
    if images.dtype != np.uint8:
        raise _rejected(
            f"{images.dtype} of shape {images.shape}",
            "for float images in [0, 1]: np.rint(255 * images.clip(0, 1)).astype(np.uint8)",
        )
    if images.ndim != 4 or images.shape[-1] not in {1, 3} or 0 in images.shape:
        raise _rejected(f"{images.dtype} of shape {images.shape}", _way_to_shape(images))


def _way_to_shape(images: np.ndarray) -> str:
    if 0 in images.shape:
        return "leave empty batches out"
    if images.ndim == 4 and images.shape[1] in {1, 3}:
        return "for channels that come first: images.transpose(0, 2, 3, 1)"
    if images.ndim == 4 and images.shape[-1] == 4:
        return "for red, green, blue and alpha: lay them on a background, or images[..., :3]"
    if images.ndim == 3 and images.shape[-1] in {1, 3}:
        return "for a single image: images[np.newaxis]"
    if images.ndim == 3:
        return "for grey images without channels: images[..., np.newaxis]"
    return "bring the axes into this order"


def _rejected(received: str, next_step: str) -> ImagesRejected:
    return ImagesRejected(
        "Features cannot be taken of this array.",
        received=received,
        expected="a NumPy array of uint8 from 0 to 255 of shape (n, height, width, channels), 1 or 3 channels, nothing empty",
        next_step=next_step,
    )
