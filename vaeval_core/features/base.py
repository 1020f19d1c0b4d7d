"""What a feature extractor promises, and what those with an Inception network inside promise beyond it."""

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

    @property
    def dimension(self) -> int:
        """Length of a feature vector."""

    @property
    def digest(self) -> str:
        """sha256 of the weights, or of the recipe where there are none."""

    def extract(self, images: Uint8) -> Float32:
        """Features (n, d) float32 of images (n, h, w, c) uint8, any h and w, c of 1 or 3 (grey is repeated)."""


class SpatialExtractor(FeatureExtractor, Protocol):
    """A feature extractor that also says what is where."""

    def spatial_features(self, images: Uint8) -> Float32:
        """Features (n, k) float32 before places are pooled, of images as for `extract`."""


class LogitsExtractor(FeatureExtractor, Protocol):
    """A feature extractor that also classifies."""

    def logits(self, images: Uint8) -> Float32:
        """Logits (n, classes) float32 of images as for `extract`; softmax of them are probabilities."""
