"""Encodes real images and decodes their posterior means."""

from __future__ import annotations

from vaeval_core.checkpoints.base import Posterior, VaeAdapter
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.types import Float32, IndexRange


def encode(adapter: VaeAdapter, images: Float32, index_range: IndexRange, batch: int) -> Posterior:
    """Posterior of images (n, h, w, c) in [0, 1]; the range lies within one aligned batch."""
    posterior = adapter.encode(pad_to_batch(images, index_range, batch))
    log_variance = posterior.log_variance
    return Posterior(
        mean=take_from_batch(posterior.mean, index_range, batch),
        log_variance=None if log_variance is None else take_from_batch(log_variance, index_range, batch),
    )


def decode_means(adapter: VaeAdapter, posterior: Posterior, index_range: IndexRange, batch: int) -> Float32:
    """Images (n, h, w, c) of posterior means, not clamped; the range lies within one aligned batch."""
    return take_from_batch(adapter.decode(pad_to_batch(posterior.mean, index_range, batch)), index_range, batch)
