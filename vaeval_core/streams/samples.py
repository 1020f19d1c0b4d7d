"""The stream `samples`: decoded prior draws."""

from __future__ import annotations

from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.generation.sample_prior import sample_prior
from vaeval_core.quantisation import to_uint8
from vaeval_core.streams.base import ShardArrays, Subject, pictures_of, soundness
from vaeval_core.types import IndexRange, Uint8


def measure_samples(subject: Subject, block: IndexRange) -> ShardArrays:
    """Decode the prior draws of a block and look at them; see `evaluate.measure_shard` for what comes back."""
    protocol = subject.protocol
    samples = sample_prior(subject.adapter, protocol.seed, block, protocol.network_batch)
    pixels = to_uint8(samples)
    return {
        **_features(subject, pixels, block),
        **soundness("samples", samples),
        **pictures_of(block, samples=pixels),
    }


def _features(subject: Subject, pixels: Uint8, block: IndexRange) -> ShardArrays:
    if "samples/features" not in subject.needs:
        return {}
    if "samples/logits" not in subject.needs or not subject.extractor.num_classes:
        return {"samples/features": subject.features(pixels, block)}
    batch = subject.protocol.network_batch
    both = subject.extractor.features_and_logits(pad_to_batch(pixels, block, batch))
    features, logits = (take_from_batch(rows, block, batch) for rows in both)
    return {"samples/features": features, "samples/logits": logits}
