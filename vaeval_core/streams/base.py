"""What all streams have in common: whom they ask, and what is kept of every image that a decoder gives.

block of image numbers ─► images of the stream ─► features, finite, outside, pictures        one row per image
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.features.base import FeatureExtractor
from vaeval_core.features.perceptual_distance import PerceptualDistance
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.images.base import ImageSet
from vaeval_core.protocol import Protocol, StreamName
from vaeval_core.quantisation import extremes, is_finite, share_outside
from vaeval_core.types import Float32, IndexRange, Uint8

ShardArrays = dict[str, NDArray[Any]]
"""Named arrays of one shard; each has one row per image, in image order. What a shard file holds."""

NUM_PICTURES = 16
"""Images per stream that are kept to be looked at: numbers 0 to 15, the same noise for every checkpoint."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A checkpoint under a protocol, with all that measuring it takes.

    Attributes:
        adapter: The checkpoint.
        images: The real images.
        extractor: The feature network that the protocol names.
        protocol: What to run.
        needs: What is to be computed of each image for the metrics of the protocol, see `Metric.needs`.
        perceptual: The distance that LPIPS is, where the protocol has one.
        on_life: To be called now and then within a batch that takes long. May raise to stop.
    """

    adapter: VaeAdapter
    images: ImageSet
    extractor: FeatureExtractor
    protocol: Protocol
    needs: frozenset[str]
    perceptual: PerceptualDistance | None = None
    on_life: Callable[[], None] = lambda: None

    def features(self, pixels: Uint8, block: IndexRange) -> Float32:
        """Features (n, d) of the images of a block."""
        return features_of(self.extractor, pixels, block, self.protocol.network_batch)


def features_of(extractor: FeatureExtractor, pixels: Uint8, block: IndexRange, batch: int) -> Float32:
    """Features (n, d) of images (n, h, w, c) uint8; the block lies within one aligned batch."""
    return take_from_batch(extractor.extract(pad_to_batch(pixels, block, batch)), block, batch)


def all_features_of(
    stream: StreamName,
    extractor: FeatureExtractor,
    needs: frozenset[str],
    pixels: Uint8,
    block: IndexRange,
    batch: int,
) -> ShardArrays:
    """Features of a stream as far as metrics need them: `features`, `logits` and `spatial`, from one pass.

    What the extractor does not have is missing.
    """
    if f"{stream}/features" not in needs:
        return {}
    found = extractor.all_features(
        pad_to_batch(pixels, block, batch), logits=f"{stream}/logits" in needs, spatial=f"{stream}/spatial" in needs
    )
    return {
        f"{stream}/{name}": take_from_batch(rows, block, batch)
        for name, rows in found._asdict().items()
        if rows is not None
    }


def soundness(stream: StreamName, decoded: Float32) -> ShardArrays:
    """What every metric of a stream must know of its images, (n,) each.

    `finite`, uint8; `outside`, the share of values outside [0, 1]; `lowest` and `highest`, the least and the largest value.
    """
    lowest, highest = extremes(decoded)
    return {
        f"{stream}/finite": is_finite(decoded),
        f"{stream}/outside": share_outside(decoded),
        f"{stream}/lowest": lowest,
        f"{stream}/highest": highest,
    }


def pictures_of(block: IndexRange, **streams: Uint8) -> ShardArrays:
    """The images of a block that are kept, `pictures/…` uint8; nothing where it begins after them."""
    shown = block.up_to(NUM_PICTURES)
    return {} if shown is None else {f"pictures/{name}": pixels[: len(shown)] for name, pixels in streams.items()}
