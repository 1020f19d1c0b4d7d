"""Encodes real images and decodes their posterior means."""

from __future__ import annotations

from dataclasses import dataclass

from vaeval_core.checkpoints.base import Posterior, VaeAdapter
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.types import Float32, IndexRange


@dataclass(frozen=True)
class Reconstruction:
    """What a VAE makes of n images.

    Attributes:
        images: (n, h, w, c) float32, decoded posterior means, not clamped.
        posterior: What the encoder said.
    """

    images: Float32
    posterior: Posterior


def reconstruct(adapter: VaeAdapter, images: Float32, index_range: IndexRange, batch: int) -> Reconstruction:
    """Encode images (n, h, w, c) in [0, 1] and decode the means; the range lies within one aligned batch."""
    posterior = adapter.encode(pad_to_batch(images, index_range, batch))
    decoded = adapter.decode(posterior.mean)
    return Reconstruction(
        images=take_from_batch(decoded, index_range, batch), posterior=_rows_of(posterior, index_range, batch)
    )


def encode(adapter: VaeAdapter, images: Float32, index_range: IndexRange, batch: int) -> Posterior:
    """Posterior of images (n, h, w, c) in [0, 1]; the range lies within one aligned batch."""
    return _rows_of(adapter.encode(pad_to_batch(images, index_range, batch)), index_range, batch)


def _rows_of(posterior: Posterior, index_range: IndexRange, batch: int) -> Posterior:
    log_variance = posterior.log_variance
    return Posterior(
        mean=take_from_batch(posterior.mean, index_range, batch),
        log_variance=None if log_variance is None else take_from_batch(log_variance, index_range, batch),
    )
