"""What a feature extractor promises."""

from __future__ import annotations

from typing import Protocol

from vaeval_core.protocol import ExtractorSpec
from vaeval_core.types import Float32, Uint8


class FeatureExtractor(Protocol):
    """uint8 images to feature vectors.

    A feature depends on its own image alone: not on the neighbours in the batch, not on its place in it. Callers pass
    exactly `NETWORK_BATCH` images (they pad the last batch), so the network runs at one shape. Not thread-safe.
    """

    @property
    def spec(self) -> ExtractorSpec:
        """What identifies these features in a protocol."""

    def extract(self, images: Uint8) -> Float32:
        """Features (n, d) float32 of images (n, h, w, c) uint8, any h and w, c of 1 or 3 (grey is repeated)."""
