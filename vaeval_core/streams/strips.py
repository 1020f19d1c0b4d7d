"""Pictures that change step by step, kept with each evaluation: interpolations and traversals between the first few images.

They are made by the shard that holds image 0, and show the same images, places and quantiles for every checkpoint.

    linear, spherical       image 0 to image 1, image 2 to image 3, …          (pairs, steps, h, w, c) uint8
    traversals              image 0, one latent dimension at each of           (dimensions, values, h, w, c) uint8
    traversal_values        these quantiles of the prior                       (values,)
    traversal_dimensions    the dimensions with the largest                    (dimensions,)
    traversal_nats          mean KL to the prior over the first batch; or      (dimensions,)
    traversal_variance      variance of codes, where there is no posterior     (dimensions,)
"""

from __future__ import annotations

from typing import get_args

import numpy as np

from vaeval_core.generation.interpolate import decode_paths
from vaeval_core.generation.traverse import most_used_dimensions, prior_quantiles, traverse
from vaeval_core.measurements.gaussian_divergence import divergence_to_standard_normal
from vaeval_core.protocol import PathKind
from vaeval_core.quantisation import to_uint8
from vaeval_core.reports.tiles import reduced
from vaeval_core.streams.base import ShardArrays, Subject
from vaeval_core.streams.reconstructions import encode_images
from vaeval_core.types import Float32, IndexRange, Uint8

MOST_PAIRS = 4
NUM_STEPS = 8
"""Pictures of an interpolation, both ends among them."""

MOST_DIMENSIONS = 8
NUM_VALUES = 7
"""Pictures of a traversal: odd, so that the middle one is the prior's median."""

KEPT_SIDE = 72
"""Dots near which the longer side of a kept picture is brought if it is larger: strips are looked at as wholes."""


def measure_strips(subject: Subject) -> ShardArrays:
    """All arrays of the strips, `pictures/…` with the names above; none without reconstructions: nothing is encoded then."""
    adapter, protocol = subject.adapter, subject.protocol
    num_encoded = min(protocol.network_batch, protocol.num_reconstructions)
    num_pairs = min(MOST_PAIRS, num_encoded // 2)
    if not num_pairs:
        return {}
    posterior = encode_images(subject, IndexRange(0, num_encoded)).posterior
    starts, ends = (posterior.mean[side : 2 * num_pairs : 2] for side in (0, 1))
    strips: ShardArrays = {
        kind: _kept(decode_paths(adapter, starts, ends, num_steps=NUM_STEPS, batch=protocol.network_batch, kind=kind))
        for kind in get_args(PathKind)
    }
    with np.errstate(over="ignore", invalid="ignore"):
        if posterior.log_variance is None:
            use, name = posterior.mean.astype(np.float64).var(axis=0), "traversal_variance"
        else:
            divergence = divergence_to_standard_normal(posterior.mean, posterior.log_variance)
            use, name = divergence.mean(axis=0), "traversal_nats"
    dimensions, values = most_used_dimensions(use, MOST_DIMENSIONS), prior_quantiles(NUM_VALUES)
    traversals = traverse(adapter, posterior.mean[0], dimensions, values, protocol.network_batch)
    strips |= {
        "traversals": _kept(traversals),
        # float32, for float64 arrays of a shard are measurements of single images
        "traversal_values": values.astype(np.float32),
        "traversal_dimensions": dimensions,
        name: use[dimensions].astype(np.float32),
    }
    return {f"pictures/{name}": array for name, array in strips.items()}


def _kept(decoded: Float32) -> Uint8:
    """Decoder output (…, h, w, c) as pixels, made smaller if it is large."""
    pixels = to_uint8(decoded)
    small = reduced(pixels.reshape(-1, *pixels.shape[-3:]), KEPT_SIDE)
    return small.reshape(*pixels.shape[:-3], *small.shape[1:])
