"""`pixels-8x8`: a smoke-test extractor. The features are the image itself, averaged down to 8 × 8 RGB.

It runs in milliseconds without TensorFlow, so a whole evaluation can be tried out at once, in tests and on a new
installation. Its distances see brightness, colour and coarse layout and nothing else; they are comparable with nothing
published, and rank checkpoints only by what survives at 8 × 8 pixels.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from vaeval_core.features.accepted_images import check_images
from vaeval_core.features.base import FeatureExtractor
from vaeval_core.features.resize import resize_matrix
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.types import Float32, Uint8

SIDE = 8
FEATURES = SIDE * SIDE * 3

RECIPE = (
    "area average to 8x8 (upsampling repeats areas), grey repeated to RGB, divided by 255, rows then columns then "
    "channels; float64 arithmetic rounded to float32"
)

RECIPE_DIGEST = hashlib.sha256(RECIPE.encode("ascii")).hexdigest()
"""Stands where other extractors have the digest of their weights."""


class PixelExtractor(FeatureExtractor):
    """192 numbers in [0, 1]; see the module text."""

    def __init__(self, spec: ExtractorSpec) -> None:
        self._spec = spec

    @property
    def spec(self) -> ExtractorSpec:
        """What identifies these features in a protocol."""
        return self._spec

    def extract(self, images: Uint8) -> Float32:
        """Features of images.

        Args:
            images: (n, h, w, c) uint8, any h and w, c of 1 or 3.

        Returns:
            (n, 192) float32 in [0, 1].

        Raises:
            ImagesRejected: Another dtype or shape.
        """
        check_images(images)
        num_images, height, width, channels = images.shape
        rows = resize_matrix("area", height, SIDE).astype(np.float64)
        columns = resize_matrix("area", width, SIDE).astype(np.float64).T
        # One product per image and channel, so that the neighbours in the batch do not touch the last bits.
        planes = rows @ images.transpose(0, 3, 1, 2).astype(np.float64) @ columns
        rgb = np.broadcast_to(planes, (num_images, 3, SIDE, SIDE)) if channels == 1 else planes
        features: Float32 = (rgb.transpose(0, 2, 3, 1).reshape(num_images, FEATURES) / 255).astype(np.float32)
        return features


def load_pixels(spec: ExtractorSpec, _weights_folder: Path) -> PixelExtractor:
    """The extractor; there are no weights to load."""
    return PixelExtractor(spec)
