"""Decodes points between encoded images: the stream `interpolations`, and whole paths to look at.

Ends are posterior *means*: a path between posterior samples is another one each time it is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.generation.interpolation_pairs import (
    interpolation_fractions,
    interpolation_partners,
    next_fractions,
    pairing_block,
)
from vaeval_core.generation.latent_paths import points_between, whole_paths
from vaeval_core.protocol import PathKind
from vaeval_core.types import Float32, Float64, IndexRange

ReadImages = Callable[[IndexRange], Float32]
"""Real images of a range, (n, h, w, c) in [0, 1]."""

ReadMeans = Callable[[IndexRange], Float32]
"""Posterior means of the images of a range, (n, k)."""

PATH_STEP = 1 / 16
"""How far apart the two images of a path are whose difference is its speed, as a fraction of the path.

Feature networks see 256 grey levels. A step has to change pixels by several levels, or rounding is what is measured: a pixel
that changes by 80 levels along the whole path changes by 5 in this step, and by 0.008 in the 10⁻⁴ that is usual where images
are not rounded.
"""


@dataclass(frozen=True)
class Interpolation:
    """One point on the path of each of n pairs, and a second one near it.

    Attributes:
        fractions: (n,) float64, where on its path the first point lies.
        images: (n, h, w, c) float32, the first points decoded, not clamped.
        next_images: The second points decoded; None if none were asked for.
    """

    fractions: Float64
    images: Float32
    next_images: Float32 | None


def encode_means(adapter: VaeAdapter, read_images: ReadImages, index_range: IndexRange, batch: int) -> Float32:
    """Posterior means (n, k) of the images of a range, each encoded at its place of its aligned batch."""
    means = []
    for block in index_range.blocks(batch):
        posterior = adapter.encode(pad_to_batch(read_images(block), block, batch))
        means.append(take_from_batch(posterior.mean, block, batch))
    return np.concatenate(means)


def interpolate(
    adapter: VaeAdapter,
    read_means: ReadMeans,
    *,
    seed: int,
    index_range: IndexRange,
    num_images: int,
    batch: int,
    kind: PathKind = "linear",
    step: float | None = PATH_STEP,
) -> Interpolation:
    """Decode the images of the stream for a range within one aligned batch.

    Args:
        adapter: The checkpoint.
        read_means: Called once, with the block of images among which the ends are.
        seed: Decides pairs and places, together with the image numbers.
        index_range: Image numbers of starts, all within one batch.
        num_images: Images that are encoded in all.
        batch: Images per network call.
        kind: Which path.
        step: How far from the first point the second one is, as a fraction of the path; None for no second one.

    Raises:
        TooFewImages: There are fewer than two images, or the range goes beyond them.
    """
    block = pairing_block(index_range, num_images, batch)
    means = read_means(block)
    ends = interpolation_partners(seed, index_range, num_images, batch)
    start, end = means[np.arange(index_range.start, index_range.stop) - block.start], means[ends - block.start]
    fractions = interpolation_fractions(seed, index_range)

    def decoded(places: Float64) -> Float32:
        latents = pad_to_batch(points_between(start, end, places, kind), index_range, batch)
        return take_from_batch(adapter.decode(latents), index_range, batch)

    return Interpolation(
        fractions=fractions,
        images=decoded(fractions),
        next_images=None if step is None else decoded(next_fractions(fractions, step)),
    )


def decode_paths(
    adapter: VaeAdapter, start: Float32, end: Float32, *, num_steps: int, batch: int, kind: PathKind
) -> Float32:
    """Every step of whole paths, (n, num_steps, h, w, c) float32, not clamped.

    Args:
        adapter: The checkpoint.
        start: Posterior means, (n, k).
        end: (n, k).
        num_steps: Images of a path, both ends among them, ≥ 2.
        batch: Latents per network call.
        kind: Which path.

    Raises:
        InvalidInput: Fewer than two steps, or the shapes do not fit together.
    """
    paths = whole_paths(start, end, num_steps, kind)
    images = decode_latents(adapter, paths.reshape(-1, paths.shape[2]), batch)
    return images.reshape(*paths.shape[:2], *images.shape[1:])


def decode_latents(adapter: VaeAdapter, latents: Float32, batch: int) -> Float32:
    """Decode any number of latents (n, k) in full batches of one size, to (n, h, w, c) float32."""
    blocks = IndexRange(0, len(latents)).blocks(batch)
    decoded = [
        take_from_batch(adapter.decode(pad_to_batch(latents[block.start : block.stop], block, batch)), block, batch)
        for block in blocks
    ]
    return np.concatenate(decoded)
