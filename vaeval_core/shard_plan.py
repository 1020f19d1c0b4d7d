"""Which shard does which images. Pure: numbers in, ranges out."""

from __future__ import annotations

from vaeval_core.errors import InvalidInput
from vaeval_core.types import IndexRange

NETWORK_BATCH = 32
"""Images per network call. Constant: a feature may depend on the shape of its batch, so all batches have one shape."""

DEFAULT_SHARD_SIZE = 4 * NETWORK_BATCH
"""Images per shard: seconds of work on a GPU, about a minute on two CPU cores; what a crash can cost."""


def plan_shards(num_images: int, shard_size: int = DEFAULT_SHARD_SIZE) -> tuple[IndexRange, ...]:
    """Cut images 0 … num_images - 1 into shards.

    The size is rounded up to whole network batches so that no batch is computed twice; results do not depend on it.

    Args:
        num_images: Images of the longest stream, ≥ 1.
        shard_size: Wanted images per shard, ≥ 1.

    Returns:
        Ranges in order, without gap or overlap; the last may be shorter.

    Raises:
        InvalidInput: Either number is below 1.

    >>> [len(shard) for shard in plan_shards(300, shard_size=100)]
    [128, 128, 44]
    """
    if num_images < 1 or shard_size < 1:
        raise InvalidInput(
            "There is nothing to plan.",
            received=f"num_images={num_images}, shard_size={shard_size}",
            expected="both at least 1",
        )
    whole_batches = -(-shard_size // NETWORK_BATCH) * NETWORK_BATCH
    return tuple(IndexRange(0, num_images).blocks(whole_batches))
