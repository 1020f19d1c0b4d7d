"""A check-up of a loaded VAE: the mistakes that give plausible, wrong scores.

Six network calls of one batch, in each worker that loads the checkpoint. What makes every score meaningless is an error and
ends the evaluation. What is odd is said in sentences for the worker's log; scores carry a warning of their own where the
images of the evaluation itself show it (`metrics.base.outside_warnings`).
"""

from __future__ import annotations

import numpy as np

from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.errors import CheckpointRejected
from vaeval_core.quantisation import OUTSIDE_BY
from vaeval_core.shard_plan import NETWORK_BATCH
from vaeval_core.types import Float32

# Float32 convolutions differ by about 1e-6 between runs on some devices; sampling or batch statistics by far more.
_EQUAL_WITHIN = 1e-3
_LARGEST_LOG_VARIANCE = 20.0  # σ = e¹⁰: no posterior under a N(0, I) prior comes near
_SEED = 20260101


def probe(adapter: VaeAdapter) -> tuple[str, ...]:
    """Run a VAE on noise and on prior draws.

    Args:
        adapter: Just loaded.

    Returns:
        What is odd, a sentence each; empty if nothing is.

    Raises:
        CheckpointRejected: Outputs have wrong shapes, or no output of encoder or decoder is finite.
    """
    generator = np.random.default_rng(_SEED)
    images = generator.random((NETWORK_BATCH, *adapter.image_shape), dtype=np.float32)
    latents = generator.standard_normal((NETWORK_BATCH, adapter.latent_size), dtype=np.float32)
    return (*_probe_encoder(adapter, images), *_probe_decoder(adapter, latents))


def _probe_encoder(adapter: VaeAdapter, images: Float32) -> list[str]:
    first, again = _encode(adapter, images), _encode(adapter, images)
    _require_any_finite("encoder", first)
    sentences = _about_finiteness("encoder", first)
    if _differ(first, again):
        sentences.append(
            "The encoder gives another posterior for the same images each time: a sampling or dropout layer is active."
        )
    else:
        other_neighbours = images.copy()
        other_neighbours[NETWORK_BATCH // 2 :] = np.float32(0.5) * images[NETWORK_BATCH // 2 :]
        half = _encode(adapter, other_neighbours)[: NETWORK_BATCH // 2]
        if _differ(first[: NETWORK_BATCH // 2], half):
            sentences.append(_neighbours("encoder", "an image's posterior", "images"))
    log_variance = first[:, adapter.latent_size :]
    largest = float(np.max(log_variance, initial=-np.inf, where=np.isfinite(log_variance)))
    if largest > _LARGEST_LOG_VARIANCE:
        sentences.append(
            f"The encoder's log-variance reaches {largest:.3g}, so σ reaches e^{largest / 2:.3g}: "
            "it may be another quantity, see `scale` in vaeval.yaml."
        )
    return sentences


def _probe_decoder(adapter: VaeAdapter, latents: Float32) -> list[str]:
    first, again = _decode(adapter, latents), _decode(adapter, latents)
    _require_any_finite("decoder", first)
    sentences = _about_finiteness("decoder", first)
    if _differ(first, again):
        sentences.append(
            "The decoder gives another image for the same latent each time: a noise or dropout layer is active."
        )
    else:
        other_neighbours = latents.copy()
        other_neighbours[NETWORK_BATCH // 2 :] *= np.float32(0.5)
        half = _decode(adapter, other_neighbours)[: NETWORK_BATCH // 2]
        if _differ(first[: NETWORK_BATCH // 2], half):
            sentences.append(_neighbours("decoder", "an image", "latents"))
    finite = first[np.isfinite(first)]
    low, high = float(finite.min()), float(finite.max())
    outside = float(np.mean((finite < -OUTSIDE_BY) | (finite > 1 + OUTSIDE_BY)))
    if outside > 0:
        sentences.append(
            f"{outside:.1%} of the decoder's values lie outside [0, 1] by more than {OUTSIDE_BY:.0%} "
            f"(from {low:.3g} to {high:.3g}) and will be clamped: check image_range and decoder_output in vaeval.yaml."
        )
    if not _differ(first[:1].repeat(len(first), axis=0), first):
        sentences.append("The decoder gives one image for all latents: it ignores them.")
    return sentences


def _encode(adapter: VaeAdapter, images: Float32) -> Float32:
    """Mean and log-variance side by side."""
    posterior = adapter.encode(images)
    parts = [posterior.mean] if posterior.log_variance is None else [posterior.mean, posterior.log_variance]
    for part in parts:
        _require_shape("encoder", part.shape, (len(images), adapter.latent_size))
    return np.concatenate(parts, axis=1)


def _decode(adapter: VaeAdapter, latents: Float32) -> Float32:
    images = adapter.decode(latents)
    _require_shape("decoder", images.shape, (len(latents), *adapter.image_shape))
    return images.reshape(len(images), -1)


def _require_shape(network: str, received: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(received) != expected:
        raise CheckpointRejected(
            f"The {network} gives arrays of another shape than its files say.",
            received=f"{tuple(received)}",
            expected=f"{expected}",
            next_step="check that encoder.keras and decoder.keras are from the same model",
        )


def _require_any_finite(network: str, values: Float32) -> None:
    if not np.isfinite(values).any():
        raise CheckpointRejected(
            f"The {network} gives no finite number: the training of this checkpoint diverged.",
            received=f"{values.size} values, all NaN or infinite",
            expected="finite values",
            next_step="evaluate an earlier checkpoint of the run",
        )


def _about_finiteness(network: str, values: Float32) -> list[str]:
    share = float(np.mean(~np.isfinite(values)))
    return [f"{share:.1%} of the {network}'s values are NaN or infinite."] if share > 0 else []


def _neighbours(network: str, what: str, others: str) -> str:
    return (
        f"In the {network}, {what} depends on the other {others} of the batch: "
        "a normalisation layer works with batch statistics."
    )


def _differ(one: Float32, other: Float32) -> bool:
    """True if two runs disagree by more than rounding, relative to the size of the values; equal NaN agree."""
    size = float(np.max(np.abs(one), initial=1e-6, where=np.isfinite(one)))
    return not np.allclose(one, other, rtol=0.0, atol=_EQUAL_WITHIN * size, equal_nan=True)
