"""What the decoder makes of each latent dimension: replace one by a prior draw, and see whether the image changes.

The decoder's side of posterior collapse. A dimension can carry nats of KL that the decoder never looks at, or none while the
decoder still turns its noise into pixels; the encoder alone cannot tell.
"""

from __future__ import annotations

import numpy as np

from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.seeding import standard_normal
from vaeval_core.types import Float32, Float64, IndexRange


def decoder_response(adapter: VaeAdapter, means: Float32, index_range: IndexRange, *, seed: int, batch: int) -> Float64:
    """How far any value of an image moves when one latent dimension of its posterior mean is drawn anew.

    Args:
        adapter: The checkpoint; decodes once, and once per dimension.
        means: Posterior means of the images of the range, (n, k).
        index_range: Image numbers, all within one aligned batch.
        seed: Seed of the protocol.
        batch: Images per network call.

    Returns:
        (n, k) float64, the largest change over pixels and channels, intensity; NaN where the decoder gives no number.
    """

    def decode(latents: Float32) -> Float64:
        images = adapter.decode(pad_to_batch(latents, index_range, batch))
        return take_from_batch(images, index_range, batch).reshape(len(latents), -1).astype(np.float64)

    undisturbed = decode(means)
    replacement = standard_normal(seed, "interventions", index_range, means.shape[1])
    response = np.empty(means.shape)
    for dimension in range(means.shape[1]):
        latents = means.copy()
        latents[:, dimension] = replacement[:, dimension]
        with np.errstate(invalid="ignore"):
            response[:, dimension] = np.abs(decode(latents) - undisturbed).max(axis=1)
    return response
