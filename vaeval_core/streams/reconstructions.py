"""The stream `reconstructions`: real images, what the encoder says of them, and its means decoded.

Encoded once for all that needs a posterior.
"""

from __future__ import annotations

from dataclasses import dataclass

from vaeval_core.checkpoints.base import Posterior
from vaeval_core.generation.reconstruct import decode_means, encode
from vaeval_core.measurements.reconstruction_error import cross_entropy, peak_signal_to_noise, squared_error
from vaeval_core.quantisation import to_float, to_uint8
from vaeval_core.streams.base import ShardArrays, Subject, pictures_of, soundness
from vaeval_core.types import Float32, IndexRange, Uint8


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedImages:
    """The real images of a block and their posteriors.

    Attributes:
        block: Their numbers, within one network batch.
        levels: (n, h, w, c) uint8.
        intensities: The same in [0, 1], as the encoder sees them.
        posterior: What the encoder says about them.
    """

    block: IndexRange
    levels: Uint8
    intensities: Float32
    posterior: Posterior


def encode_images(subject: Subject, block: IndexRange) -> EncodedImages:
    """Read the images of a block and encode them."""
    protocol = subject.protocol
    levels = subject.images.read(block, protocol.image_shape, protocol.image_fit)
    intensities = to_float(levels)
    posterior = encode(subject.adapter, intensities, block, protocol.network_batch)
    return EncodedImages(block=block, levels=levels, intensities=intensities, posterior=posterior)


def measure_reconstructions(subject: Subject, encoded: EncodedImages) -> ShardArrays:
    """Decode the means and compare them with their images; see `evaluate.measure_shard` for what comes back."""
    block, posterior = encoded.block, encoded.posterior
    decoded = decode_means(subject.adapter, posterior, block, subject.protocol.network_batch)
    pixels = to_uint8(decoded)
    arrays: ShardArrays = {
        "reconstructions/features": subject.features(pixels, block),
        **soundness("reconstructions", decoded),
        "squared_error": squared_error(encoded.intensities, decoded),
        "cross_entropy": cross_entropy(encoded.intensities, decoded),
        "peak_signal_to_noise": peak_signal_to_noise(encoded.levels, pixels),
        "posterior/mean": posterior.mean,
        **pictures_of(block, originals=encoded.levels, reconstructions=pixels),
    }
    if posterior.log_variance is not None:
        arrays["posterior/log_variance"] = posterior.log_variance
    return arrays
