"""The stream `reconstructions`: real images, what the encoder says of them, and its means decoded.

    images ─► encode ─► posterior ─► decode the mean ─► features, errors
                            ├─► decode draws ─► errors of a draw, bounds of the likelihood
                            ├─► decode means with one dimension replaced ─► does the decoder use it?
                            └─► kept: mean and variance, KL, codes

Encoded once for all of it, and decoded as often as the metrics of the protocol need.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaeval_core.checkpoints.base import Posterior
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.generation.interventions import decoder_response, num_images_asked
from vaeval_core.generation.likelihood_bounds import DrawPlan, measure_posterior_draws
from vaeval_core.generation.posterior_divergence import divergence_parts
from vaeval_core.generation.posterior_draws import can_be_drawn_from
from vaeval_core.generation.reconstruct import decode_means, encode
from vaeval_core.images.factor_labels import factors_of, names_as_array
from vaeval_core.images.intensities import has_levels, read_intensities
from vaeval_core.measurements.reconstruction_measurements import measure_reconstruction
from vaeval_core.metrics.reconstruction_metrics import PERCEPTUAL_DISTANCE
from vaeval_core.quantisation import to_uint8
from vaeval_core.streams.base import ShardArrays, Subject, pictures_of, soundness
from vaeval_core.types import Float32, IndexRange, Uint8


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedImages:
    """The real images of a block and their posteriors.

    Attributes:
        block: Their numbers, within one network batch.
        images: (n, h, w, c) in [0, 1], as the encoder sees them.
        posterior: What the encoder says about them.
    """

    block: IndexRange
    images: Float32
    posterior: Posterior


def encode_images(subject: Subject, block: IndexRange) -> EncodedImages:
    """Read the images of a block and encode them."""
    protocol = subject.protocol
    images = read_intensities(subject.images, block, protocol.image_shape, protocol.image_fit)
    return EncodedImages(
        block=block, images=images, posterior=encode(subject.adapter, images, block, protocol.network_batch)
    )


def measure_reconstructions(subject: Subject, encoded: EncodedImages) -> ShardArrays:
    """Everything that the metrics of the protocol need of encoded images; see `evaluate.measure_shard` for what comes back."""
    block = encoded.block
    decoded = decode_means(subject.adapter, encoded.posterior, block, subject.protocol.network_batch)
    pixels = to_uint8(decoded)
    arrays: ShardArrays = {
        **soundness("reconstructions", decoded),
        **measure_reconstruction(encoded.images, decoded, subject.needs),
        **_perceptual_distance(subject, to_uint8(encoded.images), pixels, block),
        **_posterior_arrays(subject, encoded.posterior),
        **_draws(subject, encoded),
        **_interventions(subject, encoded),
        **_factors(subject, block),
        **pictures_of(block, originals=to_uint8(encoded.images), reconstructions=pixels),
    }
    if "reconstructions/features" in subject.needs:
        arrays["reconstructions/features"] = subject.features(pixels, block)
    return arrays


def _perceptual_distance(subject: Subject, images: Uint8, pixels: Uint8, block: IndexRange) -> ShardArrays:
    """LPIPS of each image and its reconstruction, both clamped and rounded; nothing where they are too small for it."""
    distance, batch = subject.perceptual, subject.protocol.network_batch
    if distance is None or min(images.shape[1:3]) < distance.smallest_side:
        return {}
    found = distance.between(*(pad_to_batch(each, block, batch) for each in (images, pixels)))
    return {PERCEPTUAL_DISTANCE: take_from_batch(found, block, batch)}


def _posterior_arrays(subject: Subject, posterior: Posterior) -> ShardArrays:
    arrays: ShardArrays = {}
    if "codes" in subject.needs and posterior.codes is not None:
        arrays["codes"] = posterior.codes.reshape(len(posterior.codes), -1)
        arrays["codes/size"] = np.full(len(posterior.codes), posterior.codebook_size, np.int64)
    if "posterior" not in subject.needs:
        return arrays
    arrays["posterior/mean"] = posterior.mean
    parts = divergence_parts(posterior)
    if parts is None:
        return arrays
    if posterior.group_divergences is not None:
        arrays["divergence_per_dimension"] = parts
    elif posterior.covariance_factor is not None:
        arrays["divergence"] = parts[:, 0]
    elif posterior.log_variance is not None:
        # The KL follows from it; numbers as large as a latent are stored once.
        arrays["posterior/log_variance"] = posterior.log_variance
    return arrays


def _factors(subject: Subject, block: IndexRange) -> ShardArrays:
    """The factors behind the images, where they are known; with the first images their names, kept for who looks at scores."""
    factors = factors_of(subject.images) if "factors" in subject.needs else None
    if factors is None:
        return {}
    names: ShardArrays = {"pictures/factor_names": names_as_array(factors.names)} if block.start == 0 else {}
    return {"factors": factors.rows(block), **names}


def _draws(subject: Subject, encoded: EncodedImages) -> ShardArrays:
    """Errors of draw 0, and bounds of the likelihood over all draws."""
    wanted = {name for name in subject.needs if name.startswith("drawn/")}
    protocol = subject.protocol
    likelihood = protocol.likelihood or subject.adapter.likelihood
    is_bounded = "likelihood" in subject.needs and likelihood is not None and likelihood.kind != "none"
    if not wanted and not is_bounded:
        return {}
    count = len(encoded.block)
    if not can_be_drawn_from(encoded.posterior):
        return {"draws/possible": np.zeros(count)}
    plan = DrawPlan(
        likelihood=likelihood if is_bounded else None,
        dequantisation="uniform" if has_levels(subject.images) else "none",
        seed=protocol.seed,
        num_draws=max(protocol.num_draws, 1) if is_bounded else 1,
        batch=protocol.network_batch,
        wanted=wanted,
    )
    measured = measure_posterior_draws(
        subject.adapter, encoded.images, encoded.posterior, encoded.block, plan, on_draw=subject.on_life
    )
    return {"draws/possible": np.ones(count), **measured}


def _interventions(subject: Subject, encoded: EncodedImages) -> ShardArrays:
    """What the decoder makes of each latent dimension of the first images."""
    protocol, posterior = subject.protocol, encoded.posterior
    if "interventions/response" not in subject.needs or posterior.log_variance is None:
        return {}
    asked = encoded.block.up_to(num_images_asked(subject.adapter.latent_size, protocol.network_batch))
    if asked is None:
        return {}
    means = posterior.mean[: len(asked)]
    response = decoder_response(subject.adapter, means, asked, seed=protocol.seed, batch=protocol.network_batch)
    return {"interventions/response": response}
