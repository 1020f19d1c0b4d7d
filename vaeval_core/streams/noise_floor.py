"""The noise floor of a protocol: real images that the reference does not hold, in the place of samples.

They go through the extractor as samples do, and from there on nothing knows the difference: `merge_shards` with
`NOISE_FLOOR_STREAMS`, then `score`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.features.base import FeatureExtractor
from vaeval_core.images.base import ImageSet
from vaeval_core.metrics.catalogue import needs_of
from vaeval_core.protocol import Protocol, StreamName
from vaeval_core.quantisation import to_float
from vaeval_core.streams.base import ShardArrays, all_features_of, soundness
from vaeval_core.types import IndexRange

NOISE_FLOOR_STREAMS: tuple[StreamName, ...] = ("samples",)
"""What real images stand for in a noise floor."""

NOISE_FLOOR_ONLY_SAMPLES = "A noise floor is real images in the place of samples: nothing was encoded or reconstructed."


def measure_noise_floor_shard(
    images: ImageSet,
    extractor: FeatureExtractor,
    protocol: Protocol,
    index_range: IndexRange,
    *,
    on_progress: Callable[[int], None] = lambda images_done: None,
) -> ShardArrays:
    """Features of real images that the reference does not hold, in the place of samples.

    Args:
        images: Real images; if they are the set of the reference, those that come after it are taken.
        extractor: The feature network that the protocol names.
        protocol: What to run.
        index_range: Sample numbers.
        on_progress: As in `measure_shard`.

    Returns:
        The arrays of `samples` that `measure_shard` gives, without pictures.
    """
    first, needs = protocol.first_image_beside_reference(images.digest), needs_of(protocol.metrics)
    collected: dict[str, list[NDArray[Any]]] = {}
    for block in index_range.blocks(protocol.network_batch):
        taken = IndexRange(first + block.start, first + block.stop)
        pixels = images.read(taken, protocol.image_shape, protocol.image_fit)
        rows = {
            **all_features_of("samples", extractor, needs, pixels, block, protocol.network_batch),
            **soundness("samples", to_float(pixels)),
        }
        for name, array in rows.items():
            collected.setdefault(name, []).append(array)
        on_progress(block.stop - index_range.start)
    return {name: np.concatenate(arrays) for name, arrays in collected.items()}
