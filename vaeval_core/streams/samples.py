"""The stream `samples`: decoded prior draws."""

from __future__ import annotations

from vaeval_core.generation.sample_prior import sample_prior
from vaeval_core.quantisation import to_uint8
from vaeval_core.streams.base import ShardArrays, Subject, all_features_of, pictures_of, soundness
from vaeval_core.types import IndexRange


def measure_samples(subject: Subject, block: IndexRange) -> ShardArrays:
    """Decode the prior draws of a block and look at them; see `evaluate.measure_shard` for what comes back."""
    protocol = subject.protocol
    samples = sample_prior(subject.adapter, protocol.seed, block, protocol.network_batch)
    pixels = to_uint8(samples)
    return {
        **all_features_of("samples", subject.extractor, subject.needs, pixels, block, protocol.network_batch),
        **soundness("samples", samples),
        **pictures_of(block, samples=pixels),
    }
