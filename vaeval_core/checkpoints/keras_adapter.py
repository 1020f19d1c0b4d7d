"""Runs a Keras VAE as a `VaeAdapter`: NumPy in, NumPy out, on whatever backend Keras has."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vaeval_core.checkpoints.base import Posterior
from vaeval_core.checkpoints.image_range import UNIT_RANGE, Range
from vaeval_core.checkpoints.keras_networks import open_network
from vaeval_core.checkpoints.keras_plan import KerasVaePlan
from vaeval_core.checkpoints.output_roles import misfit
from vaeval_core.checkpoints.sidecar import ScaleKind
from vaeval_core.errors import CheckpointRejected
from vaeval_core.likelihood import Likelihood
from vaeval_core.types import Float32, ImageShape


class KerasVaeAdapter:
    """A `VaeAdapter` over two Keras models, in inference mode and float32.

    Args:
        plan: How to run it.
        encoder: Built Keras model with the plan's encoder outputs.
        decoder: Built Keras model with the plan's decoder output.

    Raises:
        CheckpointRejected: The built networks have other sizes than the plan.
    """

    def __init__(self, plan: KerasVaePlan, encoder: Any, decoder: Any) -> None:
        self._plan = plan
        self._encoder = encoder
        self._decoder = decoder
        per_latent = 2 if plan.posterior.is_halved else 1
        for tensor in encoder.outputs:
            size = math.prod(int(length or 0) for length in tensor.shape[1:])
            if None not in tensor.shape[1:] and size != per_latent * self.latent_size:
                raise misfit(tensor.name, size, plan.latent_shape)

    @property
    def image_shape(self) -> ImageShape:
        """(height, width, channels)."""
        return self._plan.image_shape

    @property
    def latent_size(self) -> int:
        """Numbers in one latent."""
        return math.prod(self._plan.latent_shape)

    @property
    def likelihood(self) -> Likelihood | None:
        """What `vaeval.yaml` declares, or None."""
        return self._plan.likelihood

    def encode(self, images: Float32) -> Posterior:
        """Posterior of images (n, h, w, c) float32 in [0, 1]."""
        plan = self._plan
        taken = from_unit(images, plan.encoder_range).reshape(len(images), *plan.encoder_layout)
        given = self._encoder.predict_on_batch(taken)
        arrays = [np.asarray(array, np.float32) for array in (given if isinstance(given, list | tuple) else [given])]
        if plan.posterior.is_halved:
            arrays = np.split(arrays[0], 2, axis=-1)
        mean, *rest = [array.reshape(len(images), self.latent_size) for array in arrays]
        scale = plan.posterior.scale
        return Posterior(mean=mean, log_variance=log_variance_of(rest[0], scale) if rest and scale else None)

    def decode(self, latents: Float32) -> Float32:
        """Mean images of latents (n, k) float32, nominally in [0, 1], not clamped."""
        plan = self._plan
        given = self._decoder.predict_on_batch(latents.reshape(len(latents), *plan.latent_shape))
        images = np.asarray(given[0] if isinstance(given, list | tuple) else given, np.float32)
        if images.size != len(latents) * math.prod(plan.image_shape):
            raise CheckpointRejected(
                "The decoder gives other images than the encoder takes.",
                received=f"decoder output {images.shape[1:]}",
                expected=f"{plan.image_shape}",
                next_step="see that both are of the same run, then give them in one folder",
            )
        images = images.reshape(len(latents), *plan.image_shape)
        return sigmoid(images) if plan.is_logits else to_unit(images, plan.decoder_range)


def open_keras_vae(plan: KerasVaePlan) -> KerasVaeAdapter:
    """Build both networks and load their weights.

    Raises:
        CheckpointRejected: Keras cannot rebuild one of them.
        StorageFailed: No space to unpack the weights.
    """
    encoder = open_network(plan.encoder, plan.encoder_outputs)
    return KerasVaeAdapter(plan, encoder, open_network(plan.decoder, [plan.decoder_output]))


def from_unit(images: Float32, image_range: Range) -> Float32:
    """Images in [0, 1] to the range that a network takes."""
    low, high = np.float32(image_range[0]), np.float32(image_range[1])
    return images if image_range == UNIT_RANGE else images * (high - low) + low


def to_unit(images: Float32, image_range: Range) -> Float32:
    """Images in the range that a network gives to [0, 1]."""
    low, high = np.float32(image_range[0]), np.float32(image_range[1])
    return images if image_range == UNIT_RANGE else (images - low) / (high - low)


def log_variance_of(values: Float32, scale: ScaleKind) -> Float32:
    """ln σ² of what an encoder says about σ; not finite where a σ is not positive, for the probe to find."""
    if scale == "log_variance":
        return values
    if scale == "log_sigma":
        return np.float32(2) * values
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm: Float32 = np.log(values)
    return logarithm if scale == "variance" else np.float32(2) * logarithm


def sigmoid(logits: Float32) -> Float32:
    """1 / (1 + e^-x), without overflow for large logits of either sign."""
    decay: Float32 = np.exp(-np.abs(logits))
    numerator: Float32 = np.where(logits >= 0, np.float32(1), decay)
    return numerator / (np.float32(1) + decay)
