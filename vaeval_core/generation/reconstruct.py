"""Encodes real images and decodes their posterior means."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from vaeval_core.checkpoints.base import Posterior, VaeAdapter
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.types import Float32, IndexRange


def encode(adapter: VaeAdapter, images: Float32, index_range: IndexRange, batch: int) -> Posterior:
    """Posterior of images (n, h, w, c) in [0, 1]; the range lies within one aligned batch."""
    posterior = adapter.encode(pad_to_batch(images, index_range, batch))
    return Posterior(
        mean=take_from_batch(posterior.mean, index_range, batch),
        log_variance=_rows(posterior.log_variance, index_range, batch),
        covariance_factor=_rows(posterior.covariance_factor, index_range, batch),
        group_divergences=_rows(posterior.group_divergences, index_range, batch),
        codes=_rows(posterior.codes, index_range, batch),
        codebook_size=posterior.codebook_size,
    )


def decode_means(adapter: VaeAdapter, posterior: Posterior, index_range: IndexRange, batch: int) -> Float32:
    """Images (n, h, w, c) of posterior means, not clamped; the range lies within one aligned batch."""
    return take_from_batch(adapter.decode(pad_to_batch(posterior.mean, index_range, batch)), index_range, batch)


def _rows(results: NDArray[Any] | None, index_range: IndexRange, batch: int) -> NDArray[Any] | None:
    return None if results is None else take_from_batch(results, index_range, batch)
