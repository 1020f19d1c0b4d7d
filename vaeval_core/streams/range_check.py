"""Do the first images come back better if the networks get them in [-1, 1]?

A model of images in [-1, 1] that is given [0, 1] sees everything from middle grey to white. What it decodes may stay within
[0, 1] then, so that nothing shows but a poor error. So the first batch is also encoded and decoded in that range.
"""

from __future__ import annotations

import numpy as np

from vaeval_core.generation.reconstruct import decode_means, encode
from vaeval_core.images.intensities import read_intensities
from vaeval_core.metrics.reconstruction_metrics import (
    CROSS_ENTROPY,
    MEAN_SQUARED_ERROR,
    PEAK_SIGNAL_TO_NOISE,
    RECONSTRUCTION_METRICS,
)
from vaeval_core.streams.base import ShardArrays, Subject
from vaeval_core.types import Float32, Float64, IndexRange

_TOLD_WITH = frozenset(
    need
    for metric in (MEAN_SQUARED_ERROR, CROSS_ENTROPY, PEAK_SIGNAL_TO_NOISE, *RECONSTRUCTION_METRICS)
    for need in metric.needs
)


def measure_range(subject: Subject) -> ShardArrays:
    """`range/errors` (3,) float32: mean squared intensity errors of the first batch.

    As it is, as if the networks worked in [-1, 1], and of the batch's mean image in the place of every image. Nothing where no
    metric of reconstructions is asked for.
    """
    protocol = subject.protocol
    count = min(protocol.network_batch, protocol.num_reconstructions)
    if not count or subject.needs.isdisjoint(_TOLD_WITH):
        return {}
    first = IndexRange(0, count)
    images = read_intensities(subject.images, first, protocol.image_shape, protocol.image_fit)
    signed = _reconstructed(subject, 2 * images - 1, first)
    candidates = (_reconstructed(subject, images, first), (signed + 1) / 2, images.mean(axis=0))
    return {"range/errors": np.array([_error(images, candidate) for candidate in candidates], np.float32)}


def _reconstructed(subject: Subject, images: Float32, block: IndexRange) -> Float32:
    """What comes back of images; NaN where the networks do not take such values: to ask must not fail an evaluation."""
    batch = subject.protocol.network_batch
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            return decode_means(subject.adapter, encode(subject.adapter, images, block, batch), block, batch)
        except Exception:  # noqa: BLE001  # whatever a network raises, such as one that looks grey levels up in a table
            return np.full_like(images, np.nan)


def _error(images: Float32, reconstructions: Float32 | Float64) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        error = float(np.square(reconstructions.astype(np.float64) - images).mean())
    return error if np.isfinite(error) else np.inf
