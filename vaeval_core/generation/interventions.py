"""What the decoder makes of each latent dimension: replace one by a prior draw, and see whether the image changes.

The decoder's side of posterior collapse. A dimension can carry nats of KL that the decoder never looks at, or none while the
decoder still turns its noise into pixels; the encoder alone cannot tell.
"""

from __future__ import annotations

import math

import numpy as np

from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.seeding import standard_normal
from vaeval_core.types import Float32, Float64, IndexRange

MOST_DIMENSIONS = 256
"""Latent dimensions up to which the decoder is asked: beyond, one image alone takes more passes than all the rest is worth."""

_PASSES = 16  # batches that go through the decoder at most, for all images and dimensions together
_MOST_IMAGES = 8


def num_images_asked(latent_size: int, batch: int) -> int:
    """Of how many images the decoder is asked: 8, fewer where a latent takes several batches; 0 if it is too long to ask.

    >>> [num_images_asked(size, 32) for size in (2, 64, 100, 256, 257)]
    [8, 8, 4, 2, 0]
    """
    if latent_size > MOST_DIMENSIONS:
        return 0
    return max(min(_PASSES // math.ceil(latent_size / batch), _MOST_IMAGES), 1)


def decoder_response(adapter: VaeAdapter, means: Float32, index_range: IndexRange, *, seed: int, batch: int) -> Float64:
    """How far any value of an image moves when one latent dimension of its posterior mean is drawn anew.

    Args:
        adapter: The checkpoint; decodes once, and for each image as many batches as its dimensions fill.
        means: Posterior means of the images of the range, (n, k).
        index_range: Image numbers, all within one aligned batch.
        seed: Seed of the protocol.
        batch: Latents per network call.

    Returns:
        (n, k) float64, the largest change over pixels and channels, intensity; NaN where the decoder gives no number.
    """
    count, size = means.shape
    undisturbed = take_from_batch(adapter.decode(pad_to_batch(means, index_range, batch)), index_range, batch)
    replacement = standard_normal(seed, "interventions", index_range, size)
    response = np.empty((count, size))
    for image in range(count):
        for first in range(0, size, batch):
            # One image, a whole batch of its dimensions: what comes out does not depend on other images.
            dimensions = np.arange(first, min(first + batch, size))
            latents = np.repeat(means[image : image + 1], batch, axis=0)
            latents[dimensions - first, dimensions] = replacement[image, dimensions]
            with np.errstate(invalid="ignore"):
                change = np.abs(adapter.decode(latents)[: len(dimensions)] - undisturbed[image].astype(np.float64))
            response[image, dimensions] = change.reshape(len(dimensions), -1).max(axis=1)
    return response
