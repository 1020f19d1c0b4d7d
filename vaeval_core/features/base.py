"""What a feature extractor promises: images in, features out, and what else its network has to say."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple, Protocol

from vaeval_core.errors import InvalidInput
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.types import Float32, Uint8


class AllFeatures(NamedTuple):
    """What one network has to say about n images.

    Attributes:
        features: (n, d) float32.
        logits: (n, classes) float32; None if nobody asked, or the network does not classify.
        spatial: (n, k) float32, likewise.
    """

    features: Float32
    logits: Float32 | None = None
    spatial: Float32 | None = None


class FeatureExtractor(Protocol):
    """uint8 images to feature vectors.

    A feature depends on its own image alone: not on the neighbours in the batch, not on its place in it. Callers pass
    exactly `NETWORK_BATCH` images (they pad the last batch), so the network runs at one shape. Not thread-safe.
    """

    @property
    @abstractmethod
    def spec(self) -> ExtractorSpec:
        """What identifies these features in a protocol."""

    @property
    def dimension(self) -> int:
        """Length of a feature vector."""
        return self.spec.dimension

    @property
    def digest(self) -> str:
        """sha256 of the weights, or of the recipe where there are none."""
        return self.spec.weights_digest

    @property
    def num_classes(self) -> int:
        """How many logits the network gives for an image; 0 if it does not classify."""
        return 0

    @property
    def num_spatial_features(self) -> int:
        """Length of a vector of spatial features; 0 if the network has none that sFID is defined on."""
        return 0

    @abstractmethod
    def extract(self, images: Uint8) -> Float32:
        """Features (n, d) float32 of images (n, h, w, c) uint8, any h and w, c of 1 or 3 (grey is repeated).

        Raises:
            ImagesRejected: Anything else, or nothing.
        """

    def features_and_logits(self, images: Uint8) -> tuple[Float32, Float32]:
        """What `extract` and `logits` give, from one pass through the network.

        Raises:
            ImagesRejected: As `extract`.
            InvalidInput: The network does not classify.
        """
        raise self._without("logits", "an extractor whose network classifies")

    def logits(self, images: Uint8) -> Float32:
        """Logits (n, classes) float32 of images as for `extract`: what the Inception score is computed of.

        Raises:
            ImagesRejected: As `extract`.
            InvalidInput: The network does not classify.
        """
        return self.features_and_logits(images)[1]

    def spatial_features(self, images: Uint8) -> Float32:
        """Features (n, k) float32 before places are pooled, of images as for `extract`: what sFID is computed of.

        Raises:
            ImagesRejected: As `extract`.
            InvalidInput: The network is not the one that sFID is defined on.
        """
        raise self._without("spatial features", "an extractor with the Inception network that sFID is defined on")

    def all_features(self, images: Uint8, *, logits: bool = False, spatial: bool = False) -> AllFeatures:
        """Features with what else is asked for and the network has, in as few passes through it as it can.

        Raises:
            ImagesRejected: As `extract`.
        """
        if logits and self.num_classes:
            features, found = self.features_and_logits(images)
        else:
            features, found = self.extract(images), None
        has_spatial = spatial and self.num_spatial_features
        return AllFeatures(features, found, self.spatial_features(images) if has_spatial else None)

    def _without(self, what: str, needed: str) -> InvalidInput:
        return InvalidInput(
            f"The extractor {self.spec.name} gives no {what}.",
            received=self.spec.name,
            expected=needed,
            next_step='load_extractor("inception-v3-fid")',
        )
