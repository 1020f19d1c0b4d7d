"""Decodes draws from the standard normal prior."""

from __future__ import annotations

from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.seeding import standard_normal
from vaeval_core.types import Float32, IndexRange


def sample_prior(adapter: VaeAdapter, seed: int, index_range: IndexRange, batch: int) -> Float32:
    """Samples (n, h, w, c) float32, not clamped, for the image numbers of a range within one aligned batch."""
    latents = standard_normal(seed, "samples", index_range, adapter.latent_size)
    return take_from_batch(adapter.decode(pad_to_batch(latents, index_range, batch)), index_range, batch)
