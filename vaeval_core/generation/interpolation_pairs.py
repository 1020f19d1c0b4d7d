"""Which image is interpolated with which, and where on the way: addressed by seed and image number.

Within each block of `batch` image numbers the images are put in a random ring, and each is the start of a path to its
successor. So every image is a start once and an end once, a pair does not depend on shards, and the means of both ends are in
the network batch that encodes the start: a path costs no further encoding. The order of a set is a fixed random one, so
neighbours in a block are as unlike as any two images. A last block of a single image joins the block before it.
"""

from __future__ import annotations

import numpy as np

from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.protocol import Protocol
from vaeval_core.seeding import uniform
from vaeval_core.types import Float64, IndexRange, Int64


def pairing_block(index_range: IndexRange, num_images: int, batch: int) -> IndexRange:
    """The image numbers among which the ends of a range's paths are.

    Args:
        index_range: Image numbers of starts.
        num_images: Images that are encoded in all, at least two.
        batch: Images per block.

    Returns:
        Whole blocks around the range; all of them have to be encoded.

    Raises:
        InvalidInput: Blocks are of fewer than two images.
        TooFewImages: Fewer than two images in all, or fewer than the range reaches.
    """
    if batch < 2:
        raise InvalidInput("A block without pairs has no paths.", received=f"batch={batch}", expected="2 or more")
    if num_images < 2 or index_range.stop > num_images:
        raise TooFewImages(
            "There are too few images to interpolate between.",
            received=f"num_images={num_images} for starts {index_range.start} to {index_range.stop - 1}",
            expected="at least 2, and no start beyond the last image",
            next_step="reconstruct more images, or interpolate fewer",
        )
    blocks = max(1, num_images // batch + (num_images % batch > 1))  # a last single image makes no block
    first, last = (min(image // batch, blocks - 1) for image in (index_range.start, index_range.stop - 1))
    return IndexRange(first * batch, num_images if last == blocks - 1 else (last + 1) * batch)


def interpolation_partners(seed: int, index_range: IndexRange, num_images: int, batch: int) -> Int64:
    """The image at the end of the path that starts at each image of a range, (n,) int64, never the image itself.

    Raises:
        TooFewImages: See `pairing_block`.
    """
    whole = pairing_block(index_range, num_images, batch)
    partners = np.empty(len(whole), dtype=np.int64)
    start = whole.start
    while start < whole.stop:
        block = pairing_block(IndexRange(start, start + 1), num_images, batch)
        ring = block.start + np.argsort(uniform(seed, "interpolation pairs", block, 1)[:, 0], kind="stable")
        partners[ring - whole.start] = np.roll(ring, -1)
        start = block.stop
    return partners[index_range.start - whole.start : index_range.stop - whole.start]


def path_ends(protocol: Protocol) -> Int64:
    """The image at the end of each path of the stream, (n,), whose start is the image of the same number."""
    count = protocol.num_interpolations
    return interpolation_partners(protocol.seed, IndexRange(0, count), count, protocol.network_batch)


def interpolation_fractions(seed: int, index_range: IndexRange) -> Float64:
    """Where on its path each image of the stream lies, (n,) float64, uniform in (0, 1)."""
    return uniform(seed, "interpolations", index_range, 1)[:, 0]


def next_fractions(fractions: Float64, step: float) -> Float64:
    """A second place on each path, `step` further, or `step` back where the path ends before."""
    return np.where(fractions + step <= 1, fractions + step, fractions - step)
