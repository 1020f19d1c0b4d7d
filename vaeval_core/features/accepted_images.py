"""The images that every feature extractor takes, and the refusal of all others."""

from __future__ import annotations

import numpy as np

from vaeval_core.errors import ImagesRejected
from vaeval_core.types import Uint8


def check_images(images: Uint8) -> None:
    """Refuse anything but uint8 (n, h, w, 1 or 3) with nothing empty.

    Float images are refused, not converted: whether 0.5 is grey or nearly black is for the caller to know.

    Raises:
        ImagesRejected: Another dtype or shape.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in {1, 3} or 0 in images.shape:
        raise ImagesRejected(
            "Features cannot be taken of this array.",
            received=f"{images.dtype} of shape {images.shape}",
            expected="uint8 from 0 to 255 of shape (n, height, width, channels), 1 or 3 channels, nothing empty",
            next_step="for float images in [0, 1]: np.rint(255 * images.clip(0, 1)).astype(np.uint8)",
        )
