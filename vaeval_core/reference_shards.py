"""The reference of evaluations: real images measured in shards, and merged into what is known of them.

images, extractor   ─► measure_reference_shard ─► arrays of one shard      (device, any worker, any order)
arrays of all shards ─► merge_reference        ─► arrays of the reference  (float64, in shard order)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.accumulators.feature_summary import FeatureSummary
from vaeval_core.errors import InvalidInput
from vaeval_core.features.base import FeatureExtractor
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.images.base import ImageSet
from vaeval_core.metrics.frechet import fit_gaussian
from vaeval_core.metrics.reference_rows import SPATIAL, spatial_arrays, statistics_arrays
from vaeval_core.metrics.shard_rows import ShardRows
from vaeval_core.protocol import Protocol
from vaeval_core.streams.base import ShardArrays
from vaeval_core.types import IndexRange


def measure_reference_shard(
    images: ImageSet,
    extractor: FeatureExtractor,
    protocol: Protocol,
    index_range: IndexRange,
    *,
    on_progress: Callable[[int], None] = lambda images_done: None,
) -> ShardArrays:
    """Features of the real images of a range, as `features` (n, d) float32; for sFID also `spatial` (n, k) float32."""
    spatial, batch = SPATIAL in protocol.reference_statistics, protocol.network_batch
    collected: dict[str, list[NDArray[Any]]] = {}
    for block in index_range.blocks(protocol.network_batch):
        pixels = images.read(block, protocol.image_shape, protocol.image_fit)
        found = extractor.all_features(pad_to_batch(pixels, block, batch), spatial=spatial)
        for name, rows in found._asdict().items():
            if rows is not None:
                collected.setdefault(name, []).append(take_from_batch(rows, block, batch))
        on_progress(block.stop - index_range.start)
    return {name: np.concatenate(arrays) for name, arrays in collected.items()}


def merge_reference(shards: Iterable[ShardArrays], protocol: Protocol) -> ShardArrays:
    """Fit the Gaussian that evaluations are compared against, and find what else their metrics need to know.

    Args:
        shards: What `measure_reference_shard` gave, in shard order; read one at a time, and again for each kind of
            statistics of single images.
        protocol: The protocol of any evaluation that uses the reference.

    Returns:
        The arrays of a `GaussianFit`, for sFID those of another one under `spatial/`, and those of `statistics_arrays`:
        what is stored as the merged reference.
    """
    features = FeatureSummary(protocol.num_reference, protocol.extractor.dimension)
    spatial: FeatureSummary | None = None
    for shard in shards:
        features.push(shard["features"])
        if SPATIAL in shard:
            spatial = spatial or FeatureSummary(protocol.num_reference, shard[SPATIAL].shape[1])
            spatial.push(shard[SPATIAL])
    merged = fit_gaussian(complete(features, protocol.num_reference)).to_arrays()
    del features  # a scatter matrix each: not to be held while the statistics are made
    if spatial is not None:
        merged |= spatial_arrays(fit_gaussian(complete(spatial, protocol.num_reference)).to_arrays())
        del spatial
    return merged | statistics_arrays(reference_rows(shards, protocol), protocol.reference_statistics)


def reference_rows(shards: Iterable[ShardArrays], protocol: Protocol) -> ShardRows:
    """Features of the real images one by one."""
    return ShardRows(shards, "features", (protocol.num_reference, protocol.extractor.dimension))


def complete(summary: FeatureSummary, expected: int) -> FeatureMoments | FeatureRows:
    """The features, if they are as many as expected.

    Raises:
        InvalidInput: They are more or fewer.
    """
    features = summary.features()
    if features.count != expected:
        raise incomplete(f"{features.count} feature vectors", expected)
    return features


def incomplete(received: str, expected: int) -> InvalidInput:
    """The error of shards that do not add up."""
    return InvalidInput(
        "The shards do not hold the images that the protocol asks for.",
        received=received,
        expected=f"{expected}",
        next_step="submit the checkpoint again",
    )
