"""Small real things for tests and notebooks: images in memory, a VAE with known answers, a cheap extractor.

Shipped, so that users test their own code through the same doors as ours.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaeval_core.checkpoints.base import Posterior
from vaeval_core.errors import ImagesRejected
from vaeval_core.features.base import AllFeatures
from vaeval_core.images.factor_labels import FactorLabels
from vaeval_core.likelihood import Likelihood
from vaeval_core.protocol import ExtractorSpec, ImageFit
from vaeval_core.protocol import Protocol as EvaluationProtocol
from vaeval_core.types import Float32, ImageShape, IndexRange, Uint8


@dataclass(frozen=True, eq=False)
class ImagesInMemory:
    """An `ImageSet` over an array (n, h, w, c) uint8, in the order of the array."""

    array: Uint8
    uri: str = "memory:images"
    name: str = "images in memory"
    skipped: tuple[str, ...] = ()
    factors: FactorLabels | None = None

    @property
    def digest(self) -> str:
        """sha256 of shape, pixels and factors."""
        content = repr(self.array.shape).encode() + self.array.tobytes()
        return hashlib.sha256(content + (b"" if self.factors is None else self.factors.digest)).hexdigest()

    def __len__(self) -> int:
        return len(self.array)

    def manifest(self) -> bytes | None:
        """Nothing: a set in memory cannot be opened elsewhere."""
        return None

    def check_fit(self, shape: ImageShape, fit: ImageFit) -> None:
        """Raise ImagesRejected unless the images have this very shape."""
        if self.array.shape[1:] != tuple(shape):
            raise ImagesRejected(
                "The images do not have the size that the model takes.",
                received=f"{self.array.shape[1:]}",
                expected=f"{tuple(shape)}",
            )

    def read(self, index_range: IndexRange, shape: ImageShape, fit: ImageFit) -> Uint8:
        """Images of the range."""
        self.check_fit(shape, fit)
        return self.array[index_range.start : index_range.stop]


@dataclass(frozen=True, kw_only=True)
class TwoPixelVae:
    """A VAE whose every score can be computed by hand: images (1, 2, 1), one latent number.

    Encodes to mean (first pixel - ½) and a fixed log-variance; decodes z to the pixels (½ + z, ½).
    """

    log_variance: float = 0.0
    likelihood: Likelihood | None = None

    @property
    def image_shape(self) -> ImageShape:
        """One row of two grey pixels."""
        return (1, 2, 1)

    @property
    def latent_size(self) -> int:
        """One."""
        return 1

    def encode(self, images: Float32) -> Posterior:
        """Mean (n, 1) and log-variance (n, 1)."""
        mean = images[:, 0, 0, :] - np.float32(0.5)
        return Posterior(mean=mean, log_variance=np.full_like(mean, self.log_variance))

    def decode(self, latents: Float32) -> Float32:
        """Images (n, 1, 2, 1)."""
        pixels = np.stack([latents[:, 0] + np.float32(0.5), np.full(len(latents), 0.5, np.float32)], axis=1)
        return pixels.reshape(-1, 1, 2, 1)


@dataclass(frozen=True)
class PixelExtractor:
    """Features that are the pixels themselves, over 255: a `FeatureExtractor` with nothing hidden."""

    dimension: int

    @property
    def spec(self) -> ExtractorSpec:
        """A spec of its own, never mistaken for that of a network."""
        digest = hashlib.sha256(f"pixels of {self.dimension}".encode()).hexdigest()
        return ExtractorSpec(name="pixels", version=1, weights_digest=digest, resize="none", dimension=self.dimension)

    @property
    def num_classes(self) -> int:
        """None: pixels do not classify."""
        return 0

    @property
    def num_spatial_features(self) -> int:
        """None: the pixels are all there is."""
        return 0

    def extract(self, images: Uint8) -> Float32:
        """(n, h·w·c) float32 in [0, 1]."""
        return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)

    def all_features(self, images: Uint8, *, logits: bool = False, spatial: bool = False) -> AllFeatures:
        """The pixels, and nothing else whatever is asked for."""
        return AllFeatures(self.extract(images))


def protocol_for(
    images: ImagesInMemory, extractor: PixelExtractor, metrics: dict[str, int], **fields: Any
) -> EvaluationProtocol:
    """A protocol over all images of the set; `fields` replace counts, seed, draws or likelihood."""
    count = len(images)
    counts = {"num_samples": count, "num_reconstructions": count, "num_reference": count, "seed": 0}
    height, width, channels = images.array.shape[1:]
    return EvaluationProtocol(
        dataset_digest=images.digest,
        image_shape=(height, width, channels),
        image_fit="exact",
        extractor=extractor.spec,
        metrics=metrics,
        **(counts | fields),
    )
