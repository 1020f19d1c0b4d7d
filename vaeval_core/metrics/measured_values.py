"""Which arrays of a shard are measurements: numbers per image, of which means are taken over all images.

An array of a shard is one if it is float64, (n,) or (n, k); features, posteriors, codes and pictures have other types. What
follows from a posterior is worked out here instead of stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.accumulators.fixed_blocks import FixedBlocks
from vaeval_core.accumulators.value_moments import ValueMoments
from vaeval_core.measurements.gaussian_divergence import divergence_to_standard_normal
from vaeval_core.metrics.collapse import LEAST_CHANGE, LEAST_NATS
from vaeval_core.types import Float64

Arrays = Mapping[str, NDArray[Any]]


def measured_values(shard: Arrays) -> dict[str, Float64]:
    """The measurements of a shard by name, each (n, k) with a row per image.

    Beside what is stored: `divergence` and `divergence_per_dimension`, the KL to the prior in total and in parts;
    `posterior/mean`; `collapse/uninformative` and `collapse/ignored`, 1 where `metrics.collapse` finds a latent dimension
    of an image so.
    """
    values = {
        name: array.reshape(len(array), -1)
        for name, array in shard.items()
        if array.dtype == np.float64 and array.ndim <= 2
    }
    if "posterior/mean" in shard:
        values["posterior/mean"] = shard["posterior/mean"].astype(np.float64)
    if "posterior/log_variance" in shard:
        per_dimension = divergence_to_standard_normal(shard["posterior/mean"], shard["posterior/log_variance"])
        values["divergence_per_dimension"] = per_dimension
        values["collapse/uninformative"] = (per_dimension < LEAST_NATS).astype(np.float64)
    if "divergence_per_dimension" in values:
        values["divergence"] = values["divergence_per_dimension"].sum(axis=1, keepdims=True)
    if "interventions/response" in values:
        values["collapse/ignored"] = (values["interventions/response"] < LEAST_CHANGE).astype(np.float64)
    return values


class ImageValues:
    """Measurements image by image, read from the shards when a metric asks for them.

    Args:
        shards: Arrays of each shard, in shard order; begins anew at each `iter`.
    """

    def __init__(self, shards: Iterable[Arrays]) -> None:
        self._shards = shards
        self._known: dict[tuple[str, ...], tuple[Float64, ...]] = {}

    def columns(self, *names: str) -> tuple[Float64, ...]:
        """Measurements of one number per image, each (n,), in image order; empty where there are none.

        Read once, however many metrics ask for the same.
        """
        if names not in self._known:
            self._known[names] = self._read(names)
        return self._known[names]

    def _read(self, names: tuple[str, ...]) -> tuple[Float64, ...]:
        parts: dict[str, list[Float64]] = {name: [np.empty(0)] for name in names}
        for shard in self._shards:
            values = measured_values(shard)
            for name in names:
                if name in values:
                    parts[name].append(values[name][:, 0])
        return tuple(np.concatenate(parts[name]) for name in names)


class ValueStream:
    """Values of one measurement, summed in fixed blocks."""

    def __init__(self, width: int) -> None:
        self._blocks = FixedBlocks()
        self._summary = ValueMoments.empty(width)

    def push(self, rows: Float64) -> None:
        """Take the next rows (n, k), in image order."""
        for block in self._blocks.push(rows):
            self._summary = self._summary.merge(ValueMoments.from_rows(block))

    def summary(self) -> ValueMoments:
        """Moments of all that was taken; the last call."""
        for block in self._blocks.rest():
            self._summary = self._summary.merge(ValueMoments.from_rows(block))
        return self._summary
